"""Interface of a fitted tagger that tuning and fine-tuning need; `partlabel.Tagger` implements it."""

from typing import Protocol

import numpy as np
from jaxtyping import Float

from partlabel.core.rules import Rules
from partlabel.core.types import Preprocessing, WordFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.methods import Method
from partlabel.nn.coherence import Coherence
from partlabel.posthoc.probability_model import ProbabilityModel
from partlabel.posthoc.tuning_result import Tuning


class UnseenLogits(Protocol):
    """Logits of the training images by models that were not trained on them."""

    @property
    def table(self) -> LabelTable:
        """Label table of the training images."""
        ...

    @property
    def logits(self) -> Float[np.ndarray, "image class"]:
        """Logits of these images."""
        ...

    @property
    def with_texts(self) -> Float[np.ndarray, "image class"] | None:
        """Logits with the evidence of the texts, by sources that were fitted without them; None without texts."""
        ...


class Predictor(Protocol):
    """A fitted tagger; attributes and methods are those of `partlabel.Tagger`."""

    classes: tuple[str, ...]
    name: str
    view: tuple[int, Preprocessing]
    model: Method | None
    tuning: Tuning | None
    rules: Rules | None
    coherence: Coherence | None

    @property
    def evidence(self) -> ProbabilityModel:
        """What turns logits into probabilities and labels."""
        ...

    def beside(self, table: LabelTable, batch_size: int = 64, workers: int = 0) -> WordFeatures | None:
        """Compute what the evidence of texts and class names needs of a table; None without such evidence."""
        ...

    @property
    def out_of_fold(self) -> UnseenLogits | None:
        """Logits of the training images by other models, if training kept them."""
        ...

    def drop_tuning(self) -> None:
        """Delete the results of other weights: thresholds, calibration and out-of-fold logits."""
        ...

    def scores(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0
    ) -> Float[np.ndarray, "image class"]:
        """Compute the logits of every image of a table."""
        ...

    def logits_unseen(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0
    ) -> Float[np.ndarray, "image class"]:
        """Compute logits, but out-of-fold logits for training images, where kept."""
        ...
