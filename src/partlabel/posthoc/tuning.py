"""Tuning after training: a threshold for every class, and calibrated probabilities.

Both are fitted to known labels of images that were not trained on, and saved with the model in `tuning.json`. A class
has few known labels, and its best values on them are noisy; therefore neither is fitted to each class alone:

- probabilities: a slope and an offset in log-odds for all classes together, then an offset by class under a penalty
  (`calibration.py`); kept only if that lowers the cross-entropy of labels that it was not fitted to;
- thresholds: each class's own is shrunk to the best common one (`thresholds.py`).

The figures are cross-fitted: every image is evaluated by values that were fitted without it (docs/tuning.md).

Known labels are often no fair sample. Then probabilities are corrected (`priors/correcting.py`, docs/probabilities.md),
and thresholds are fitted to all labels, with unknown labels drawn from corrected probabilities.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from partlabel.core.labels import UNKNOWN
from partlabel.core.messages import some
from partlabel.data.tables.closure import with_added, without_rule_labels
from partlabel.data.tables.splits import VAL, aligned
from partlabel.evaluation.thresholds import Aim
from partlabel.nn.coherence import Coherence
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_result import Tuning
from partlabel.priors.correction import CalibrationSet
from partlabel.priors.prevalence import Prevalence
from partlabel.priors.reviewed import Reviewed

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.posthoc.predictor import Predictor


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
    """Fit thresholds and calibration of a tagger, and set them; `Tagger.save` saves them with the tagger.

    Args:
        tagger: Fitted or loaded tagger; changed in place.
        table: Label table of images that were not trained on; if it has a split, its part `val`. None uses the
            training images with their out-of-fold logits, if training kept them.
        aim: Objective of the thresholds: the largest `f1`, or the most of the other at a `precision` or a `recall`.
        at: Precision or recall to reach, in (0, 1].
        calibration: Calibration set: images drawn at random and labelled completely; None if there is none.
        prevalence: Share of all images that show each class, or the mean number of present classes per image; used
            where there is no calibration set.
        shrink: Number of images known to show a class at which its own threshold has half of the weight.
        folds: Number of folds of the cross-fitted figures.
        seed: Random seed of the folds.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.

    Raises:
        ValueError: The tagger is not fitted, the classes differ, the table has parts and none is `val`, there is
            no table and no logits were kept, or too few labels are known.
    """
    how = {"batch_size": batch_size, "workers": workers}
    kept = tagger.out_of_fold
    if table is not None:
        table = validation_part(aligned(with_added(table, tagger.rules), tagger.classes))
        logits = tagger.scores(table, **how)
    elif kept is not None:
        table, logits = kept.table, kept.logits
    else:
        raise ValueError(
            f"{tagger.name} has no out-of-fold logits of its training images: name a table of images that were not "
            "trained on"
        )
    voted = _informed(tagger, table, logits, **how)
    logits = tagger.evidence.coherent_logits(logits)
    given = without_rule_labels(table)  # those that follow from rules are no fair sample
    calibration_set = (
        None
        if calibration is None
        else calibration_set_of(
            tagger, aligned(with_added(calibration, tagger.rules), tagger.classes), table, **how
        )
    )
    found = fit_tuning(
        tagger.classes,
        logits,
        given.labels,
        voted,
        aim,
        at,
        shrink,
        folds,
        seed,
        calibration_set=calibration_set,
        prevalence=prevalence,
        reviewed=Reviewed.of(given.labels, given.origins, table.labels),
    )
    tagger.tuning = found if tagger.coherence is None else _with_coherent_thresholds(found, tagger.coherence)
    return tagger.tuning


def _with_coherent_thresholds(found: Tuning, coherence: Coherence) -> Tuning:
    """Raise each threshold to those of the classes that the class implies, so that decisions obey implications."""
    filling = found.thresholds_filling
    return replace(
        found,
        thresholds=coherence.thresholds(found.thresholds),
        thresholds_filling=None if filling is None else coherence.thresholds(filling),
    )


def _informed(
    tagger: "Predictor", table: "LabelTable", logits: Float[np.ndarray, "image class"], **how: int
) -> Float[np.ndarray, "image class"] | None:
    """Add the evidence of texts and of known labels to logits; None if the tagger has neither.

    Of training images, the evidence of texts is that of sources that were fitted without their labels.
    """
    evidence, kept = tagger.evidence, tagger.out_of_fold
    if evidence.texts is None and evidence.completion is None:
        return None
    if (
        evidence.texts is not None
        and kept is not None
        and kept.table is table
        and kept.with_texts is not None
    ):
        return evidence.coherent_logits(evidence.informed(kept.with_texts, table.labels))
    return evidence.coherent_logits(evidence.informed(logits, table.labels, tagger.beside(table, **how)))


def calibration_set_of(
    tagger: "Predictor",
    calibration: "LabelTable",
    table: "LabelTable",
    batch_size: int = 64,
    workers: int = 0,
) -> CalibrationSet:
    """Compute the logits of a calibration set; out-of-fold logits for images that the tagger was trained on.

    Args:
        tagger: Fitted or loaded tagger.
        calibration: Complete labels, in the order of its classes.
        table: Known labels of these and other images; images that are not in it have no known labels.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
    """
    logits = tagger.logits_unseen(calibration, batch_size, workers)
    row = {image: number for number, image in enumerate(table.images)}
    before = np.full(calibration.labels.shape, UNKNOWN, np.int8)
    for number, image in enumerate(calibration.images):
        if image in row:
            before[number] = table.labels[row[image]]
    evidence = tagger.evidence
    beside = tagger.beside(calibration, batch_size, workers)
    voted = evidence.coherent_logits(evidence.informed(logits, before, beside))
    return CalibrationSet(evidence.coherent_logits(logits), voted, calibration.labels, before == UNKNOWN)


def validation_part(table: "LabelTable") -> "LabelTable":
    """Select the images to tune on: all images of a table without a split, else its part `val`.

    Raises:
        ValueError: The table has parts, and none is `val`.
    """
    if table.split is None:
        return table
    if VAL not in table.parts:
        raise ValueError(
            f"the table has the parts {some(map(repr, table.parts))} and none is 'val'; tuning takes images that were "
            "neither trained on nor kept for testing: name a table of such images, without a split"
        )
    return table.part(VAL)
