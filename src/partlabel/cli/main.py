"""The command line. Each command is a function in `commands/`, a thin layer above `Tagger` or `LabelTable`.

Options come from signatures (see `options.py`). Heavy packages are imported inside the command that needs them, so that
`partlabel --help` answers at once.
"""

import inspect
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from partlabel import __version__
from partlabel.cli.commands._command import GROUPS, Group, commands
from partlabel.cli.flattening import gathered
from partlabel.cli.options import add_options
from partlabel.cli.parser import Parser, UsageError
from partlabel.core import errors
from partlabel.core.fixes import typed
from partlabel.core.messages import did_you_mean
from partlabel.core.progress_bar import QUIET, say


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The command and its options; default: the arguments of the process.

    Returns:
        Exit status: 0; 2 for wrong options or files and for any other error; 130 if interrupted; 141 if the reader of
        the output has closed it.
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
    """Flush the standard output while an error can still be reported."""
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
            f"there is no command {verb!r}{did_you_mean(verb, VERBS)}; commands: {', '.join(VERBS)} (partlabel --help)"
        )
    function = VERBS[verb]
    if DECLARED[verb].with_model and not {"-h", "--help"} & set(rest):
        say("Loading PyTorch")  # takes seconds
    description = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    parser = Parser(f"partlabel {verb}", rest, description, config=verb == "train")
    add_options(parser, verb, function)
    recipe = {"recipe": ", ".join(name for name, _ in parser.configurations)} if parser.configurations else {}
    function(**gathered(function, parser.parse()), **recipe)


def _overview() -> str:
    """Format the help of all commands, by what a person is doing."""
    lines: list[str] = []
    for group, what in GROUPS.items():
        lines += ["", f"{group}: {what}", *_lines_of(group)]
    return "\n".join(
        [
            "usage: partlabel COMMAND ...",
            "",
            "Train a multi-label image classifier when most labels are unknown, and fill in the unknown labels.",
            *lines,
            "",
            "Options of a command: partlabel COMMAND --help. With --debug, errors show their traceback; with --quiet",
            "(or PARTLABEL_QUIET=1), no progress is shown.",
        ]
    )


def _lines_of(group: Group) -> list[str]:
    """Format the first line of the help of each command of a group, within the width of the terminal."""
    wide, lines = max(shutil.get_terminal_size((120, 24)).columns, 60), []
    for verb, each in DECLARED.items():
        if each.group == group:
            text = (inspect.getdoc(each.function) or "").splitlines()[0]
            lines += textwrap.wrap(text, wide, initial_indent=f"  {verb:<17}", subsequent_indent=" " * 19)
    return lines


def _fail(message: str, code: int) -> int:
    print(f"partlabel: {message}", file=sys.stderr)
    return code


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings on one line, without the line of code that raised them, and each text once."""
    shown: set[str] = set()
    before = warnings.formatwarning

    def once(message: Warning | str, *place: Any, **more: Any) -> str:
        text = f"partlabel: warning: {typed(message)}\n"
        if text in shown:
            return ""
        shown.add(text)
        return text

    warnings.formatwarning = once
    try:
        yield
    finally:
        warnings.formatwarning = before


@contextmanager
def _quietly(quiet: bool) -> Iterator[None]:
    """Hide progress in this process and its children."""
    before = os.environ.get(QUIET)
    if quiet:
        os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if quiet and before is None:
            del os.environ[QUIET]
        elif quiet and before is not None:
            os.environ[QUIET] = before


DECLARED = commands("partlabel.cli.commands")
VERBS = {verb: each.function for verb, each in DECLARED.items()}
