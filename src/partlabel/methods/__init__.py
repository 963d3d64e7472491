"""Methods: one file is one paper, and dropping a file in here makes `--method <its name>` exist."""

from partlabel.core import registry
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import FullBatch, Method, Step

__all__ = ["Batch", "FullBatch", "Method", "Progress", "Step", "get", "names"]


def names() -> list[str]:
    """List the names of all methods, in alphabetical order."""
    return registry.names(__name__)


def get(name: str) -> type[Method]:
    """Find the method of that name, or at that dotted path (`my_package.MyMethod`).

    Raises:
        ValueError: There is no such method; the message names the nearest.
    """
    return registry.find(__name__, name)
