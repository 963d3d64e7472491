"""The folder is the registry: a public module in a folder holds one class, and the module's name is its name.

`methods/sst.py` holds `SST`, `nn/heads/class_attention.py` would hold `ClassAttention`: the class whose name,
in lower case, is the module's without underscores.
"""

import pkgutil
from importlib import import_module

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
