"""Commit and versions that results were computed with."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def commit() -> str:
    """Name the commit of this folder, with `-dirty` if files differ from it; empty without git."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True
        ).stdout.strip()
    except OSError:
        return ""


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of packages and of Python, by name."""
    return {name: metadata.version(name) for name in packages} | {"python": platform.python_version()}
