"""The command line: one verb a function, in `verbs/`, each a thin door to `Tagger` or `LabelTable`.

Options come from signatures (see `options.py`). Everything heavy is imported inside the verb that needs it, so that
`partlabel --help` answers at once.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from partlabel import __version__
from partlabel.cli.commands import after, bench, hiding, listing, models, review, serve, tables
from partlabel.cli.commands.models import ONE_FILE
from partlabel.cli.parser import Parser, UsageError
from partlabel.core import errors
from partlabel.core.fixes import typed
from partlabel.core.messages import did_you_mean
from partlabel.core.progress_bar import QUIET, say


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was typed.

    Args:
        argv: The verb and its options; what the shell gave if None.

    Returns:
        0; 2 if what was typed, or a file it names, makes no sense, or for any other error; 130 if interrupted; 141 if
        nobody reads what is printed.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv or os.environ.get("PARTLABEL_DEBUG", "0") not in ("", "0")
    try:
        with _plain_warnings(), _quietly("--quiet" in argv):
            _run([word for word in argv if word not in ("--debug", "--quiet")])
        _flush()
    except (SystemExit, GeneratorExit):
        raise
    except KeyboardInterrupt as error:
        if debug:
            raise
        return _fail(str(error) or "interrupted", 130)
    except BaseException as error:  # polars' panics are no Exception
        if errors.is_broken_pipe(error):
            errors.to_nowhere()
            return 128 + 13
        if debug:
            raise
        return _fail(errors.sentence(error), 2)
    return 0


def _flush() -> None:
    """Write what was printed, while an error of that can still be told."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        errors.to_nowhere()
        raise OSError(f"cannot write to the standard output: {error.strerror}") from error


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
    if verb in WITH_MODEL and not {"-h", "--help"} & set(rest):
        say("Loading PyTorch")  # which takes seconds
    description = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    parser = Parser(f"partlabel {verb}", rest, description, config=verb == "train")
    OPTIONS.get(verb, _options)(parser, function)
    recipe = {"recipe": ", ".join(name for name, _ in parser.configurations)} if parser.configurations else {}
    function(**parser.parse(), **recipe)


def _overview() -> str:
    lines = [
        f"  {verb:<17}{(inspect.getdoc(function) or '').splitlines()[0]}" for verb, function in VERBS.items()
    ]
    return "\n".join(
        [
            "usage: partlabel VERB ...",
            "",
            "Train a multi-label image recogniser when most labels are missing, and fill the missing ones in.",
            "",
            *lines,
            "",
            "Options of a verb: partlabel VERB --help. With --debug, errors come with their traceback; with --quiet",
            "(or PARTLABEL_QUIET=1) nothing tells how far the work is.",
        ]
    )


def demo(**options: Any) -> None:
    """Show all of it on drawn scenes, without any data."""
    from partlabel.demo.run import run

    run(**options)


def _options(parser: Parser, function: Callable, skip: Collection[str] = ()) -> None:
    """A verb's options: its parameters. A table it can do without is positional all the same."""
    parameters = inspect.signature(function).parameters
    may_have_table = "table" in parameters and parameters["table"].default is None
    skip = {"format", "engine", "options", *skip, *["table"] * may_have_table}
    parser.add(function, skip=skip, title="arguments", positional=True)
    if may_have_table:
        parser.optional_positional("table", Path, "Label table; the one the run was trained on if none.")
    if "format" in parameters:
        _format_options(parser)
    if "engine" in parameters:
        _engine_options(parser)


def _train_options(parser: Parser, function: Callable) -> None:
    """The verb's own, those of its method and head, of `Tagger` and of `TrainingConfig`."""
    from partlabel import methods
    from partlabel.core import safe_loading
    from partlabel.nn import heads
    from partlabel.tagger import Tagger
    from partlabel.training.config import AUTO, TrainingConfig

    safe_loading.import_typed([parser.given("method"), parser.given("head")], [Path.cwd()])
    own = ("method", "method_args", "head", "head_args")
    _options(parser, function, skip=(*own, "recipe"))
    names = f"{', '.join(methods.names())}, or a dotted path such as my_file.MyMethod"

    def auto() -> None:
        """Found by cross-validation."""

    method = parser.add_choice(
        "method",
        lambda name: auto if name == AUTO else methods.get(name),
        AUTO,
        f"How to learn: {AUTO} (method, head and weight decay are found), {names}",
        skip=("backbone", "head"),
    )
    parser.add_choice(
        "head",
        lambda name: auto if method is auto and name == AUTO else heads.get(name),
        AUTO if method is auto else str(getattr(method, "default_head", "ssgrl")),
        f"From feature map to classes: {', '.join(heads.names())}, or a dotted path",
        skip=("channels", "classes"),
    )
    parser.add(Tagger, skip=("classes", *own), title="model")
    parser.add(TrainingConfig, title="training")


