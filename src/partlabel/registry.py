"""The folder is the registry: a public module in a folder holds one class, and the module's name is its name.

`methods/sst.py` holds `SST`, `nn/heads/class_attention.py` would hold `ClassAttention`: the class whose name,
in lower case, is the module's without underscores.
"""

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from partlabel.text import did_you_mean


def names(package: str) -> list[str]:
    """The names of the public modules in a package, in alphabetical order."""
    path = import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))


def find(package: str, name: str) -> type:
    """The class that goes by a name in a package, or by a dotted path elsewhere (`my_package.MyMethod`).

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    home, _, wanted = name.rpartition(".")
    if not home:
        if name not in (known := names(package)):
            kind = package.rpartition(".")[2].removesuffix("s")
            raise ValueError(
                f"there is no {kind} {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"
            )
        home, wanted = f"{package}.{name}", name.replace("_", "")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        raise ValueError(f"cannot import {name!r}: {error}") from error
    for key, thing in vars(module).items():
        if key.lower() == wanted.lower() and isinstance(thing, type):
            return thing
    raise ValueError(f"{home} holds no class {wanted!r}{did_you_mean(wanted, vars(module))}")


def choose(package: str, name: str, base: type, options: Mapping[str, Any], given: Sequence[str]) -> Any:
    """The class of that name, once it is seen to be of a kind and to take some options.

    A description may come from anybody: nothing but methods and heads is ever made from one.

    Args:
        package: As `find` takes it.
        name: As `find` takes it.
        base: The kind.
        options: By name.
        given: Arguments of its constructor that are no options.

    Raises:
        ValueError: There is none, or it is of another kind.
        TypeError: It has no such option; the message names the nearest.
    """
    kind = find(package, name)
    if not issubclass(kind, base):
        raise ValueError(f"{kind.__module__}.{kind.__qualname__} is no {base.__name__}")
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for option in options:
        if option not in known:
            raise TypeError(f"{kind.__name__} has no option {option!r}{did_you_mean(option, known)}")
    return kind
