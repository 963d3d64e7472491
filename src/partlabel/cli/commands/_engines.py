"""Shared by `predict` and `fill`: the engine that `--engine` names, its output folder, and what it did."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    from partlabel.sharded import Done
    from partlabel.sharded.engines import Engine

ONE_FILE = "none"
"""Value of `--engine` without an engine: the process itself writes one file."""


def engine_of(chosen: Mapping[str, Any]) -> "Engine":
    """Create the engine that the options name."""
    from partlabel.sharded import engines

    options = dict(chosen)
    return engines.get(options.pop("name"))(**options)


def results_folder(out: Path | None, default: str) -> Path:
    """Return the folder of an engine's results."""
    if out is not None and out.suffix in (".csv", ".parquet", ".jsonl") and not out.is_dir():
        raise UsageError(f"--out {out}: with --engine, results are parquet files in a folder; name a folder")
    return out or Path(default)


def say_done(done: "Done") -> None:
    before = f", {done.kept:,} of them done before" if done.kept else ""
    print(f"{done.out}: {done.shards:,} shards{before}; {done.images:,} images in this run")
