"""Runs a grid in several processes; each result is a file of its own, so that an interrupted benchmark resumes.

======================  ==========================================================================
cells/<key>.json        one result, with everything it depends on; the key is a hash of that
results.parquet         all results, one per row
contents.json           hashes of the images of each table, and of files of class vectors
======================  ==========================================================================
"""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from io import StringIO
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import polars as pl

from partlabel.bench.grid import Grid, GridCell, GridJob
from partlabel.core.files import atomic_write, plain, read_json, write_json
from partlabel.core.messages import some
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.run_folder import digest

if TYPE_CHECKING:
    from partlabel.bench.cell import Data
    from partlabel.nn.backbone import Backbone

MADE = 1
"""Version of the computation of results; a new version invalidates older results."""


class Folder:
    """The folder of results.

    Args:
        path: Path of the folder; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.cells = self.path / "cells"
        self.results = self.path / "results.parquet"
        self.contents = self.path / "contents.json"

    def of(self, cell: GridCell) -> Path:
        """Return the file of a result."""
        return self.cells / f"{cell.key}.json"

    def read(self, cell: GridCell) -> dict[str, Any] | None:
        """Read a result; None where there is none."""
        path = self.of(cell)
        row = read_json(path) if path.exists() else None
        return row if row is not None and row["made"] == MADE else None

    def write(self, cell: GridCell, row: dict[str, Any]) -> None:
        """Write a result."""
        self.cells.mkdir(parents=True, exist_ok=True)
        about = {"made": MADE, "settings": cell.settings(), "versions": _versions()}
        write_json(self.of(cell), plain(row | about))

    def check_made_of(self, contents: Mapping[str, str]) -> None:
        """Record the inputs of results that their settings only name; the first use of a name is recorded.

        Args:
            contents: Hash of the bytes behind each name.

        Raises:
            ValueError: Results in this folder were computed from other inputs.
        """
        before: dict[str, str] = read_json(self.contents) if self.contents.exists() else {}
        changed = [name for name, now in contents.items() if before.get(name, now) != now]
        if changed:
            raise ValueError(
                f"{self.path} holds results of different {some(changed)} with the same names: give another out (--out)"
            )
        if contents.keys() - before.keys():
            write_json(self.contents, {**before, **contents})

    def gather(self, cells: list[GridCell]) -> pl.DataFrame:
        """Collect the existing results of a job in a table, in the order of its cells, and write it."""
        rows: list[dict[str, Any]] = []
        settings: dict[tuple[str, float | None, str], dict[str, Any]] = {}
        for cell in cells:
            job = cell.protocol.name, cell.known
            row = _with(settings.get((*job, cell.arm.tuned_as or cell.arm.name)), self.read(cell))
            if row is not None:
                rows.append(row)
                settings.setdefault((*job, cell.arm.name), row["found"])
        nested = ("found", "tries", "history", "settings", "versions")
        flat = [
            {k: json.dumps(v) if k in nested else v for k, v in row.items() if k != "made"} for row in rows
        ]
        table = pl.DataFrame(flat, infer_schema_length=None, schema_overrides={"known": pl.Float64})
        if len(table):
            with atomic_write(self.results) as aside:
                table.write_parquet(aside)
        return table


def cells(grid: Grid, table: str) -> list[GridCell]:
    """List all cells of a grid, those of a job together."""
    return [cell for job in grid.jobs() for cell in of_job(grid, job, table)]


def of_job(grid: Grid, job: GridJob, table: str) -> list[GridCell]:
    """List the cells of a job in order: the first is the one that is tuned."""
    return [
        GridCell(grid, arm, job.protocol, job.known, seed, table) for arm in job.arms for seed in grid.seeds
    ]


def run_grid(
    grid: Grid,
    table: LabelTable,
    out: str | Path,
    processes: int = 1,
    cache_dir: str | None = None,
) -> Iterator[tuple[GridJob, str | None]]:
    """Run the missing cells, job by job; finished jobs come first.

    Args:
        grid: The grid.
        table: A table with a root and the parts `train` and `test`.
        out: Folder of the results.
        processes: Number of processes, each with its share of the cores.
        cache_dir: Folder of the feature cache.

    Yields:
        Each finished job, with its error message, if any.

    Raises:
        ValueError: The table lacks a part, or results in the folder are of other images or class vectors.
    """
    from partlabel.bench import cell as cell_

    folder, name = Folder(out), digest(table)
    data = cell_.Data.of(table, cache_dir)
    folder.check_made_of({f"photos of table {name}": data.photo_hash} | _word_files(grid))
    jobs = [(job, _done(folder, of_job(grid, job, name))) for job in grid.jobs()]
    yield from ((job, None) for job, done in jobs if done)
    todo = [job for job, done in jobs if not done]
    # By one process, before several want them.
    wanted = dict.fromkeys(cell_.view_of(arm) for job in todo for arm in job.arms)
    backbones = {view: cell_.backbone_of(data, grid, view) for view in wanted}
    for backbone in backbones.values():
        cell_.features_of(data, grid, backbone)
    given = (data, backbones, name, folder.path)
    if processes == 1:
        for job in todo:
            yield job, run_job(grid, job, *given)
        return
    threads = max((os.cpu_count() or 1) // processes, 1)
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (threads, grid.named)) as pool:
        left = iter(todo)
        running: dict[Future[str | None], GridJob] = {}
        try:
            while True:
                # No more than are at work: a benchmark that is stopped leaves nothing behind that goes on.
                while len(running) < processes and (ready := next(left, None)) is not None:
                    running[pool.submit(run_job, grid, ready, *given)] = ready
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(done), _result(done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def run_job(
    grid: Grid,
    job: GridJob,
    data: "Data",
    backbones: Mapping[tuple[int, int], "Backbone"],
    table: str,
    out: Path,
) -> str | None:
    """Run the missing cells of a job and return an error message, if any.

    When an arm fails, its other seeds and the arms that depend on its search are skipped, and the rest continues, so
    that one failure does not cost a night's grid.

    Args:
        grid: Grid of the job.
        job: The job.
        data: The images.
        backbones: Backbones by what features depend on.
        table: Digest of the table.
        out: Folder of the results.
    """
    from partlabel.bench import cell as cell_

    folder = Folder(out)
    settings: dict[str, dict[str, Any]] = {}
    faults: dict[str, str] = {}
    views: dict[tuple[int, int], cell_.PartFeatures] = {}
    for each in of_job(grid, job, table):
        leader = each.arm.tuned_as or each.arm.name
        if each.arm.name in faults or (leader in faults and leader not in settings):
            continue
        found = settings.get(leader)
        row = _with(found, folder.read(each))
        if row is None:
            try:
                view = cell_.view_of(each.arm)
                if view not in views:
                    views[view] = cell_.features_of(data, grid, backbones[view])
                with redirect_stderr(StringIO()):  # one bar, that of the grid
                    row = cell_.run_cell(data, views[view], each, found)
            except Exception as error:  # of a method from anywhere
                text = str(error) or type(error).__name__
                faults[each.arm.name] = f"{each.arm.name}, {each.protocol.name}, seed {each.seed}: {text}"
                continue
            folder.write(each, row)
        settings.setdefault(each.arm.name, row["found"])
    return "; ".join(faults.values()) or None


def _result(done: Future[str | None]) -> str | None:
    try:
        return done.result()
    except BrokenProcessPool as error:
        raise OSError(
            "a process of the benchmark was killed, perhaps out of memory: finished results are kept; run the same "
            "command again with fewer --processes"
        ) from error


def _done(folder: Folder, runs: list[GridCell]) -> bool:
    """Return whether all results of a job exist, with the hyperparameters that its first one found."""
    first = folder.read(runs[0])
    return first is not None and all(_with(first["found"], folder.read(cell)) for cell in runs)


def _with(found: dict[str, Any] | None, row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a result if it was computed with these hyperparameters.

    The key of an arm that takes over those of another does not contain them, and another search finds others.
    """
    return row if found is None or row is None or row["found"] == found else None


def _word_files(grid: Grid) -> dict[str, str]:
    """Hash the files of class vectors; a missing file fails only its own arm."""
    from partlabel.data.class_vectors import EMBEDDERS, LEARNED

    files = {arm.words for arm in grid.arms if arm.words is not None} - {LEARNED, *EMBEDDERS}
    return {
        f"class vectors of {file}": blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
        for file in sorted(files)
        if Path(file).is_file()
    }


def _begin(threads: int, named: list[Any]) -> None:
    """Take a share of the cores, and end when the parent process ends."""
    import torch

    from partlabel.core import safe_loading

    safe_loading.import_typed(named, [Path.cwd()])
    torch.set_num_threads(threads)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


@cache
def _versions() -> dict[str, Any]:
    names = ("partlabel", "torch", "torchvision", "timm", "lightning", "numpy")
    return {name: version(name) for name in names} | {
        "source": _source(), "python": platform.python_version(),
        "machine": platform.machine(), "cores": os.cpu_count(),
    }  # fmt: skip


def _source() -> str:
    """Compute a digest of this package's code, which has the same version between two releases."""
    root = Path(__file__).parents[1]
    digest = blake2b(digest_size=6)
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
