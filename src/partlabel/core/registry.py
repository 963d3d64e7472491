"""Registries: a folder of files, and entry points of installed packages.

A public module in a folder holds one class, and the module's name is its name: `methods/sst.py` holds `SST`,
`nn/heads/class_attention.py` holds `ClassAttention` (the class whose name, in lower case, is the module's without
underscores). A user's package adds to a registry by an entry point, so that `pip install` is enough:

    [project.entry-points."partlabel.methods"]
    my_method = "my_package:MyMethod"

The group is `partlabel.` and the name of the folder: `methods`, `heads`, `losses`, `readers`, `texts`, `engines`,
`backbones`, `orders`.
"""

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from partlabel.core.messages import did_you_mean


def names(package: str) -> list[str]:
    """List the names in a registry, in alphabetical order: public modules of the package, and entry points."""
    return sorted({*_own(package), *plugins(package)})


@cache
def plugins(package: str) -> Mapping[str, EntryPoint]:
    """Find the entry points of other packages for a registry; names of this package's own modules are not replaced."""
    own = _own(package)
    found = entry_points(group=f"partlabel.{package.rpartition('.')[2]}")
    return {point.name: point for point in found if point.name not in own}


def _own(package: str) -> list[str]:
    path = import_module(package).__path__
    return [module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")]


def find(package: str, name: str) -> type:
    """Find a class by its name in a registry, or by a dotted path elsewhere (`my_package.MyMethod`).

    Raises:
        ValueError: There is none; the message suggests the nearest name.
    """
    home, _, wanted = name.rpartition(".")
    if not home:
        if name in plugins(package):
            return load_plugin(package, name)
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


def load_plugin(package: str, name: str) -> Any:
    """Import what an entry point names.

    Raises:
        ValueError: It cannot be imported; the message names the distribution.
    """
    point = plugins(package)[name]
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        whose = f" of the package {point.dist.name}" if point.dist else ""
        raise ValueError(
            f"cannot import {name!r}, the entry point {point.value!r}{whose}: {error}"
        ) from error


def choose(package: str, name: str, base: type, options: Mapping[str, Any], given: Sequence[str]) -> Any:
    """Find a class and check that it is of a kind and takes some options.

    A description may come from a foreign file: only subclasses of the kind are accepted.

    Args:
        package: Package of the registry, as in `find`.
        name: Name or dotted path of the class, as in `find`.
        base: The required base class.
        options: Options by name.
        given: Arguments of the constructor that are no options.

    Raises:
        ValueError: There is no such class, or it is of another kind.
        TypeError: It has no such option; the message names the nearest.
    """
    kind = find(package, name)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        shown = f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else repr(kind)
        raise ValueError(f"{shown} is not a subclass of {base.__name__}")
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for option in options:
        if option not in known:
            raise TypeError(f"{kind.__name__} has no option {option!r}{did_you_mean(option, known)}")
    return kind
