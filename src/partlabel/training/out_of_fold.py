"""Out-of-fold logits of a run: those of training images by models that were not fitted on them, where kept.

`out_of_fold.safetensors` in the run's folder holds `logits` (float32, image x class), a row for each image of the part
`train` of `labels.parquet`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import TRAIN
from partlabel.selection.result import load_out_of_fold
from partlabel.training.run_folder import Run


class OutOfFold(NamedTuple):
    """Out-of-fold logits and their images.

    Attributes:
        table: The training images, with their known labels.
        logits: Out-of-fold logits of each image.
        with_texts: The same with the evidence of the texts, by sources that were fitted without them; None without.
    """

    table: LabelTable
    logits: Float32[np.ndarray, "image class"]
    with_texts: Float32[np.ndarray, "image class"] | None = None

    @classmethod
    def of(cls, run: Run) -> "OutOfFold | None":
        """Load the out-of-fold logits of a run; None where training kept none.

        Raises:
            ValueError: The file is damaged, or has other images than the run's table.
        """
        path = run.out_of_fold
        if not path.exists() or not run.labels.exists():
            return None
        (logits, with_texts), table = load_out_of_fold(path), run.table().part(TRAIN)
        if logits.shape != table.labels.shape:
            raise ValueError(
                f"{path} holds logits of shape {logits.shape} for {table.labels.shape} training labels; train again"
            )
        return cls(table, logits, with_texts)

    def rows(self, table: LabelTable) -> Int64[np.ndarray, " image"]:
        """Find the row of each image of a table; -1 for images that are not here or are of another image folder."""
        if table.root is None or self.table.root is None or not _same(table.root, self.table.root):
            return np.full(len(table), -1)
        number = {image: row for row, image in enumerate(self.table.images)}
        return np.fromiter((number.get(image, -1) for image in table.images), np.int64, len(table))

    def logits_of(
        self, table: LabelTable
    ) -> tuple[Float32[np.ndarray, "image class"], Bool[np.ndarray, " image"]]:
        """Look up the logits of a table's images; zeros for images that are not here, and which images are here."""
        rows = self.rows(table)
        kept = rows >= 0
        logits = np.zeros((len(table), self.logits.shape[1]), np.float32)
        logits[kept] = self.logits[rows[kept]]
        return logits, kept


def _same(one: Path, other: Path) -> bool:
    return Path(one).resolve() == Path(other).resolve()