def _format_options(parser: Parser) -> None:
    """`--format`, and the options of the reader it names; of a reader found by itself, the options that are given."""
    from partlabel.data import readers

    def auto() -> None:
        """Found by looking at the file."""

    takes = readers.all_options()
    given = parser.given_arguments("format")
    if unknown := [name for name in given if name not in takes]:
        raise UsageError(
            f"there is no option --format.{unknown[0]}{did_you_mean(unknown[0], takes)}; "
            "partlabel import --format NAME --help lists those of a format"
        )
    auto.__signature__ = inspect.Signature([takes[name] for name in given])  # type: ignore[attr-defined]
    parser.add_choice(
        "format",
        lambda name: auto if name == "auto" else readers.get(name),
        default="auto",
        help=f"Of the table: auto, {', '.join(readers.names())}",
        skip=("path", "images", "absent"),
    )
    parser.elsewhere |= {name: f"--format.{name}" for name in takes}


def _engine_options(parser: Parser) -> None:
    """`--engine`, and the options of the one it names."""
    from partlabel.sharded import engines

    def none() -> None:
        """All of it by this process, into one file."""

    parser.add_choice(
        "engine",
        lambda name: none if name == ONE_FILE else engines.get(name),
        default=ONE_FILE,
        help=f"In shards, that a killed command goes on with: {', '.join(engines.names())}; else {ONE_FILE}",
    )


def _hide_options(parser: Parser, function: Callable) -> None:
    """The verb's own, and those of its scheme."""
    from partlabel.data.tables.hiding import SCHEMES

    _options(parser, function)
    name = parser.given("scheme") or "uniform"
    if name not in SCHEMES:
        raise UsageError(
            f"--scheme: there is no {name!r}{did_you_mean(name, SCHEMES)}; there are: {', '.join(SCHEMES)}"
        )
    parser.add(SCHEMES[name], skip=("labels", "seed"), title=f"scheme {name}")


def _demo_options(parser: Parser, function: Callable) -> None:
    """Those of the demo itself."""
    from partlabel.demo.run import run

    parser.add(run, title="arguments")


def _fail(message: str, code: int) -> int:
    print(f"partlabel: {message}", file=sys.stderr)
    return code


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings in one line, without the line of code that they came from, and each once however often it is raised."""
    said: set[str] = set()
    before = warnings.formatwarning

    def once(message: Warning | str, *place: Any, **more: Any) -> str:
        text = f"partlabel: warning: {typed(message)}\n"
        if text in said:
            return ""
        said.add(text)
        return text

    warnings.formatwarning = once  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.formatwarning = before


@contextmanager
def _quietly(asked: bool) -> Iterator[None]:
    """Without progress, in this process and those that it starts."""
    before = os.environ.get(QUIET)
    if asked:
        os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if asked and before is None:
            del os.environ[QUIET]
        elif asked and before is not None:
            os.environ[QUIET] = before


WITH_MODEL = frozenset({"train", "evaluate", "predict", "fill", "tune", "review", "export"})
"""Verbs that train a model or run one."""
OPTIONS: dict[str, Callable[[Parser, Callable], None]] = {
    "train": _train_options,
    "hide": _hide_options,
    "demo": _demo_options,
}
VERBS: dict[str, Callable[..., None]] = {
    "train": models.train,
    "evaluate": models.evaluate,
    "predict": models.predict,
    "fill": models.fill,
    "tune": after.tune,
    "review": review.review,
    "simulate-review": review.simulate_review,
    "export": after.export,
    "hide": hiding.hide,
    "import": tables.import_,
    "inspect": tables.inspect,
    "split": tables.split,
    "serve": serve.serve,
    "bench": bench.bench,
    "methods": listing.methods,
    "demo": demo,
}
