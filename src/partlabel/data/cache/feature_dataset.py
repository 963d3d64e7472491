"""Batches of cached features, as a dataset."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch.utils.data import Dataset

from partlabel.core.types import Batch, StemOutput
from partlabel.data.cache.interface import Features
from partlabel.data.images.dataset import PLAIN, BatchRows, View
from partlabel.data.tables.label_table import LabelTable


class FeatureDataset(Dataset[Batch]):
    """Whole batches of cached features; in training each image in one of its views, drawn per epoch.

    Args:
        views: Views of the same images, the one without augmentation first, as `compute` returns them.
        table: Images of this dataset, and their labels.
        rows: Rows of those images in the views.
        seed: Random seed of the choice of views.
    """

    def __init__(
        self, views: Sequence[Features], table: LabelTable, rows: Int[np.ndarray, " image"], seed: int = 0
    ) -> None:
        self.views = list(views)
        self.labels = torch.from_numpy(np.array(table.labels))
        self.rows = rows
        self.seed = seed
        self._drawn: tuple[View, np.ndarray] = (PLAIN, np.zeros(len(rows), np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, asked: BatchRows) -> Batch:
        """Read the rows of an epoch as a batch."""
        index = np.asarray(asked.rows)
        view, rows = self.view_of(asked.view)[index], self.rows[index]
        features = np.empty((len(index), *self.views[0].shape), np.float16)
        for number in np.unique(view):
            features[view == number] = self.views[number].take(rows[view == number])
        inputs = StemOutput.of(torch.from_numpy(features).float())
        return Batch(inputs, self.labels[asked.rows], torch.tensor(asked.rows))

    def view_of(self, view: View) -> Int[np.ndarray, " image"]:
        """Draw for an epoch which cached view of each image it sees; 0 is the plain view."""
        if view == PLAIN:
            return np.zeros(len(self.rows), np.int64)
        if self._drawn[0] != view:
            random = np.random.default_rng([self.seed, view, 1])
            self._drawn = view, random.integers(len(self.views), size=len(self.rows))
        return self._drawn[1]
