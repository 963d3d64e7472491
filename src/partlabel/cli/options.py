"""The options of each command: those of its signature, and those of the classes that an option names."""

import inspect
from collections.abc import Callable, Collection
from pathlib import Path

from partlabel.cli.commands._engines import ONE_FILE
from partlabel.cli.flattening import documented, flattened
from partlabel.cli.parser import Parser, UsageError
from partlabel.core.messages import did_you_mean

INPUTS = ("table", "photos")
"""What commands read, which is positional even where it may be left out."""


def add_options(parser: Parser, verb: str, command: Callable) -> None:
    """Add all options of a command."""
    OF_COMMANDS.get(verb, _from_signature)(parser, command)


def _from_signature(parser: Parser, command: Callable, skip: Collection[str] = ()) -> None:
    """Add the options of a command from its parameters. Optional inputs are positional, too."""
    options = flattened(command)
    parameters = inspect.signature(options).parameters
    optional = [name for name in INPUTS if name in parameters and parameters[name].default is None]
    parser.add(options, skip={"format", "engine", *skip, *optional}, title="arguments", positional=True)
    for name in optional:
        parser.optional_positional(name, Path, documented(options).get(name, ""))
    if "format" in parameters:
        _add_formats(parser)
    if "engine" in parameters:
        _add_engines(parser)


def _of_train(parser: Parser, command: Callable) -> None:
    """Add the options of the command, its method and head, `Tagger` and `TrainingConfig`."""
    from partlabel import methods
    from partlabel.core import safe_loading
    from partlabel.nn import heads
    from partlabel.tagger import Tagger
    from partlabel.training.config import AUTO, TrainingConfig

    safe_loading.import_typed([parser.given("method"), parser.given("head")], [Path.cwd()])
    own = ("method", "method_args", "head", "head_args")
    _from_signature(parser, command, skip=(*own, "recipe"))
    names = f"{', '.join(methods.names())}, or a dotted path such as my_file.MyMethod"

    def auto() -> None:
        """Choose the method by cross-validation."""

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


def _of_start(parser: Parser, command: Callable) -> None:
    """Add the options of the command, and those of the backbone."""
    from partlabel.tagger import Tagger

    _from_signature(parser, command)
    own = ("classes", "method", "method_args", "head", "head_args", "trainable", "pool", "words")
    parser.add(Tagger, skip=own, title="model")


def _add_formats(parser: Parser) -> None:
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


def _add_engines(parser: Parser) -> None:
    """Add `--engine` and the options of the engine that it names."""
    from partlabel.sharded import engines

    def none() -> None:
        """Write one file in this process, without shards."""

    parser.add_choice(
        "engine",
        lambda name: none if name == ONE_FILE else engines.get(name),
        default=ONE_FILE,
        help=f"Process the input in shards, so that a stopped command can be resumed: "
        f"{', '.join(engines.names())}; {ONE_FILE}: write one file",
    )


def _of_hide(parser: Parser, command: Callable) -> None:
    """Add the options of the command and of its scheme."""
    from partlabel.data.tables.hiding import SCHEMES

    _from_signature(parser, command)
    name = parser.given("scheme") or "uniform"
    if name not in SCHEMES:
        raise UsageError(
            f"--scheme: there is no scheme {name!r}{did_you_mean(name, SCHEMES)}; schemes: {', '.join(SCHEMES)}"
        )
    parser.add(SCHEMES[name], skip=("labels", "seed"), title=f"scheme {name}")


def _of_demo(parser: Parser, command: Callable) -> None:
    """Add the options of the demo."""
    from partlabel.demo.run import run

    parser.add(run, title="arguments")


OF_COMMANDS: dict[str, Callable[[Parser, Callable], None]] = {
    "train": _of_train,
    "start": _of_start,
    "hide": _of_hide,
    "demo": _of_demo,
}
"""Commands that have options beyond their signature."""
