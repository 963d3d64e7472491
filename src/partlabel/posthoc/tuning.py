"""After training: thresholds for every class, and probabilities that are as sure as they are right.

Both are found on known labels of images that were not trained on, and travel with the model in `tuning.json`. A class
has few known labels, and what is best on few is chance; so neither is found class by class alone:

- probabilities: a slope and an offset in log-odds for all classes together, then an offset by class under a penalty
  (`calibration.py`); kept only if that lowers the cross-entropy of labels that took no part in finding it;
- thresholds: each class's own is drawn to the one that is best for all (`thresholds.py`).

The figures given are cross-fitted: every image is judged by what was found without it (docs/tuning.md).

Known labels are often no fair sample. Where they are not, probabilities are corrected for it (`priors/correction.py`,
docs/probabilities.md), and thresholds are found on all labels, the unknown ones drawn from corrected probabilities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8
from scipy.special import expit

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.data.tables.splits import VAL, aligned
from partlabel.evaluation.calibration import calibrate
from partlabel.evaluation.metrics import DecisionCounts, harmonic
from partlabel.evaluation.thresholds import Aim, Goal, thresholds
from partlabel.posthoc.tuning_result import Gain, Tuning
from partlabel.priors.correction import ENOUGH, Asked, Correction, correct
from partlabel.priors.prevalence import Prevalence
from partlabel.priors.scale import Scale

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.posthoc.predictor import Predictor

NAN = float("nan")


def tune(
    tagger: "Predictor",
    table: "LabelTable | None" = None,
    aim: Aim = "f1",
    at: float = 0.9,
    *,
    calibration: "LabelTable | None" = None,
    prevalence: Prevalence | None = None,
    shrink: float = 5.0,
    folds: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 0,
) -> Tuning:
    """Find thresholds and calibration of a tagger, and give them to it; `Tagger.save` writes them with the rest.

    Args:
        tagger: Fitted, or loaded.
        table: Images that were not trained on; of a table with a split its part `val`, and never another. None takes
            the training images, judged by models that did not see them, where training kept those logits.
        aim: What thresholds are to be best for.
        at: The precision or recall aimed at.
        calibration: Images drawn at random and labelled completely.
        prevalence: Share of all images that show each class, or the mean number of present classes per image; used
            where there is no calibration set.
        shrink: Images known to show a class from which on its own threshold counts for half.
        folds: For the figures: each share of the images is judged by what was found on the others.
        seed: Of the shares.
        batch_size: Images at a time.
        workers: Processes that read images.

    Raises:
        ValueError: The tagger is not fitted, the classes differ, the table has parts and none is `val`, there is
            no table and no logits were kept, or too little of it is known.
    """
    how = {"batch_size": batch_size, "workers": workers}
    kept = tagger.out_of_fold
    if table is not None:
        table = validation_part(aligned(table, tagger.classes))
        logits = tagger.scores(table, **how)
    elif kept is not None:
        table, logits = kept.table, kept.logits
    else:
        raise ValueError(
            f"{tagger.name} kept no logits of its training images by models that did not see them: name a table of "
            "images that were not trained on"
        )
    voted = None if tagger.completion is None else tagger.completion.logits(logits, table.labels)
    asked = (
        None if calibration is None else asked_of(tagger, aligned(calibration, tagger.classes), table, **how)
    )
    tagger.tuning = fit_tuning(
        tagger.classes,
        logits,
        table.labels,
        voted,
        aim,
        at,
        shrink,
        folds,
        seed,
        asked=asked,
        prevalence=prevalence,
    )
    return tagger.tuning


def asked_of(
    tagger: "Predictor",
    calibration: "LabelTable",
    table: "LabelTable",
    batch_size: int = 64,
    workers: int = 0,
) -> Asked:
    """A calibration set as a tagger sees it: images that it was trained on are judged by models that did not see them.

    Args:
        tagger: Fitted, or loaded.
        calibration: Complete labels, in the order of its classes.
        table: What is known of these and other images besides; those that are not in it have nothing known.
        batch_size: Images at a time.
        workers: Processes that read images.
    """
    logits = tagger.logits_unseen(calibration, batch_size, workers)
    row = {image: number for number, image in enumerate(table.images)}
    before = np.full(calibration.labels.shape, UNKNOWN, np.int8)
    for number, image in enumerate(calibration.images):
        if image in row:
            before[number] = table.labels[row[image]]
    voted = logits if tagger.completion is None else tagger.completion.logits(logits, before)
    return Asked(logits, voted, calibration.labels, before == UNKNOWN)


def validation_part(table: "LabelTable") -> "LabelTable":
    """The images to tune on: all of a table without a split, else its part `val`.

    Raises:
        ValueError: It has parts, and none is `val`.
    """
    if table.split is None:
        return table
    if VAL not in table.parts:
        raise ValueError(
            f"the table has the parts {some(map(repr, table.parts))} and none is 'val'; tuning takes images that were "
            "neither trained on nor kept for testing: name a table of such images, without a split"
        )
    return table.part(VAL)


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
    asked: Asked | None = None,
    prevalence: Prevalence | None = None,
) -> Tuning:
    """Thresholds and calibration from logits and known labels.

    Args:
        classes: Names of the columns.
        logits: Of the model.
        labels: What is known.
        voted: The logits after the vote of each image's other known labels.
        aim: As `tune`.
        at: As `tune`.
        shrink: As `tune`.
        folds: As `tune`.
        seed: As `tune`.
        asked: The calibration set.
        prevalence: As `tune`.

    Raises:
        ValueError: Too little is known, or an option makes no sense.
    """
    _check(labels, at, shrink, folds)
    _check_known(labels, asked is not None or prevalence is not None)
    judged = voted if voted is not None else logits
    correction = correct(logits, judged, labels, asked, prevalence)
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
    """From known labels that are a fair sample."""
    shares = np.random.default_rng(seed).permutation(len(labels)) % folds
    scale, sure, by_share = _helping(logits, labels, shares)
    filling, cuts = None, None
    scaled = logits if scale is None else scale.logits(logits)
    goal = Goal(aim, at)
    found = thresholds(scaled, labels, goal, shrink)
    common, *by_class = expit(np.append(found.common, found.by_class)).tolist()
    if voted is not None:
        filling = _helping(voted, labels, shares).scale
        sure_of = voted if filling is None else filling.logits(voted)
        cuts = tuple(expit(thresholds(sure_of, labels, goal, shrink).by_class).tolist())
    decided = _decided(logits, labels, shares, by_share, goal, shrink)
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
        _gained(logits, sure, decided, labels),
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
    """From known labels that are no fair sample: unknown ones are drawn from the corrected probabilities."""
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
    decided = _decided(sure, whole, shares, (), goal, shrink)
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
        _gained(logits, sure, decided, whole),
        tuple(expit(cuts).tolist()),
        correction,
    )


def fit_scale(logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]) -> Scale:
    """The slope and offsets at which the known labels' cross-entropy is least.

    First a slope and an offset for all classes, as if they were one; then, about each class's mean, a slope for all and
    an offset by class, which costs its square: a class of which little is known keeps the common one.
    """
    z, y = torch.from_numpy(np.asarray(logits, np.float64)), torch.from_numpy(np.array(labels))
    common = calibrate(z.reshape(-1, 1), z.new_zeros(1), y.reshape(-1, 1))
    z = common.slope * z + common.offset
    anchor = z.mean(0)
    own = calibrate(z, anchor, y)
    offset = own.slope * common.offset + (1 - own.slope) * anchor + own.offset
    return Scale(float(own.slope * common.slope), offset.numpy())


def _check(labels: np.ndarray, at: float, shrink: float, folds: int) -> None:
    if not 0 < at <= 1:
        raise ValueError(f"at is {at}; the precision or recall aimed at lies in (0, 1]")
    if shrink < 0:
        raise ValueError(f"shrink is {shrink}; it is a number of images, 0 or more")
    if folds < 2:
        raise ValueError(f"folds is {folds}; it has to be at least 2, for each share is judged by the others")
    if len(labels) < folds:
        raise ValueError(f"{len(labels)} images cannot be cut into {folds} shares; tuning needs more images")


def _check_known(labels: np.ndarray, given: bool) -> None:
    """See that enough is known to tune by; of labels that are all present, that they are enough to estimate by."""
    present, absent = int((labels == PRESENT).sum()), int((labels == ABSENT).sum())
    if present and (absent or given or present >= ENOUGH):
        return
    needs = f"tuning needs both, or {ENOUGH} present ones"
    if present:
        needs += (
            ", or to be told how common classes are: a calibration set (--calibration FILE) or the mean number of "
            "present classes per image (--prevalence NUMBER)"
        )
    raise ValueError(
        f"of {len(labels)} images {present} labels are known to be present and {absent} absent; {needs}"
    )


def _cross(
    shares: np.ndarray,
) -> Iterator[tuple[Bool[np.ndarray, " image"], Bool[np.ndarray, " image"]]]:
    """For each share, the images to learn from and those to judge."""
    for share in np.unique(shares):
        judged = shares == share
        yield ~judged, judged


class _Helping(NamedTuple):
    """A scale, if it helps images that took no part in finding it.

    Attributes:
        scale: Fitted on all images; None if it does not help.
        logits: Cross-fitted if it helps, else as they were.
        by_share: The scale found without each share, in the order of `_cross`; empty if it does not help.
    """

    scale: Scale | None
    logits: Float[np.ndarray, "image class"]
    by_share: Sequence[Scale]


def _helping(
    logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"], shares: np.ndarray
) -> _Helping:
    """Fit the scale, and test by cross-fitting whether it helps."""
    crossed, by_share = logits.astype(np.float32), []
    for learn, judge in _cross(shares):
        by_share.append(fit_scale(logits[learn], labels[learn]))
        crossed[judge] = by_share[-1].logits(logits[judge])
    if _log_loss(crossed, labels) < _log_loss(logits, labels):
        return _Helping(fit_scale(logits, labels), crossed, by_share)
    return _Helping(None, logits, ())


def _decided(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    shares: np.ndarray,
    by_share: Sequence[Scale],
    goal: Goal,
    shrink: float,
) -> tuple[Bool[np.ndarray, "image class"], ...]:
    """What is called present at the common thresholds and at each class's own, all of it cross-fitted.

    `by_share` is the scale found without each share, in the order of `_cross`; empty if logits stay as they are.
    """
    common, own = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    for number, (learn, judge) in enumerate(_cross(shares)):
        ours, theirs = logits[learn], logits[judge]
        if by_share:
            ours, theirs = by_share[number].logits(ours), by_share[number].logits(theirs)
        if not (labels[learn] != UNKNOWN).any():
            continue
        found = thresholds(ours, labels[learn], goal, shrink)
        common[judge], own[judge] = theirs >= found.common, theirs >= found.by_class
    return common, own


def _gained(
    logits: np.ndarray, sure: np.ndarray, decided: tuple[np.ndarray, ...], labels: np.ndarray
) -> Gain:
    scored = (labels == PRESENT).any(0) & (labels == ABSENT).any(0)
    three = [DecisionCounts.of(chosen, labels) for chosen in (logits >= 0, *decided)]
    f1 = [_f1(each) for each in three]

    def means(values: list[np.ndarray]) -> tuple[float, float, float]:
        half, common, own = (float(each[scored].mean()) if scored.any() else NAN for each in values)
        return half, common, own

    def ends(values: list[np.ndarray]) -> tuple[tuple[float, float], ...]:
        columns = np.where(scored, np.stack([values[0], values[2]]), NAN)
        return tuple((float(before), float(after)) for before, after in columns.T)

    half, common, own = (harmonic(*each.summary(scored)[:2]) for each in three)
    precision, recall = [each.precision for each in three], [each.recall for each in three]
    return Gain(
        (_log_loss(logits, labels), _log_loss(sure, labels)),
        means(f1),
        (half, common, own),
        means(precision),
        means(recall),
        ends(f1),
        ends(precision),
        ends(recall),
    )


def _f1(decisions: DecisionCounts) -> Float[np.ndarray, " class"]:
    return 2 * decisions.right / np.maximum(decisions.made + decisions.wanted, 1)


def _log_loss(logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]) -> float:
    """Mean cross-entropy of the known labels."""
    known = labels != UNKNOWN
    z = logits[known].astype(np.float64)
    return float(np.logaddexp(0, np.where(labels[known] == PRESENT, -z, z)).mean())
