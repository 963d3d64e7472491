"""Which code a dotted path may import: installed packages, and for what a user typed the working directory as well.

A model folder may come from anybody. Its description names a method and a head; loading it must not run code that came
with it, beside it, or that lies in the working directory.
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

    The folders are looked in for these imports alone. What is not there either is left to whoever asks for it.

    Args:
        description: What was typed of a method or head, or what a model that is trusted says; anything in it may be a
            name.
        folders: Looked in last.
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
    """See that dotted paths in a description lead to installed packages; nothing is imported for that.

    Whoever gives a model away fills its folder, and may fill others: the archive it came in, the working directory.
    Modules that were imported already are as their user wants them.

    Args:
        file: That the description is from.
        description: What is said of a model's method and head; anything in it may be a name.
        folders: Looked in last, to say what lies there; nothing in them is imported either.

    Raises:
        ValueError: One leads elsewhere; the message names it, the file, and how to trust it.
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
    """The dotted paths in a description, however deep."""
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
    """The files and folders that would be run or looked through to import a module; none if there is no such one."""
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
    """Whether a module is of a package that was installed for editing, by an import hook of setuptools."""
    top = module.partition(".")[0]
    hooks = [each for each in sys.meta_path if getattr(each, "__module__", "").startswith("__editable__")]
    return any(each.find_spec(top, None) is not None for each in hooks)


def _is_installed(place: Path) -> bool:
    """Whether a file or folder belongs to an installed package, as it is named or as what it links to."""
    names = (Path(os.path.abspath(place)), place.resolve())
    return any(name.is_relative_to(home) for name in names for home in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    """Where packages are installed: Python's folders, and those that editable installs point to."""
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
