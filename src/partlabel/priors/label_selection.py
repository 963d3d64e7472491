"""How labels became known, in one sentence: a fair sample, an editor's tags, whole images, one class per source, ...

The known labels alone distinguish some kinds (`of_labels`). Whether present labels are known more often than absent
ones is estimated from scores of images that the model was not trained on (`selection_model.py`), if there are any.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.provenance import Origins, is_asked, is_drawn, is_persons, is_rules
from partlabel.priors import correcting
from partlabel.priors.correction import overall_rates
from partlabel.priors.reviewed import Reviewed

SelectionKind = Literal[
    "nothing", "everything", "positives only", "single positive", "whole images", "by source", "mostly positives",
    "fair sample", "mixed",
]  # fmt: skip
WHOLE = 0.95
"""Minimum share of images with all or no labels known, for the kind `whole images`."""
MOSTLY = 0.5
"""Share of present labels among the known ones above which the kind is `mostly positives`."""
PATTERNS = 0.1
"""Maximum number of different sets of known classes, per image with known labels, for the kind `by source`."""
IMPLAUSIBLE, FEW_CLASSES = 0.25, 10
"""Share of all classes implied to be present per image, and number of classes, from which on a warning is given. In
public collections of photos the share is 2 to 15 % (MS-COCO 2.9 of 80, VG-200 7 to 10 of 200, Pascal VOC 1.5 of 20)."""
UNFAIR = ("positives only", "single positive", "mostly positives", "mixed")
"""Kinds whose sentence gives the rates at which present and absent labels are known."""
FROM_MODEL = 0.05
"""Minimum share of known labels from a model or its review for the sentence to mention it."""


@dataclass(frozen=True)
class LabelSelection:
    """How labels became known.

    Attributes:
        kind: Kind, in a word or two.
        known: Share of all labels that are known.
        positive: Share of the known labels that are present; NaN where none is known.
        implied: Present classes per image, if the known labels were a fair sample; NaN if no absent label is known.
        told: Known present labels per image.
        estimated: Present classes per image, as estimated from scores; None without scores.
        rate_present: Share of the present labels that are known, as estimated; None without scores.
        rate_absent: Share of the absent labels that are known, as estimated; None without scores.
        by_model: Share of the known labels that come from a model, or that a review of its unknown labels chose by its
            prediction.
        sentence: Summary for people.
        warning: Warning about implausible values; empty if there are none.
    """

    kind: SelectionKind
    known: float
    positive: float
    implied: float
    told: float
    estimated: float | None
    rate_present: float | None
    rate_absent: float | None
    by_model: float
    sentence: str
    warning: str


def describe(
    labels: Int8[np.ndarray, "image class"],
    origins: Origins | None = None,
    scores: Float[np.ndarray, "image class"] | None = None,
) -> LabelSelection:
    """Describe how labels became known.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN, of all images that could have been labelled.
        origins: Sources of known labels; None if they are not recorded.
        scores: Logits of these images by models that were not trained on them; None if there are none.
    """
    present, absent = int((labels == PRESENT).sum()), int((labels == ABSENT).sum())
    known, kind = present + absent, of_labels(labels)
    estimate = None
    if scores is not None and present >= correcting.ENOUGH and kind not in ("nothing", "everything"):
        reviewed = Reviewed.of(labels, origins)
        model, fair = correcting.estimated(scores, labels, reviewed=reviewed)
        fair = fair and not (reviewed is not None and reviewed.matters(labels))
        rates = overall_rates(model.prevalence, labels)
        estimate = (float(model.prevalence.sum()), *rates)
        if kind in ("mixed", "mostly positives"):
            kind = "fair sample" if fair else "mostly positives" if rates[0] > rates[1] else "mixed"
    values: dict[str, Any] = {
        "kind": kind,
        "known": known / max(labels.size, 1),
        "positive": present / known if known else float("nan"),
        "implied": implied_tags(labels) if absent else float("nan"),
        "told": present / max(len(labels), 1),
        "estimated": None if estimate is None else estimate[0],
        "rate_present": None if estimate is None else estimate[1],
        "rate_absent": None if estimate is None else estimate[2],
        "by_model": _by_model(labels, origins),
    }
    return LabelSelection(**values, sentence=_sentence(values), warning=_warning(values, labels.shape[1]))


def of_labels(labels: Int8[np.ndarray, "image class"]) -> SelectionKind:
    """Determine the kind from the labels alone; `mixed` if they may be a fair sample or an editor's labels."""
    known, present = labels != UNKNOWN, labels == PRESENT
    if not known.any():
        return "nothing"
    if known.all():
        return "everything"
    if not (labels == ABSENT).any():
        return "single positive" if present.sum(1).max() <= 1 and labels.shape[1] > 1 else "positives only"
    if labels.shape[1] > 1 and (known.all(1) | ~known.any(1)).mean() >= WHOLE:
        return "whole images"
    if _from_sources(known):
        return "by source"
    return "mostly positives" if present.sum() > MOSTLY * known.sum() else "mixed"


