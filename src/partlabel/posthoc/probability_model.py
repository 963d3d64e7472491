"""Conversion of logits to probabilities and labels: texts, label completion, rules, calibration and thresholds.

With rules between classes (`nn/coherence.py`), logits are made coherent before calibration, so that calibration is
fitted to what is predicted: the most probable of several classes is too probable on average, and an offset corrects it.
Calibration has an offset for each class, which may break rules, therefore probabilities are made coherent again after.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8
from scipy.special import expit

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import WordFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.coherence import Coherence
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.posthoc.tuning_result import Tuning
from partlabel.priors import expected
from partlabel.priors.expected import PrecisionOf

if TYPE_CHECKING:
    from partlabel.data.tables.filled import FilledTable

Tuned = Literal["tuned"]
Ends = tuple[float | list[float] | None, float | list[float] | None]
"""Probability from which on labels become present, and up to which they become absent; of all classes, or of each."""


class ProbabilityModel(NamedTuple):
    """The state of a tagger besides its network.

    Attributes:
        name: Name of the tagger.
        completion: Label completion, which predicts unknown labels from the known ones of an image; None where it does
            not help.
        texts: Evidence of the texts beside the photos and of class names; None if training had none, or they do not
            help.
        tuning: Thresholds and calibration; None before tuning.
        coherence: Rules between classes; None without rules.
    """

    name: str
    completion: Completion | None
    tuning: Tuning | None
    texts: TextEvidence | None = None
    coherence: Coherence | None = None

    def coherent_logits(self, logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
        """Compute logits that obey the rules; the same without rules."""
        if self.coherence is None:
            return logits
        return self.coherence.logits(_tensor(logits)).numpy()

    def tuned(self) -> Tuning:
        """Return thresholds and calibration.

        Raises:
            ValueError: The tagger was not tuned.
        """
        if self.tuning is None:
            raise ValueError(
                f"{self.name} has no thresholds of its own: run partlabel tune RUN first, or give a probability"
            )
        return self.tuning

    @property
    def calibrates_unknown(self) -> bool:
        """Whether unknown labels have their own calibration: labels complete each other, or are no fair sample."""
        informed = self.completion is not None or self.texts is not None
        return informed or (self.tuning is not None and not self.tuning.fair)

    def informed(
        self,
        logits: Float[np.ndarray, "image class"],
        labels: Int8[np.ndarray, "image class"],
        beside: WordFeatures | None = None,
    ) -> Float[np.ndarray, "image class"]:
        """Add the evidence of texts and class names, then that of each image's known labels, to logits of the network.

        Args:
            logits: Logits of the network.
            labels: Labels of the images; none counts for itself.
            beside: Texts of the images, and their logits by class names; None to use neither.
        """
        if self.texts is not None and beside is not None:
            logits = self.texts.logits(logits, beside)
        return logits if self.completion is None else self.completion.logits(logits, labels)

    def probability(self, logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
        """Compute calibrated probabilities of images without known labels."""
        logits = self.coherent_logits(logits)
        found = probability(logits if self.tuning is None else self.tuning.logits(logits))
        return found if self.coherence is None else self.coherence(_tensor(found)).numpy()

    def probability_with_known(
        self,
        logits: Float[np.ndarray, "image class"],
        labels: Int8[np.ndarray, "image class"],
        some_known: bool = True,
        beside: WordFeatures | None = None,
    ) -> Float[np.ndarray, "image class"]:
        """Compute calibrated probabilities given the known labels of each image, and what is beside it.

        Args:
            logits: Logits of the network.
            labels: Labels of the images.
            some_known: Whether any label of the whole table is known; otherwise the images count as random ones.
            beside: Texts and logits by class names, as in `informed`.
        """
        logits = self.coherent_logits(self.informed(logits, labels, beside))
        if self.tuning is not None:
            filling = self.calibrates_unknown and (some_known or self.tuning.fair)
            logits = self.tuning.logits_filling(logits) if filling else self.tuning.logits(logits)
        found = probability(logits)
        if self.coherence is None:
            return found
        return self.coherence.with_known(_tensor(found), torch.from_numpy(labels.copy())).numpy()

    def check_filling(
        self, accept: float | Tuned | None, reject: float | Tuned | None, precision: float | None = None
    ) -> None:
        """Check that thresholds are suitable for filling; the arguments are those of `Tagger.fill`.

        Raises:
            ValueError: Tuned thresholds are requested, and the tagger was not tuned or was tuned for F1; or both
                `accept` and `precision` are given.
        """
        if precision is not None:
            if accept is not None:
                raise ValueError(
                    "accept (--accept) and precision (--precision) both decide which labels become present; give one"
                )
            if self.tuning is None or self.tuning.correction is None:
                raise ValueError(
                    f"precision (--precision) needs calibrated probabilities, and {self.name} has none: run partlabel "
                    "tune RUN first, or give a calibration set (--calibration FILE) or the mean number of present "
                    "classes per image (--prevalence NUMBER)"
                )
        for name, given in (("accept", accept), ("reject", reject)):
            if given == "tuned" and self.tuned().aim == "f1":
                raise ValueError(
                    f"--{name} tuned: the thresholds of {self.name} maximise F1, at which many labels are wrong, and "
                    "are not suitable for filling; fill at a given precision instead (--precision 0.95), or tune for "
                    "one (partlabel tune RUN --aim precision --at 0.95)"
                )

    def thresholds(self, accept: float | Tuned | None, reject: float | Tuned | None, filling: bool) -> Ends:
        """Return the probabilities from which on labels become present, and up to which they become absent.

        Args:
            accept: Threshold for present labels, as in `Tagger.fill`.
            reject: Threshold for absent labels, as in `Tagger.fill`.
            filling: Whether the probabilities use known labels, for which there are separate thresholds.
        """
        if "tuned" not in (accept, reject):
            return accept, reject  # type: ignore[return-value]
        tuning = self.tuned()
        own = filling and self.calibrates_unknown and tuning.thresholds_filling
        cuts = np.array(tuning.thresholds_filling if own else tuning.thresholds, np.float32)
        below = np.nextafter(cuts, np.float32(0))
        return (
            cuts.tolist() if accept == "tuned" else accept,
            below.tolist() if reject == "tuned" else reject,
        )

    def ends(
        self,
        found: Float[np.ndarray, "image class"],
        unknown: Bool[np.ndarray, "image class"],
        accept: float | Tuned | None,
        reject: float | Tuned | None,
        precision: float | None,
        precision_of: PrecisionOf,
    ) -> Ends:
        """Return the thresholds to fill by: the given ones, tuned ones, or those that reach an expected precision.

        Args:
            found: Probabilities.
            unknown: Whether each label is unknown.
            accept: Threshold for present labels, as in `Tagger.fill`.
            reject: Threshold for absent labels, as in `Tagger.fill`.
            precision: Expected precision of the new present labels, as in `Tagger.fill`.
            precision_of: Labels that `precision` refers to, as in `Tagger.fill`.
        """
        if precision is None:
            return self.thresholds(accept, reject, filling=True)
        _, below = self.thresholds(None, reject, filling=True)
        from_ = expected.accepted(found, unknown, precision, precision_of, self.tuned().correction)
        return from_.tolist(), below

    def expected_right(self, before: LabelTable, after: "FilledTable") -> expected.Expected:
        """Compute the expected number of correct filled labels; the arguments are those of `Tagger.expected_right`."""
        row = {image: number for number, image in enumerate(before.images)}
        unknown = before.labels[[row[image] for image in after.table.images]] == UNKNOWN
        labels = after.table.labels
        correction = None if self.tuning is None else self.tuning.correction
        return expected.expected_right(
            after.probability, unknown & (labels == PRESENT), unknown & (labels == ABSENT), correction
        )


def probability(logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
    """Compute the sigmoid."""
    return expit(logits)


def _tensor(values: Float[np.ndarray, "image class"]) -> Float[torch.Tensor, "image class"]:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
