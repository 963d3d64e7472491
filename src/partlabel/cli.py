"""The command line: one verb a function, each a thin door to `Tagger` or `LabelTable`.

Options come from signatures (see `options.py`). Everything heavy is imported inside the verb that needs it, so that
`partlabel --help` answers at once.
"""

import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel import __version__
from partlabel.options import Parser, UsageError
from partlabel.text import did_you_mean

if TYPE_CHECKING:
    from partlabel.data.table import LabelTable

Absent = Literal["unknown", "negative"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was typed.

    Args:
        argv: The verb and its options; what the shell gave if None.

    Returns:
        0; 2 if what was typed, or a file it names, makes no sense; 130 if interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv or os.environ.get("PARTLABEL_DEBUG", "0") not in ("", "0")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where methods of one's own lie, which dotted paths name
    try:
        with _plain_warnings():
            _run([word for word in argv if word != "--debug"])
    except KeyboardInterrupt:
        if debug:
            raise
        return _fail("interrupted", 130)
    except (UsageError, ValueError, OSError, ImportError) as error:
        if debug:
            raise
        return _fail(str(error), 2)
    return 0


def _run(argv: list[str]) -> None:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return
    if argv[0] == "--version":
        print(f"partlabel {__version__}")
        return
    verb, *rest = argv
    if verb not in VERBS:
        raise UsageError(
            f"there is no verb {verb!r}{did_you_mean(verb, VERBS)}; there are: {', '.join(VERBS)} (partlabel --help)"
        )
    function = VERBS[verb]
    description = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    parser = Parser(f"partlabel {verb}", rest, description, config=verb == "train")
    OPTIONS.get(verb, _options)(parser, function)
    function(**parser.parse())


def _overview() -> str:
    lines = [
        f"  {verb:<10}{(inspect.getdoc(function) or '').splitlines()[0]}" for verb, function in VERBS.items()
    ]
    return "\n".join(
        [
            "usage: partlabel VERB ...",
            "",
            "Train a multi-label image recogniser when most labels are missing, and fill the missing ones in.",
            "",
            *lines,
            "",
            "Options of a verb: partlabel VERB --help. With --debug, errors come with their traceback.",
        ]
    )


def hide(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    part: str | None = None,
    seed: int = 0,
    out: Path = Path("hidden.csv"),
    truth: Path | None = None,
    *,
    format: dict[str, Any],
    scheme: str = "uniform",
    **options: Any,
) -> None:
    """Hide known labels, as benchmarks do.

    Args:
        table: Label table, in any format that `train` reads.
        images: Image folder; where it is given, every image must be there.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        part: Hide in this part of the split alone, such as train; everywhere if none.
        seed: Of the draw.
        out: Table to write, .csv or .parquet.
        truth: Also write the table as it was.
        format: Of the table.
        scheme: Which labels are hidden.
        **options: What the scheme takes, such as known.
    """
    whole = _table(table, images, absent, format)
    hidden = whole.hide(scheme, part=part, seed=seed, **options)
    hidden.save(out)
    print(f"{out}: {hidden.known:,} of {whole.known:,} known labels kept")
    if truth:
        whole.save(truth)
        print(f"{truth}: the truth")


def methods() -> None:
    """List the methods: paper, what each adds, what it needs."""
    from rich.console import Console
    from rich.table import Column, Table

    from partlabel import methods as folder
    from partlabel.nn import heads

    listing = Table(
        "--method", Column("name and paper", overflow="fold"), "year", "adds", "needs", show_lines=True
    )
    for name in folder.names():
        method = folder.get(name)
        title, paper, year = cite(method.__doc__ or "")
        listing.add_row(name, f"{title}\n[dim]{paper}[/dim]", year, method.adds, method.needs)
    headings = Table("--head", "what it is", "default of")
    for name in heads.names():
        users = [method for method in folder.names() if folder.get(method).default_head == name]
        summary = inspect.cleandoc(heads.get(name).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        headings.add_row(name, summary, ", ".join(users))
    Console().print(
        listing, headings, "Their options: partlabel train --method NAME --head NAME --help", sep="\n"
    )


def cite(docstring: str) -> tuple[str, str, str]:
    """Name, paper and year from a docstring that starts as `Structured transfer (Chen et al., AAAI 2022, ...).`."""
    first = docstring.strip().split("\n\n")[0].replace("\n", " ")
    found = re.match(r"(?P<title>[^(]*?)\s*\((?P<paper>.*)\)", first)
    if not found:
        return first.rstrip("."), "", ""
    years = re.findall(r"(?<![\d.])((?:19|20)\d\d)(?![\d.])", found["paper"])
    return found["title"], found["paper"], years[0] if years else ""


def _table(
    table: Path, images: Path | None, absent: Absent | None, format: dict[str, Any], **how: Any
) -> "LabelTable":
    """The label table that a verb's options name."""
    from partlabel.data.table import LabelTable

    options = {key: value for key, value in format.items() if key != "name"}
    return LabelTable.read(table, images, format["name"], absent, **how, **options)


def _options(parser: Parser, function: Callable) -> None:
    """A verb's options: its parameters."""
    skip = {"format", "options"}
    parser.add_function(function, skip=skip, positional=True)
    if "format" in inspect.signature(function).parameters:
        _format_options(parser)


def _format_options(parser: Parser) -> None:
    """`--format`, and the options of the reader it names."""
    from partlabel.data import readers

    def auto() -> None:
        """Found by looking at the file."""

    parser.add_choice(
        "format",
        lambda name: auto if name == "auto" else readers.get(name),
        default="auto",
        help=f"Of the table: auto, {', '.join(readers.names())}",
        skip=("path", "images", "absent"),
    )


def _hide_options(parser: Parser, function: Callable) -> None:
    """The verb's own, and those of its scheme."""
    from partlabel.data.hiding import SCHEMES

    _options(parser, function)
    name = parser.given("scheme") or "uniform"
    if name not in SCHEMES:
        raise UsageError(
            f"--scheme: there is no {name!r}{did_you_mean(name, SCHEMES)}; there are: {', '.join(SCHEMES)}"
        )
    parser.add_function(SCHEMES[name], skip=("labels", "seed"))


def _fail(message: str, code: int) -> int:
    print(f"partlabel: {message}", file=sys.stderr)
    return code


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings of this package in one line, without the line of code that they came from."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *place, **more: f"partlabel: warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


OPTIONS: dict[str, Callable[[Parser, Callable], None]] = {"hide": _hide_options}
VERBS: dict[str, Callable[..., None]] = {"hide": hide, "methods": methods}
