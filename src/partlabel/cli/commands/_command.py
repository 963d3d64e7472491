"""Commands and their groups: `@command("Use")` above a function in a file of this folder makes it a command."""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeVar

Group = Literal["Prepare", "Learn", "Judge", "Use"]
GROUPS: dict[Group, str] = {
    "Prepare": "read labels, look for problems, choose what to label first",
    "Learn": "train a tagger on the known labels",
    "Judge": "measure how good a tagger is, compare methods",
    "Use": "label photos, review labels, take the tagger elsewhere",
}
"""What a person is doing, in the order of the help."""
Run = TypeVar("Run", bound=Callable[..., None])


class Declared(NamedTuple):
    """What a file says about its command."""

    function: Callable[..., None]
    group: Group
    with_model: bool


_declared: dict[str, Declared] = {}


def command(group: Group, with_model: bool = False) -> Callable[[Run], Run]:
    """Declare a function to be a command; `simulate_review` becomes `simulate-review`.

    Args:
        group: What a person does with it.
        with_model: Whether it trains a model or runs one, for which PyTorch is loaded.
    """

    def declare(function: Run) -> Run:
        verb = function.__name__.strip("_").replace("_", "-")
        _declared[verb] = Declared(function, group, with_model)
        return function

    return declare


def commands(package: str) -> Mapping[str, Declared]:
    """Import the files of a folder, and return their commands by group, in alphabetical order."""
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
    order: list[Any] = list(GROUPS)
    return dict(sorted(_declared.items(), key=lambda each: (order.index(each[1].group), each[0])))
