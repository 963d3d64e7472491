"""Folders as registries: a public module in a folder holds one class, which is found by the module's name.

`methods/sst.py` holds `SST`, `nn/heads/class_attention.py` would hold `ClassAttention`: the class whose name,
in lower case, is the module's without underscores.
"""

import inspect
import os
import pkgutil
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module, invalidate_caches
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from partlabel.core.messages import did_you_mean


def names(package: str) -> list[str]:
    """List the names of the public modules in a package, in alphabetical order."""
    path = import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))


def find(package: str, name: str) -> type:
    """Return the class of a name in a package, or of a dotted path elsewhere (`my_package.MyMethod`).

    Raises:
        ValueError: There is none; the message suggests the nearest name.
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
    """Return the class of that name, after checking its base class and its options.

    A description may come from an untrusted source: only methods and heads are ever created from one.

    Args:
        package: As in `find`.
        name: As in `find`.
        base: Required base class.
        options: Options by name.
        given: Arguments of its constructor that are not options.

    Raises:
        ValueError: There is no such class, or it has another base class.
        TypeError: It has no such option; the message suggests the nearest name.
    """
    kind = find(package, name)
    if not issubclass(kind, base):
        raise ValueError(f"{kind.__module__}.{kind.__qualname__} is not a subclass of {base.__name__}")
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for option in options:
        if option not in known:
            raise TypeError(f"{kind.__name__} has no option {option!r}{did_you_mean(option, known)}")
    return kind


def import_typed(description: Any, folders: Sequence[Path]) -> None:
    """Import the modules that dotted paths in a description name, from some folders besides installed packages.

    The folders are searched for these imports only. A module that is not found there is left to the caller.

    Args:
        description: Options of a method or head, or the description in a trusted model; any string in it may be a name.
        folders: Folders to search last.
    """
    before = list(sys.path)
    invalidate_caches()
    try:
        sys.path += [str(folder.resolve()) for folder in folders]
        for name in _dotted(description):
            home = name.rpartition(".")[0]
            if home not in sys.modules and _places(home):
                import_module(home)
    finally:
        sys.path[:] = before


def refuse_uninstalled(file: Path, description: Any, folders: Sequence[Path] = ()) -> None:
    """Check that dotted paths in a description lead to installed packages, without importing anything.

    The author of a model controls its folder, and may control others: the archive that it came in, the working
    directory. Modules that are already imported are accepted.

    Args:
        file: File of the description.
        description: Description of a model's method and head; any string in it may be a name.
        folders: Folders to search last, to name what is there; nothing in them is imported either.

    Raises:
        ValueError: A path leads elsewhere; the message names it, the file, and how to trust it.
    """
    for name in _dotted(description):
        home = name.rpartition(".")[0]
        if home in sys.modules:
            continue
        if home.partition(".")[0] in sys.stdlib_module_names:
            raise ValueError(f"{file} names {name!r}, which is a module of Python, not a method or head")
        if _is_editable(home):
            continue
        if strange := [place for place in _places(home, folders) if not _is_installed(place)]:
            raise ValueError(
                f"{file} names {name!r}, and {strange[0]} does not belong to an installed package: code that "
                "may have come with a model is not run. Read it; if you trust it, give --trust (trust=True) or "
                "install its package"
            )


def _dotted(description: Any) -> Iterator[str]:
    """Yield the dotted paths in a nested description."""
    left = [description]
    while left:
        each = left.pop()
        if isinstance(each, Mapping):
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
        elif isinstance(each, str) and "." in each:
            yield each


def _places(module: str, folders: Sequence[Path] = ()) -> list[Path]:
    """Return the files and folders that an import of a module would run or search; empty if there is no such module."""
    places: list[Path] = []
    path: Sequence[str] | None = None
    home = ""
    for part in module.split("."):
        home = f"{home}.{part}" if home else part
        try:
            spec = find_spec(home) if path is None else PathFinder.find_spec(home, path)
            if spec is None and path is None:
                spec = PathFinder.find_spec(home, [str(folder.resolve()) for folder in folders])
        except (ValueError, ImportError):  # a module without a specification, such as __main__
            break
        if spec is None:
            break
        path = list(spec.submodule_search_locations or ())
        places += [Path(each) for each in ([spec.origin] if spec.has_location and spec.origin else []) + path]
    return places


def _is_editable(module: str) -> bool:
    """Whether a module belongs to a package that was installed in editable mode, by an import hook of setuptools."""
    top = module.partition(".")[0]
    hooks = [each for each in sys.meta_path if getattr(each, "__module__", "").startswith("__editable__")]
    return any(each.find_spec(top, None) is not None for each in hooks)


def _is_installed(place: Path) -> bool:
    """Whether a file or folder belongs to an installed package, by its path or by the target of its link."""
    names = (Path(os.path.abspath(place)), place.resolve())
    return any(name.is_relative_to(home) for name in names for home in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    """Return the folders of installed packages: Python's own, and those that editable installs point to."""
    homes = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]
    homes += site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
    pointed = [
        line.strip()
        for home in homes
        for file in sorted(Path(home).glob("*.pth"))
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip() and not line.startswith(("import ", "import\t", "#"))
    ]
    package = Path(__file__).resolve().parent
    found = {
        package,
        *(Path(home) for home in homes),
        *(Path(line) for line in pointed if os.path.isabs(line)),
    }
    return tuple({*found, *(home.resolve() for home in found)})
