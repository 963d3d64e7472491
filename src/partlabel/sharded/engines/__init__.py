"""Engines: where the shards of a collection are worked on. One file is one engine, and `--engine <its name>` exists.

An engine is handed work on shards (`shards/`) and says what came of each; every shard's file is written by the one
who works on it, so that what is done stays done, whatever becomes of the engine.
"""

from partlabel.core import registry
from partlabel.sharded.engines._base import Engine

__all__ = ["Engine", "get", "names"]


def names() -> list[str]:
    """The names of all engines."""
    return registry.names(__name__)


def get(name: str) -> type[Engine]:
    """The engine of that name, or of that dotted path.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    return registry.find(__name__, name)
