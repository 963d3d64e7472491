"""What a tagger knows besides its network: evidence for unknown labels, a tower, calibration, out-of-fold logits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from partlabel.core.types import WordFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.methods import Method
from partlabel.nn.backbone import Backbone
from partlabel.posthoc import label_completion, text_evidence
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.posthoc.tuning_result import Tuning
from partlabel.training.caching import Where
from partlabel.training.out_of_fold import OutOfFold
from partlabel.training.run_folder import Run
from partlabel.training.specification import Specification
from partlabel.training.texts import later_words
from partlabel.training.towers import loading
from partlabel.training.towers._base import Tower
from partlabel.training.towers.photos import PhotoReading


class Evident(Specification):
    """A specification with a network, and the evidence that turns its logits into probabilities.

    Arguments are those of `Specification`, attributes those of `partlabel.Tagger`.
    """

    def __init__(
        self,
        classes: Sequence[str],
        pretrained: bool | Literal["auto"],
        settings: Mapping[str, Any],
        weights: str | Path | None = None,
    ) -> None:
        super().__init__(classes, pretrained, settings, weights)
        self.name = "unnamed"
        self.model: Method | None = None
        self.completion: Completion | None = None
        self.texts: TextEvidence | None = None
        self.tower: Tower | None = None
        self.tuning: Tuning | None = None
        self.out_of_fold: OutOfFold | None = None
        self.cache = Where()

    def fitted_model(self) -> Method:
        """Return the network.

        Raises:
            ValueError: The tagger is neither fitted nor loaded.
        """
        if self.model is None:
            raise ValueError(
                "this tagger is not fitted: call fit(), or load a fitted one by Tagger.load(folder)"
            )
        return self.model

    def beside(
        self,
        table: LabelTable,
        batch_size: int = 64,
        workers: int = 0,
        readable: Bool[np.ndarray, " image"] | None = None,
    ) -> WordFeatures | None:
        """Compute what the evidence of texts and class names needs of a table; None without such evidence.

        Args:
            table: Label table.
            batch_size: Images per batch.
            workers: DataLoader worker processes; 0 loads in the main process.
            readable: Photos that can be read; None for all.

        Raises:
            ValueError: The evidence needs a tower, and that is not at hand.
        """
        if self.texts is None:
            return None
        reading, body = PhotoReading(self.cache, False, batch_size, workers), self.fitted_model().backbone
        given = (body, self.view[0]) if isinstance(body, Backbone) and self.settings["pool"] == 1 else None
        return later_words(table, self.texts, self.tower or self.name, reading, given, readable)

    def drop_tuning(self) -> None:
        """Delete the results of other weights: thresholds, calibration and out-of-fold logits."""
        self.tuning, self.out_of_fold = None, None

    def save_evidence(self, run: Run) -> None:
        """Write the evidence to a run folder, and remove that of an earlier model."""
        saved = ((self.completion, run.completion), (self.texts, run.texts), (self.tuning, run.tuning))
        for found, path in saved:
            if found is not None:
                found.save(path)
            else:
                path.unlink(missing_ok=True)
        if self.tower is not None:
            self.tower.save(run.tower)

    def load_evidence(self, run: Run) -> None:
        """Load what a run folder holds besides the network: completion, texts, tower, tuning, out-of-fold logits.

        Raises:
            ValueError: A file is damaged, or is of other classes.
        """
        if run.completion.exists():
            self.completion = Completion.load(run.completion)
            if self.completion.votes.shape != (len(self.classes), len(self.classes)):
                raise ValueError(
                    f"{run.completion} is of other classes than {run.config}; {label_completion.REMEDY}"
                )
        if run.texts.exists():
            self.texts = TextEvidence.load(run.texts)
            if self.texts.suits != len(self.classes):
                raise ValueError(f"{run.texts} is of other classes than {run.config}; {text_evidence.REMEDY}")
        if self.texts is not None and self.texts.tower and run.tower.exists():
            self.tower = loading.load(
                run.tower, None if self.cache.folder is None else str(self.cache.folder)
            )
        if run.tuning.exists():
            self.tuning = Tuning.load(run.tuning)
            if self.tuning.classes != self.classes:
                raise ValueError(
                    f"{run.tuning} is of other classes than {run.config}: run partlabel tune again"
                )
        self.out_of_fold = OutOfFold.of(run)
