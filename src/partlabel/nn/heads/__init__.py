"""Heads: from a feature map to a logit per class, and where a head has them a feature and an attention map per class.

One file is one head, and dropping a file in here makes `--head <its name>` exist.
"""

from partlabel.core import registry
from partlabel.nn.heads._base import ClassOutput, Head

__all__ = ["ClassOutput", "Head", "get", "names"]


def names() -> list[str]:
    """List the names of all heads, in alphabetical order."""
    return registry.names(__name__)


def get(name: str) -> type[Head]:
    """Find the head of that name, or at that dotted path (`my_package.MyHead`).

    Raises:
        ValueError: There is no such head; the message names the nearest.
    """
    return registry.find(__name__, name)