def implied_tags(labels: Int8[np.ndarray, "image class"]) -> float:
    """Compute the present classes per image, if the known labels of each class were a fair sample of all its labels.

    A class without known labels gets the share of all classes.
    """
    present, known = (labels == PRESENT).sum(0), (labels != UNKNOWN).sum(0)
    overall = present.sum() / max(known.sum(), 1)
    return float(np.where(known > 0, present / np.maximum(known, 1), overall).sum())


def _from_sources(known: Bool[np.ndarray, "image class"]) -> bool:
    """Return whether known classes form a few repeated sets, each with several classes."""
    rows = known[known.any(1)]
    if len(rows) < 20:
        return False
    patterns, counts = np.unique(np.packbits(rows, axis=1), axis=0, return_counts=True)
    few = len(patterns) <= max(PATTERNS * len(rows), 2) and len(patterns) < 2.0 ** known.shape[1] / 4
    several = rows.sum(1).mean() >= 1.5
    return bool(few and several and counts[counts >= 3].sum() >= 0.9 * len(rows))


def _by_model(labels: np.ndarray, origins: Origins | None) -> float:
    """Compute the share of known labels that come from a model or from review."""
    known = labels != UNKNOWN
    if origins is None or not known.any():
        return 0.0
    chosen = np.array(
        [
            bool(name) and not (is_rules(name) or is_drawn(name)) and (is_asked(name) or not is_persons(name))
            for name in origins.names
        ]
    )
    return float(chosen[origins.codes[known]].mean())


def _sentence(values: dict) -> str:
    share = f"{values['known']:.1%} of all labels are known"
    positive = values["positive"]
    tells = {
        "nothing": "No label is known.",
        "everything": "All labels are known.",
        "positives only": f"{share}, and all of them are present: no absent label is known.",
        "single positive": f"{share}: at most one present label per image, and no absent one.",
        "whole images": f"{share}: for nearly every image all labels or none.",
        "by source": f"{share}: the same sets of classes repeat, as in collections that were joined.",
        "mostly positives": f"{share}, mostly positives ({positive:.0%} of them are present).",
        "fair sample": f"{share}, and they look like a fair sample ({positive:.0%} of them are present).",
        "mixed": f"{share}, of which {positive:.0%} are present.",
    }[values["kind"]]
    if values["rate_present"] is not None and values["kind"] in UNFAIR:
        tells = tells.removesuffix(".") + (
            f"; an estimated {values['rate_present']:.0%} of all present labels and {values['rate_absent']:.0%} of all "
            f"absent ones are known (about {values['estimated']:.2g} present classes per image)."
        )
    if values["by_model"] >= FROM_MODEL:
        tells += f" {values['by_model']:.0%} of the known labels were chosen by a model or its review."
    return tells


def _warning(values: dict, classes: int) -> str:
    implied = values["implied"]
    labelled = values["kind"] in ("whole images", "everything", "nothing", "fair sample")
    if labelled or classes < FEW_CLASSES or not implied > IMPLAUSIBLE * classes:
        return ""
    found = values["estimated"]
    instead = "" if found is None else f" (the scores suggest {found:.2g})"
    return (
        f"{values['positive']:.0%} of the known labels are present: if they were a fair sample, an image would show "
        f"{implied:.2g} of {classes} classes on average{instead}. If that is implausible, present labels are known "
        "more often than absent ones, and probabilities are too high: collect a calibration set (partlabel "
        "review RUN --calibrate 40), or give the mean number of present classes per image (--prevalence NUMBER) to "
        "tune and fill"
    )
