"""Divide input into shards: rows are written to `out/input`, files are listed; on a second run they are compared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import polars as pl

from partlabel.core.files import read_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import aligned
from partlabel.sharded import manifest
from partlabel.sharded.job import Job
from partlabel.sharded.sources import Files, SourceRows
from partlabel.training.run_folder import Run, digest

DIGITS = 12


def cut(job: Job, source: SourceRows, size: int) -> list[str]:
    """Divide the input into `out/input`, or check that it is unchanged since it was divided; return the shards' names.

    Raises:
        ValueError: There is no image, one is in two shards, or `size` is below one; the folder holds another request,
            or something else.
    """
    if size < 1:
        raise ValueError(f"a shard has one image or more, not {size}")
    folder, asked = job.out, manifest.request_of(job) | {"shard_size": size}
    begun = manifest.begun(folder, asked)
    names, total, hashes, images = [], blake2b(digest_size=manifest.DIGEST), [], 0
    for table in _in_terms_of(job, source.tables(size)):
        names.append(f"{images:0{DIGITS}}.parquet")
        if not begun:
            table.save(folder / "input" / names[-1])
        total.update(digest(table).encode())
        hashes.append(_hashes(table))
        images += len(table)
    if not names:
        raise ValueError(f"{source.root} holds no image")
    if not begun:
        _refuse_repeated(source.tables(size), np.concatenate(hashes))
    manifest.settle(folder, asked | {"input": total.hexdigest(), "images": images})
    return names


def listed(job: Job, source: Files) -> list[str]:
    """Check that the input is unchanged, if there are results of it; return the shards' names.

    Raises:
        ValueError: Results would overwrite each other or the shards; the folder holds another request, or something
            else.
    """
    folder, names = job.out, [path.name for path in source.paths]
    if folder.resolve() == source.paths[0].parent.resolve():
        raise ValueError(
            f"the results would take the place of the shards in {folder}; give another out (--out)"
        )
    if len({job.result(name) for name in names}) < len(names):
        raise ValueError(
            f"{source.paths[0].parent}: two shards have the same name but for the suffix; rename one"
        )
    asked = manifest.request_of(job)
    manifest.begun(folder, asked)
    sizes = json.dumps([(path.name, path.stat().st_size) for path in source.paths])
    total = blake2b(sizes.encode(), digest_size=manifest.DIGEST)
    manifest.settle(folder, asked | {"input": total.hexdigest()})
    return names


def _in_terms_of(job: Job, tables: Iterator[LabelTable]) -> Iterator[LabelTable]:
    """Reduce tables to what the command needs: images alone, or known labels in the order of the model's classes."""
    if job.verb == "predict":
        for table in tables:
            yield replace(table, classes=(), labels=table.labels[:, :0], split=None, origins=None, texts=None)
    else:
        classes = read_json(Run(job.run).config)["classes"]
        for table in tables:
            yield aligned(table, classes)


def _hashes(table: LabelTable) -> np.ndarray:
    return pl.Series(table.images).hash(0).to_numpy()


def _refuse_repeated(tables: Iterator[LabelTable], hashes: np.ndarray) -> None:
    """Check that no image is in two shards; where hashes are equal, its name is searched.

    Raises:
        ValueError: An image is in two shards.
    """
    hashes.sort()
    twice = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(twice):
        return
    seen: set[str] = set()
    for table in tables:
        for row in np.flatnonzero(np.isin(_hashes(table), twice)).tolist():
            if table.images[row] in seen:
                raise ValueError(
                    f"image {table.images[row]!r} has rows in more than one shard; keep one row for each image"
                )
            seen.add(table.images[row])
