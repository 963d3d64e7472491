"""Code that a dotted path may import: installed packages; if a user typed it, also the working directory.

A model folder may come from an untrusted source. Its description names a method and a head; loading it must not run
code from the folder, from beside it, or from the working directory.
"""

import os
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


def import_typed(description: Any, folders: Sequence[Path]) -> None:
    """Import the modules that dotted paths in a description name, from some folders besides installed packages.

    The folders are searched for these imports only. A module that is not found is ignored here.

    Args:
        description: Names and options of a method or head, from the command line or from a trusted model; any text in
            it may be a dotted path.
        folders: Folders that are searched after installed packages.
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
    """Check that dotted paths in a description lead to installed packages; nothing is imported for that.

    The author of a model controls its folder, and possibly others: that of its archive, or the working directory.
    Modules that are already imported are trusted.

    Args:
        file: File that contains the description, for the message.
        description: Names and options of a model's method and head; any text in it may be a dotted path.
        folders: Folders that are searched last, to name them in the message; nothing in them is imported.

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
                f"{file} names {name!r}, and {strange[0]} does not belong to an installed package: code that may have "
                "come with a model is not run. Read it, and if you trust it, give --trust (trust=True), or install "
                "its package"
            )


def _dotted(description: Any) -> Iterator[str]:
    """Yield the dotted paths in a description, at any depth."""
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
    """Find the files and folders that an import of a module would use; none if there is no such module."""
    places: list[Path] = []
    path: Sequence[str] | None = None
    home = ""
    for part in module.split("."):
        home = f"{home}.{part}" if home else part
        try:
            spec = find_spec(home) if path is None else PathFinder.find_spec(home, path)
            if spec is None and path is None:
                spec = PathFinder.find_spec(home, [str(folder.resolve()) for folder in folders])
        except (ValueError, ImportError):  # of a module without a specification, such as __main__
            break
        if spec is None:
            break
        path = list(spec.submodule_search_locations or ())
        places += [Path(each) for each in ([spec.origin] if spec.has_location and spec.origin else []) + path]
    return places


def _is_editable(module: str) -> bool:
    """Return whether a module is of a package that was installed for editing, by an import hook of setuptools."""
    top = module.partition(".")[0]
    hooks = [each for each in sys.meta_path if getattr(each, "__module__", "").startswith("__editable__")]
    return any(each.find_spec(top, None) is not None for each in hooks)


def _is_installed(place: Path) -> bool:
    """Return whether a file or folder, or the target of its links, belongs to an installed package."""
    names = (Path(os.path.abspath(place)), place.resolve())
    return any(name.is_relative_to(home) for name in names for home in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    """Find the folders of installed packages: Python's, and those that editable installs point to."""
    homes = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]
    homes += site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
    pointed = [
        line.strip()
        for home in homes
        for file in sorted(Path(home).glob("*.pth"))
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip() and not line.startswith(("import ", "import\t", "#"))
    ]
    package = Path(__file__).resolve().parents[1]
    found = {
        package,
        *(Path(home) for home in homes),
        *(Path(line) for line in pointed if os.path.isabs(line)),
    }
    return tuple({*found, *(home.resolve() for home in found)})
