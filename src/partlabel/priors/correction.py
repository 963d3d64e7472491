"""Probabilities corrected for how labels became known; kept in `tuning.json`.

Three sources, the best one there is: a calibration set (images drawn at random, labelled completely), a given
prevalence, or the estimate of the selection model. Each gives two affine maps of logits to log-odds: `scale` for a
random image, as `predict` meets it, and `scale_filling` for an unknown label of the table, as `fill` meets it: from
those the known labels are gone, which were not taken at random.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors import recalibration, selection_model
from partlabel.priors.estimators import bounded
from partlabel.priors.scale import Scale, sigmoid
from partlabel.priors.selection_model import SelectionModel

Source = Literal["calibration set", "prevalence", "estimate", "fair sample"]
SIGNIFICANT = 20.0
"""Nats of log-likelihood by which rates that differ have to be better than equal ones, for a sample to be unfair."""
DOUBT_ASKED, DOUBT_FAIR, DOUBT_ABSENT, DOUBT_PRIOR, DOUBT_SLOPE, DOUBT_CLASS = 0.2, 0.1, 0.25, 0.2, 0.15, 0.4
"""Standard deviations, in log-odds, that are added to those of the fits: of the common shift for a calibration set (the
labels of an image are not independent), a fair sample, an estimate with known absent labels and a given prevalence; and
without a calibration set, of the slope and of each class's own shift. They are of the size of the errors in
benchmarks/probabilities.py."""
ENOUGH = 50
"""Labels known to be present from which on it is estimated how labels became known."""
NINETY = 1.645
"""Standard deviations to either end of a 90 % interval of a normal distribution."""


class Asked(NamedTuple):
    """A calibration set as the model sees it.

    Attributes:
        scores: Logits.
        voted: Logits after the vote of those labels that the table knows; the same where nothing votes.
        truth: The labels, complete but for cells that people skipped.
        blank: Cells that are unknown in the table.
    """

    scores: Float[np.ndarray, "image class"]
    voted: Float[np.ndarray, "image class"]
    truth: Int8[np.ndarray, "image class"]
    blank: Bool[np.ndarray, "image class"]


@dataclass(frozen=True, eq=False)
class Correction:
    """How logits become log-odds that are right on average.

    Attributes:
        source: Where that is known from.
        images: Images of the calibration set, or else images that the estimate is made of.
        prevalence: Share of all images that show each class.
        unknown: Share of the unknown labels of each class that are present.
        rate_present: Share of the present labels that are known, over all classes.
        rate_absent: Share of the absent labels that are known, over all classes.
        scale: Of logits, for a random image.
        scale_filling: Of logits after the vote of known labels, for unknown labels.
        centre: Log-odds that the uncertain slope turns about.
        covariance: Of (slope, common shift): how uncertain the log-odds are.
        deviation: Standard deviation of each class's own shift.
    """

    source: Source
    images: int
    prevalence: Float[np.ndarray, " class"]
    unknown: Float[np.ndarray, " class"]
    rate_present: float
    rate_absent: float
    scale: Scale
    scale_filling: Scale
    centre: float
    covariance: Float[np.ndarray, "2 2"]
    deviation: Float[np.ndarray, " class"]

    @property
    def tags(self) -> float:
        """Present classes of a random image, on average."""
        return float(self.prevalence.sum())

    @property
    def sentence(self) -> str:
        """Where the probabilities come from, for people."""
        per_image = f"{self.tags:.3g} of {len(self.prevalence):,} classes present per image"
        number = f"{self.images:,} images"
        return {
            "calibration set": f"Probabilities are corrected by a calibration set of {number}: {per_image}.",
            "prevalence": f"Probabilities are corrected for the given prevalence: {per_image}.",
            "estimate": (
                f"Probabilities are corrected for how labels became known, as estimated from {number}: "
                f"{self.rate_present:.0%} of the present and {self.rate_absent:.0%} of the absent labels are known, "
                f"{per_image}. A calibration set makes this certain: partlabel review RUN --calibrate 40."
            ),
            "fair sample": (
                f"Probabilities assume that known labels are a fair sample, which nothing contradicts: {per_image}."
            ),
        }[self.source]

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("scale", "scale_filling"):
            values[name] = values[name].to_json()
        return {
            name: each.tolist() if isinstance(each, np.ndarray) else each for name, each in values.items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Correction":
        """What `to_json` gave.

        Raises:
            KeyError: Something is missing.
        """
        found = dict(values)
        for name in ("scale", "scale_filling"):
            found[name] = Scale.from_json(found[name])
        for name in ("prevalence", "unknown", "covariance", "deviation"):
            found[name] = np.array(found[name], np.float64)
        return cls(**found)


def correct(
    scores: Float[np.ndarray, "image class"],
    voted: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    asked: Asked | None = None,
    prevalence: Float[np.ndarray, " class"] | float | None = None,
    known: tuple[SelectionModel, bool] | None = None,
) -> Correction:
    """Find the correction by the best source there is: calibration set, given prevalence, estimate.

    Args:
        scores: Logits of images that the model did not learn from.
        voted: The same after the vote of each image's other known labels; the same where nothing votes.
        labels: What is known of them.
        asked: The calibration set.
        prevalence: Share of images that show each class, NaN where it is not known; or the mean number of present
            classes per image.
        known: What `estimated` gave for these scores, where it was asked before.

    Raises:
        ValueError: No label is known to be present, or more are than the given prevalence allows.
    """
    model, fair = known or estimated(scores, labels, _too_few(labels) or None)
    same = voted is scores
    first = model if same else estimated(voted, labels, fair)[0]
    if asked is not None:
        return _asked(scores, labels, model, first, asked)
    if prevalence is not None:
        return _given(scores, voted, labels, model, first, prevalence)
    absent = bool((labels == ABSENT).any())
    covariance, deviation, centre = _doubt(scores, labels, model, fair)
    if absent:
        covariance[1, 1] += (DOUBT_FAIR if fair else DOUBT_ABSENT) ** 2
    else:
        covariance[1, 1] += DOUBT_ABSENT**2 + (_log_bound(model) / NINETY) ** 2
    return _build(
        "fair sample" if fair else "estimate",
        len(labels),
        labels,
        model,
        first,
        centre,
        covariance,
        deviation,
    )


def _too_few(labels: Int8[np.ndarray, "image class"]) -> bool:
    """Whether there are too few known present labels to tell a fair sample from another, and absent ones too."""
    return bool((labels == PRESENT).sum() < ENOUGH and (labels == ABSENT).any())


def estimated(
    scores: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    fair: bool | None = None,
) -> tuple[SelectionModel, bool]:
    """The selection model, and whether known labels are a fair sample: rates that differ are not much more likely.

    Args:
        scores: Logits of images that the model did not learn from.
        labels: What is known of them.
        fair: Whether they are a fair sample, where that was found before.
    """
    if not (labels == ABSENT).any():
        return bounded(scores, labels), False
    equal = selection_model.fit(scores, labels, fair=True)
    if fair:
        return equal, True
    free = selection_model.fit(scores, labels)
    if fair is None and free.log_likelihood - equal.log_likelihood < SIGNIFICANT:
        return equal, True
    return free, False


def _build(
    source: Source,
    images: int,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    centre: float,
    covariance: np.ndarray,
    deviation: np.ndarray,
) -> Correction:
    """From the model of random images and that of unknown labels."""
    rates = overall_rates(model.prevalence, labels)
    filling = Scale(first.slope, first.offset + first.shift)
    return Correction(
        source, images, model.prevalence, first.unknown, *rates, Scale(model.slope, model.offset), filling,
        centre, covariance, deviation,
    )  # fmt: skip


def overall_rates(
    prevalence: Float[np.ndarray, " class"], labels: Int8[np.ndarray, "image class"]
) -> tuple[float, float]:
    """Return the shares of all present and of all absent labels that are known, at this prevalence."""
    present, absent = prevalence.sum() * len(labels), (1 - prevalence).sum() * len(labels)
    known = ((labels == PRESENT).sum(), (labels == ABSENT).sum())
    return float(min(known[0] / max(present, 1e-9), 1)), float(min(known[1] / max(absent, 1e-9), 1))


def _doubt(
    scores: np.ndarray, labels: np.ndarray, model: SelectionModel, fair: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """How uncertain slope, common shift and classes are, and what the slope turns about."""
    classes = labels.shape[1]
    odds = model.slope * scores + model.offset
    known = labels != UNKNOWN
    covariance, deviation = np.diag([DOUBT_SLOPE**2, 0.0]), np.full(classes, DOUBT_CLASS)
    if not (labels == ABSENT).any():
        return covariance, deviation, float(odds.mean())
    found = recalibration.fit(odds, labels == PRESENT, known)
    if fair:
        return found.covariance, found.deviation, found.centre
    return covariance + found.covariance, np.hypot(deviation, found.deviation), found.centre


def _log_bound(model: SelectionModel) -> float:
    """How far the share of present labels that are known is from 1, its upper bound, in logs (`bounded`)."""
    share = float(np.average(model.rate_present, weights=model.prevalence + 1e-12))
    return -float(np.log(max(share, 1e-3)))


def _asked(
    scores: np.ndarray, labels: np.ndarray, model: SelectionModel, first: SelectionModel, asked: Asked
) -> Correction:
    """By a calibration set: random images from all its cells, unknown labels from those that the table leaves blank.

    Where the table knows the labels of these images too, unknown labels follow from the rates at which labels are
    known.
    """
    truth, known = asked.truth == PRESENT, asked.truth != UNKNOWN
    found = recalibration.fit(model.slope * asked.scores + model.offset, truth, known)
    scale = _recalibrated(Scale(model.slope, model.offset), found)
    probability = sigmoid(scale.slope * scores + scale.offset)
    rates = selection_model.rates_given(probability, labels)
    blank = known & asked.blank
    if blank.any():
        base = Scale(first.slope, first.offset + first.shift)
        of_blank = recalibration.fit(base.slope * asked.voted + base.offset, truth, blank)
    else:
        base = Scale(first.slope, first.offset + selection_model.shift(*rates))
        of_blank = found
    filling = _recalibrated(base, of_blank)
    covariance = of_blank.covariance + np.diag([0.0, DOUBT_ASKED**2])
    prevalence = probability.mean(0)
    overall = overall_rates(prevalence, labels)
    unknown = _share(filling.slope * asked.voted + filling.offset, asked.blank, prevalence)
    return Correction(
        "calibration set", len(truth), prevalence, unknown, *overall, scale, filling, of_blank.centre,
        covariance, of_blank.deviation,
    )  # fmt: skip


def _given(
    scores: np.ndarray,
    voted: np.ndarray,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    prevalence: np.ndarray | float,
) -> Correction:
    """By a given prevalence: every class is shifted until its mean probability is what was given.

    A mean number of classes per image shifts all classes alike; a class without a share is shifted by the mean of the
    others. Unknown labels are shifted until the known and the expected unknown present labels are as many as given.
    """
    odds = model.slope * scores + model.offset
    if np.ndim(prevalence) == 0:
        raised = np.full(odds.shape[1], shift_to(odds, float(prevalence) / odds.shape[1]))
    else:
        wanted = np.asarray(prevalence, np.float64)
        raised = np.array(
            [
                shift_to(odds[:, [c]], wanted[c]) if wanted[c] == wanted[c] else np.nan
                for c in range(len(wanted))
            ]
        )
        raised = np.where(np.isnan(raised), np.nanmean(raised), raised)
    probability = sigmoid(odds + raised)
    rates = selection_model.rates_given(probability, labels)
    blank = labels == UNKNOWN
    unknown = _unknown_given(odds + raised + selection_model.shift(*rates), labels, prevalence)
    base = first.slope * voted + first.offset
    own = np.array(
        [_shift_or(base[blank[:, c], c][:, None], unknown[c], raised[c]) for c in range(len(unknown))]
    )
    covariance, deviation, centre = _doubt(scores, labels, model, False)
    covariance[1, 1] = DOUBT_PRIOR**2
    overall = overall_rates(probability.mean(0), labels)
    return Correction(
        "prevalence", len(labels), probability.mean(0), unknown, *overall,
        Scale(model.slope, model.offset + raised), Scale(first.slope, first.offset + own), centre, covariance,
        deviation,
    )  # fmt: skip


def _unknown_given(
    log_odds: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    prevalence: Float[np.ndarray, " class"] | float,
) -> Float[np.ndarray, " class"]:
    """Compute the share of unknown labels that are present: what is given, less the labels known to be present.

    Args:
        log_odds: First guess for unknown labels. It divides a mean number of classes per image among the classes, and
            stands where a class has no given share.
        labels: What is known.
        prevalence: As `correct`.
    """
    blank, known = labels == UNKNOWN, (labels == PRESENT).sum(0)
    number = np.maximum(blank.sum(0), 1)
    if np.ndim(prevalence) == 0:
        told = known.sum() / max(len(labels), 1)
        if prevalence < told:
            raise ValueError(
                f"--prevalence {prevalence:g}: the table's known labels alone have {told:.3g} present classes per "
                "image; give the mean number of all present classes per image, known and unknown"
            )
        share = (float(prevalence) * len(labels) - known.sum()) / max(blank.sum(), 1)
        log_odds = log_odds + _shift_or(log_odds[blank][:, None], share, 0.0)
        return np.where(blank, sigmoid(log_odds), 0).sum(0) / number
    guess = np.where(blank, sigmoid(log_odds), 0).sum(0) / number
    wanted = np.asarray(prevalence, np.float64)
    if more := int((known > wanted * len(labels)).sum()):
        warnings.warn(
            f"--prevalence: {more} of {len(wanted)} classes are known to be present in more images than their share "
            "allows; none of their unknown labels is expected to be present",
            stacklevel=2,
        )
    return np.where(np.isnan(wanted), guess, ((wanted * len(labels) - known) / number).clip(0, 1))


def shift_to(log_odds: Float[np.ndarray, "image class"], share: float) -> float:
    """What is added to log-odds so that the mean probability is `share`; by bisection, within 30 to either side."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(log_odds + middle).mean() < share else (low, middle)
    return (low + high) / 2


def _shift_or(log_odds: np.ndarray, share: float, otherwise: float) -> float:
    return shift_to(log_odds, float(np.clip(share, 1e-6, 1 - 1e-6))) if len(log_odds) else otherwise


def _recalibrated(scale: Scale, found: recalibration.Recalibration) -> Scale:
    """One affine map after the other."""
    offset = found.centre + found.slope * (scale.offset - found.centre) + found.shift
    return Scale(found.slope * scale.slope, offset)


def _share(log_odds: np.ndarray, blank: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Mean probability of the unknown cells of each class."""
    mean = np.where(blank, sigmoid(log_odds), 0).sum(0) / np.maximum(blank.sum(0), 1)
    return np.where(blank.any(0), mean, otherwise)
