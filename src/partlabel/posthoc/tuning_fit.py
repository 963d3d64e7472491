"""Thresholds and calibration from logits and known labels: from a fair sample, or from corrected probabilities."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int8
from scipy.special import expit

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation.thresholds import Aim, Goal, thresholds
from partlabel.posthoc.scale_fitting import helping_scale
from partlabel.posthoc.tuning_gain import decided_crossed, gain_of
from partlabel.posthoc.tuning_result import Tuning
from partlabel.priors.correcting import ENOUGH, correct
from partlabel.priors.correction import CalibrationSet, Correction
from partlabel.priors.prevalence import Prevalence
from partlabel.priors.reviewed import Reviewed
from partlabel.priors.scale import Scale


def fit_tuning(
    classes: tuple[str, ...],
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    voted: Float[np.ndarray, "image class"] | None = None,
    aim: Aim = "f1",
    at: float = 0.9,
    shrink: float = 5.0,
    folds: int = 5,
    seed: int = 0,
    calibration_set: CalibrationSet | None = None,
    prevalence: Prevalence | None = None,
    reviewed: Reviewed | None = None,
) -> Tuning:
    """Fit thresholds and calibration to logits and known labels.

    Args:
        classes: Class names.
        logits: Logits of the model.
        labels: PRESENT, ABSENT or UNKNOWN.
        voted: Logits after label completion by each image's other known labels; None without completion.
        aim: Objective of the thresholds, as in `tune`.
        at: Precision or recall to reach, in (0, 1].
        shrink: Number of images known to show a class at which its own threshold has half of the weight.
        folds: Number of folds of the cross-fitted figures.
        seed: Random seed of the folds.
        calibration_set: Calibration set; None if there is none.
        prevalence: Given prevalence, as in `tune`.
        reviewed: Known labels that a review asked about; None if it asked about none.

    Raises:
        ValueError: Too few labels are known, or an option is invalid.
    """
    _check(labels, at, shrink, folds)
    _check_known(labels, calibration_set is not None or prevalence is not None)
    judged = voted if voted is not None else logits
    correction = correct(logits, judged, labels, calibration_set, prevalence, reviewed=reviewed)
    if correction.source != "fair sample":
        goal = Goal(aim, at)
        return _fit_corrected(classes, logits, judged, labels, correction, goal, shrink, folds, seed)
    found = _fit_fair(classes, logits, labels, voted, aim, at, shrink, folds, seed)
    same = Scale(1.0, np.zeros(labels.shape[1]))
    kept = replace(
        correction, scale=found.scale or same, scale_filling=found.scale_filling or found.scale or same
    )
    return replace(found, correction=kept)


def _fit_fair(
    classes: tuple[str, ...],
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    voted: Float[np.ndarray, "image class"] | None,
    aim: Aim,
    at: float,
    shrink: float,
    folds: int,
    seed: int,
) -> Tuning:
    """Fit to known labels that are a fair sample."""
    shares = np.random.default_rng(seed).permutation(len(labels)) % folds
    scale, sure, by_share = helping_scale(logits, labels, shares)
    filling, cuts = None, None
    scaled = logits if scale is None else scale.logits(logits)
    goal = Goal(aim, at)
    found = thresholds(scaled, labels, goal, shrink)
    common, *by_class = expit(np.append(found.common, found.by_class)).tolist()
    if voted is not None:
        filling = helping_scale(voted, labels, shares).scale
        sure_of = voted if filling is None else filling.logits(voted)
        cuts = tuple(expit(thresholds(sure_of, labels, goal, shrink).by_class).tolist())
    decided = decided_crossed(logits, labels, shares, by_share, goal, shrink)
    present, absent = ((labels == code).sum(0) for code in (PRESENT, ABSENT))
    return Tuning(
        tuple(classes),
        aim,
        at,
        shrink,
        len(labels),
        tuple(present.tolist()),
        tuple(absent.tolist()),
        common,
        tuple(by_class),
        scale,
        filling,
        gain_of(logits, sure, decided, labels),
        cuts,
    )


def _fit_corrected(
    classes: tuple[str, ...],
    logits: Float[np.ndarray, "image class"],
    judged: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    correction: Correction,
    goal: Goal,
    shrink: float,
    folds: int,
    seed: int,
) -> Tuning:
    """Fit to known labels that are no fair sample; unknown ones are drawn from the corrected probabilities."""
    random = np.random.default_rng(seed)
    shares = random.permutation(len(labels)) % folds
    sure, sure_blank = correction.scale.logits(logits), correction.scale_filling.logits(judged)
    blank = labels == UNKNOWN
    drawn = random.random(labels.shape) < expit(sure_blank.astype(np.float64))
    whole = np.where(blank, np.where(drawn, PRESENT, ABSENT), labels).astype(np.int8)
    found = thresholds(sure, whole, goal, shrink)
    common, *by_class = expit(np.append(found.common, found.by_class)).tolist()
    drawn_only = np.where(blank, whole, UNKNOWN).astype(np.int8)
    cuts = found.by_class if not blank.any() else thresholds(sure_blank, drawn_only, goal, shrink).by_class
    decided = decided_crossed(sure, whole, shares, (), goal, shrink)
    present, absent = ((labels == code).sum(0) for code in (PRESENT, ABSENT))
    return Tuning(
        tuple(classes),
        goal.aim,
        goal.at,
        shrink,
        len(labels),
        tuple(present.tolist()),
        tuple(absent.tolist()),
        common,
        tuple(by_class),
        correction.scale,
        correction.scale_filling,
        gain_of(logits, sure, decided, whole),
        tuple(expit(cuts).tolist()),
        correction,
    )


def _check(labels: np.ndarray, at: float, shrink: float, folds: int) -> None:
    if not 0 < at <= 1:
        raise ValueError(f"at is {at}; the precision or recall to reach lies in (0, 1]")
    if shrink < 0:
        raise ValueError(f"shrink is {shrink}; it is a number of images, 0 or more")
    if folds < 2:
        raise ValueError(f"folds is {folds}; it has to be at least 2 for cross-validation")
    if len(labels) < folds:
        raise ValueError(
            f"{len(labels)} images cannot be divided into {folds} folds; tuning needs more images"
        )


def _check_known(labels: np.ndarray, given: bool) -> None:
    """Check that enough labels are known for tuning; if all are present, that they are enough for an estimate."""
    present, absent = int((labels == PRESENT).sum()), int((labels == ABSENT).sum())
    if present and (absent or given or present >= ENOUGH):
        return
    if not present + absent:
        raise ValueError(
            "no label is known, so there is nothing to tune: label some images (partlabel review RUN, then with "
            "--export reviewed.csv), and train again on that table"
        )
    needs = f"tuning needs both, or {ENOUGH} present ones"
    if present:
        needs += (
            ", or the prevalence of the classes: a calibration set (--calibration FILE) or the mean number of "
            "present classes per image (--prevalence NUMBER)"
        )
    raise ValueError(
        f"of {len(labels)} images {present} labels are known to be present and {absent} absent; {needs}"
    )
