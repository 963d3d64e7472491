"""Engines: where shards are processed. One file is one engine, and `--engine <its name>` exists.

An engine is given shards and reports the result of each; every shard's file is written by the worker that processed it,
so that finished shards survive any failure of the engine.
"""

from partlabel.core import registry
from partlabel.sharded.engines._base import Engine

__all__ = ["Engine", "get", "names"]


def names() -> list[str]:
    """List the names of all engines."""
    return registry.names(__name__)


def get(name: str) -> type[Engine]:
    """Find the engine of that name, or of that dotted path.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    return registry.find(__name__, name)
