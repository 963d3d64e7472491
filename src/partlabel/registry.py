"""The folder is the registry: a public module in a folder holds one class, and the module's name is its name.

`methods/sst.py` holds `SST`, `nn/heads/class_attention.py` would hold `ClassAttention`: the class whose name,
in lower case, is the module's without underscores.
"""

import inspect
import pkgutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
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


def refuse_code_within(folder: Path, description: Any) -> None:
    """See that no dotted path in a description leads to a file in a folder; nothing is imported for that.

    Whoever gives a model away fills its folder: what lies there is not run because a working directory is there too.
    Modules that were imported already, and installed packages, are as their user wants them.

    Args:
        folder: Of the model.
        description: What is said of its method and head; anything in it may be a name.

    Raises:
        ValueError: One does; the message names it and the mend.
    """
    if isinstance(description, Mapping):
        description = list(description.values())
    if isinstance(description, list | tuple):
        for each in description:
            refuse_code_within(folder, each)
    elif isinstance(description, str) and "." in description:
        module = description.rpartition(".")[0]
        if within := [place for place in _places(module) if _is_within(place, folder)]:
            raise ValueError(
                f"{folder / 'config.json'} names {description!r}, and {within[0]} lies in the model's own folder: code "
                "that comes with a model is not run; read it, and if you trust it, install its package or move it "
                "elsewhere"
            )


def _places(module: str) -> list[Path]:
    """The files and folders that would be run or looked through to import a module; none if it was imported before."""
    places: list[Path] = []
    if module in sys.modules:
        return places
    path: Sequence[str] | None = None
    home = ""
    for part in module.split("."):
        home = f"{home}.{part}" if home else part
        try:
            spec = find_spec(home) if path is None else PathFinder.find_spec(home, path)
        except ValueError:  # of a module without a specification, such as __main__
            break
        if spec is None:
            break
        path = list(spec.submodule_search_locations or ())
        places += [Path(each) for each in ([spec.origin] if spec.has_location and spec.origin else []) + path]
    return places


def _is_within(place: Path, folder: Path) -> bool:
    """Whether a file or folder lies in a folder, by its own name or by what it links to, and is not installed."""
    names = (place.parent.resolve() / place.name, place.resolve())
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")]
    if any(name.is_relative_to(home) for name in names for home in installed):
        return False
    return any(name.is_relative_to(folder.resolve()) for name in names)
