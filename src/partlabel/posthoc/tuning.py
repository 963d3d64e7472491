"""After training: thresholds for every class, and probabilities that are as sure as they are right.

Both are found on known labels of images that were not trained on, and travel with the model in `tuning.json`. A class
has few known labels, and what is best on few is chance; so neither is found class by class alone:

- probabilities: a slope and an offset in log-odds for all classes together, then an offset by class under a penalty
  (`calibration.py`); kept only if that lowers the cross-entropy of labels that took no part in finding it;
- thresholds: each class's own is drawn to the one that is best for all (`thresholds.py`).

The figures given are cross-fitted: every image is judged by what was found without it (docs/tuning.md).

Known labels are often no fair sample. Where they are not, probabilities are corrected for it (`priors/correcting.py`,
docs/probabilities.md), and thresholds are found on all labels, the unknown ones drawn from corrected probabilities.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from partlabel.core.labels import UNKNOWN
from partlabel.core.messages import some
from partlabel.data.tables.splits import VAL, aligned
from partlabel.evaluation.thresholds import Aim
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_result import Tuning
from partlabel.priors.correction import Asked
from partlabel.priors.prevalence import Prevalence

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
    voted = _informed(tagger, table, logits)
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


def _informed(
    tagger: "Predictor", table: "LabelTable", logits: Float[np.ndarray, "image class"]
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
        return evidence.informed(kept.with_texts, table.labels)
    return evidence.informed(logits, table.labels, tagger.text_of(table))


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
    voted = tagger.evidence.informed(logits, before, tagger.text_of(calibration))
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
