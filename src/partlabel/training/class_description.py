"""Description of the classes before training: vectors, co-occurrence and prevalence, from known labels alone."""

from pathlib import Path

import torch

from partlabel.data import class_vectors
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.classes import Classes


def describe_classes(table: LabelTable, vectors: str | Path | None = None) -> Classes:
    """Describe the classes of a table by its known labels.

    Args:
        table: Label table of the training images.
        vectors: Source of class vectors, as in `class_vectors.vectors`; None for no vectors.
    """
    found = class_vectors.vectors(table.classes, vectors)
    return Classes(
        table.classes,
        None if found is None else torch.from_numpy(found),
        torch.from_numpy(statistics.cooccurrence(table.labels)),
        torch.from_numpy(statistics.prevalence(table.labels)),
    )
