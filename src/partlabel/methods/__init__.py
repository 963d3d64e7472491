"""The methods: one file is one paper, and dropping a file in here makes `--method <its name>` exist.

Every public module of this folder holds one `Method` subclass, the one whose name, in lower case, is the module's
without underscores (`sst.py` holds `SST`, `partial_bce.py` would hold `PartialBCE`).
"""

import pkgutil
from importlib import import_module

from partlabel.methods._base import Batch, Method, Progress, Step
from partlabel.text import did_you_mean

__all__ = ["Batch", "Method", "Progress", "Step", "get", "names"]


def names() -> list[str]:
    """The names of all methods, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> type[Method]:
    """The method of that name.

    Args:
        name: One of `names()`, or the dotted path of a `Method` subclass elsewhere (`my_package.MyMethod`).

    Raises:
        ValueError: There is no such method; the message names the nearest.
    """
    if "." in name:
        module, _, attribute = name.rpartition(".")
        return getattr(import_module(module), attribute)
    if name not in names():
        raise ValueError(f"there is no method {name!r}{did_you_mean(name, names())}; there are: {', '.join(names())}")
    module = import_module(f"{__name__}.{name}")
    return next(
        thing
        for key, thing in vars(module).items()
        if key.lower() == name.replace("_", "") and isinstance(thing, type) and issubclass(thing, Method)
    )
