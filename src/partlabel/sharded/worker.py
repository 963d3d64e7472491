"""The work on one shard: read it, predict or fill, and write the result."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from partlabel.core.labels import UNKNOWN
from partlabel.data.images.dataset import NoneReadable
from partlabel.data.readers import wide_csv
from partlabel.data.tables import io
from partlabel.data.tables.closure import with_added
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import aligned
from partlabel.sharded.job import Job, ShardResult
from partlabel.sharded.webdataset import TARS, unpacked

if TYPE_CHECKING:
    from partlabel.tagger import Tagger


class Worker:
    """Processes shards; loads the model once.

    Args:
        job: Work to do.
        device: Device of the model.
    """

    def __init__(self, job: Job, device: str = "cpu") -> None:
        from partlabel.tagger import Tagger

        self.job = job
        self.tagger = Tagger.load(job.run, job.trust).to(device)

    def __call__(self, shard: str) -> ShardResult:
        """Write the result of a shard.

        Args:
            shard: Name of the shard.

        Returns:
            The outcome. Errors in the shard's images or labels are part of it, so that other shards continue; errors of
            the disk, the network or the program are raised.
        """
        try:
            with _opened(self.job, shard, self.tagger.classes) as table:
                found = self._found(table)
        except ValueError as error:
            return ShardResult(shard, 0, str(error))
        io.write_wide(found, self.job.result(shard))
        return ShardResult(shard, len(found), "")

    def _found(self, given: LabelTable | FilledTable) -> pl.DataFrame:
        table = given.table if isinstance(given, FilledTable) else given
        job, tagger = self.job, self.tagger
        how: dict[str, Any] = {
            "batch_size": job.batch_size,
            "workers": job.workers,
            "skip_broken": job.skip_broken,
        }
        try:
            if job.decide:
                return tagger.decide(table, **how).frame()
            if job.verb == "predict":
                return tagger.predict(table, **how)
            how |= {"precision": job.precision, "precision_of": job.precision_of}
            return tagger.fill(given, job.accept, job.reject, **how).frame()
        except NoneReadable:
            return _nothing(job, tagger, table)


@contextmanager
def _opened(job: Job, shard: str, classes: Sequence[str]) -> Iterator[LabelTable | FilledTable]:
    """Open the table of a shard and its images; for `fill` with the probabilities and sources of an earlier fill."""
    path = job.shards / shard
    if path.name.endswith(TARS):
        with TemporaryDirectory(prefix="partlabel-") as folder:
            yield unpacked(path, Path(folder), classes)
    elif job.verb == "fill" and FilledTable.is_in(path):
        yield FilledTable.load(path, job.root, missing="keep")
    else:
        yield wide_csv.read(path, job.root)


def _nothing(job: Job, tagger: "Tagger", table: LabelTable) -> pl.DataFrame:
    """Return the result of a shard without a readable image: its columns, and no row."""
    from partlabel.data.tables import filled

    if job.verb == "predict" and not job.decide:
        return pl.DataFrame(schema={"image": pl.String} | dict.fromkeys(tagger.classes, pl.Float32))
    if job.decide:
        blank = LabelTable(
            table.images[:1], tagger.classes, np.full((1, len(tagger.classes)), UNKNOWN, np.int8)
        )
    else:
        blank = aligned(with_added(table[:1], tagger.rules), tagger.classes)
    return filled.fill(blank, np.zeros(blank.labels.shape, np.float32), model=tagger.name).frame().clear()
