"""The command line. Each command is a function in `commands/`, a thin layer above `Tagger` or `LabelTable`.

Options come from signatures (see `parser.py`). Heavy packages are imported inside the command that needs them, so that
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
from partlabel.cli.commands import (
    bench,
    demo,
    evaluate,
    export,
    fill,
    hide,
    import_,
    methods,
    predict,
    review,
    serve,
    simulate_review,
    split,
    train,
    tune,
)
from partlabel.cli.commands import inspect as inspect_
from partlabel.cli.commands._engines import ONE_FILE
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
    if verb in WITH_MODEL and not {"-h", "--help"} & set(rest):
        say("Loading PyTorch")  # takes seconds
    description = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    parser = Parser(f"partlabel {verb}", rest, description, config=verb == "train")
    OPTIONS.get(verb, _options)(parser, function)
    recipe = {"recipe": ", ".join(name for name, _ in parser.configurations)} if parser.configurations else {}
    function(**parser.parse(), **recipe)


def _overview() -> str:
    """Format the help of all commands, by purpose."""
    lines: list[str] = []
    for purpose, commands in GROUPS.items():
        lines += ["", f"{purpose}:"]
        lines += [
            f"  {verb:<17}{(inspect.getdoc(run) or '').splitlines()[0]}" for verb, run in commands.items()
        ]
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


def _options(parser: Parser, function: Callable, skip: Collection[str] = ()) -> None:
    """Add the options of a command from its parameters. An optional table is positional, too."""
    parameters = inspect.signature(function).parameters
    may_have_table = "table" in parameters and parameters["table"].default is None
    skip = {"format", "engine", "options", *skip, *["table"] * may_have_table}
    parser.add(function, skip=skip, title="arguments", positional=True)
    if may_have_table:
        parser.optional_positional("table", Path, "Label table; default: the one the run was trained on.")
    if "format" in parameters:
        _format_options(parser)
    if "engine" in parameters:
        _engine_options(parser)


def _train_options(parser: Parser, function: Callable) -> None:
    """Add the options of the command, its method and head, `Tagger` and `TrainingConfig`."""
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
        """Chosen by cross-validation."""

    method = parser.add_choice(
        "method",
        lambda name: auto if name == AUTO else methods.get(name),
        AUTO,
        f"Training method: {AUTO} (method, head and weight decay are chosen by cross-validation), {names}",
        skip=("backbone", "head"),
    )
    parser.add_choice(
        "head",
        lambda name: auto if method is auto and name == AUTO else heads.get(name),
        AUTO if method is auto else methods.get(parser.chosen["method"]).default_head,
        f"Classification head: {', '.join(heads.names())}, or a dotted path",
        skip=("channels", "classes"),
    )
    parser.add(Tagger, skip=("classes", *own), title="model")
    parser.add(TrainingConfig, title="training")


def _format_options(parser: Parser) -> None:
    """Add `--format` and the options of the reader that it names; without a name, those options that are given."""
    from partlabel.data import readers

    def auto() -> None:
        """Format recognised from the file."""

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
        help=f"Format of the table: auto, {', '.join(readers.names())}",
        skip=("path", "images", "absent"),
    )
    parser.elsewhere |= {name: f"--format.{name}" for name in takes}


def _engine_options(parser: Parser) -> None:
    """Add `--engine` and the options of the engine that it names."""
    from partlabel.sharded import engines

    def none() -> None:
        """No shards: this process writes one file."""

    parser.add_choice(
        "engine",
        lambda name: none if name == ONE_FILE else engines.get(name),
        default=ONE_FILE,
        help=f"Process the input in shards, so that a stopped command can be resumed: "
        f"{', '.join(engines.names())}; {ONE_FILE}: write one file",
    )


def _hide_options(parser: Parser, function: Callable) -> None:
    """Add the options of the command and of its scheme."""
    from partlabel.data.tables.hiding import SCHEMES

    _options(parser, function)
    name = parser.given("scheme") or "uniform"
    if name not in SCHEMES:
        raise UsageError(
            f"--scheme: there is no scheme {name!r}{did_you_mean(name, SCHEMES)}; schemes: {', '.join(SCHEMES)}"
        )
    parser.add(SCHEMES[name], skip=("labels", "seed"), title=f"scheme {name}")


def _demo_options(parser: Parser, function: Callable) -> None:
    """Add the options of the demo."""
    from partlabel.demo.run import run

    parser.add(run, title="arguments")


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


WITH_MODEL = frozenset({"train", "evaluate", "predict", "fill", "tune", "review", "export"})
"""Commands that train a model or run one."""
OPTIONS: dict[str, Callable[[Parser, Callable], None]] = {
    "train": _train_options,
    "hide": _hide_options,
    "demo": _demo_options,
}
GROUPS: dict[str, dict[str, Callable[..., None]]] = {
    "Prepare labels": {
        "import": import_.import_,
        "inspect": inspect_.inspect,
        "split": split.split,
        "hide": hide.hide,
    },
    "Train": {"train": train.train, "tune": tune.tune, "methods": methods.methods},
    "Evaluate and compare": {
        "evaluate": evaluate.evaluate,
        "bench": bench.bench,
        "simulate-review": simulate_review.simulate_review,
    },
    "Label images": {"predict": predict.predict, "fill": fill.fill, "review": review.review},
    "Deploy": {"export": export.export, "serve": serve.serve},
    "Try it": {"demo": demo.demo},
}
"""Commands by purpose, in the order of the help."""
VERBS = {verb: function for commands in GROUPS.values() for verb, function in commands.items()}
