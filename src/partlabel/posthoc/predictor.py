"""What tuning and fine-tuning need of a fitted tagger; `partlabel.Tagger` has it, and any other class may."""

from typing import Protocol

import numpy as np
from jaxtyping import Float

from partlabel.core.types import Preprocessing
from partlabel.data.tables.label_table import LabelTable
from partlabel.methods import Method
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.tuning_result import Tuning


class UnseenLogits(Protocol):
    """Logits of the training images by models that did not train on them."""

    @property
    def table(self) -> LabelTable:
        """Label table of the training images."""
        ...

    @property
    def logits(self) -> Float[np.ndarray, "image class"]:
        """Logits of these images."""
        ...


class Predictor(Protocol):
    """A fitted tagger; attributes and methods are those of `partlabel.Tagger`."""

    classes: tuple[str, ...]
    name: str
    view: tuple[int, Preprocessing]
    model: Method | None
    completion: Completion | None
    tuning: Tuning | None

    @property
    def out_of_fold(self) -> UnseenLogits | None:
        """Logits of the training images by other models, if training kept them."""
        ...

    def drop_tuning(self) -> None:
        """Drop what was found with other weights: thresholds, calibration and out-of-fold logits."""
        ...

    def scores(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0
    ) -> Float[np.ndarray, "image class"]:
        """Compute the logits of every image of a table."""
        ...

    def logits_unseen(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0
    ) -> Float[np.ndarray, "image class"]:
        """Compute logits; those of training images by models that did not train on them, where kept."""
        ...
