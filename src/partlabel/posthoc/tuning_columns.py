"""Thresholds and calibration when the classes of a tagger change: some stay as they are, new ones are tuned alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_result import Gain, Tuning
from partlabel.priors.correcting import ENOUGH
from partlabel.priors.correction import Correction
from partlabel.priors.reviewed import Reviewed
from partlabel.priors.scale import Scale

V = TypeVar("V")
BY_CLASS = ("class_f1", "class_precision", "class_recall")
"""Fields of `Gain` with an entry per class."""


def selected(tuning: Tuning, columns: Sequence[int], classes: Sequence[str]) -> Tuning:
    """Select classes: the result has, for each of `classes`, the values of that column.

    Means over the classes (`Gain`, `Correction`) stay those of all classes that were tuned.
    """

    def of(values: Sequence[V]) -> tuple[V, ...]:
        return tuple(values[at] for at in columns)

    at = list(columns)
    correction = tuning.correction
    by_class: dict[str, Any] = {name: of(getattr(tuning.gain, name)) for name in BY_CLASS}
    gain = replace(tuning.gain, **by_class)
    filling = tuning.thresholds_filling
    return replace(
        tuning,
        classes=tuple(classes),
        present=of(tuning.present),
        absent=of(tuning.absent),
        thresholds=of(tuning.thresholds),
        thresholds_filling=None if filling is None else of(filling),
        scale=_selected_scale(tuning.scale, at),
        scale_filling=_selected_scale(tuning.scale_filling, at),
        gain=gain,
        correction=None if correction is None else _selected_correction(correction, at),
    )


def _selected_scale(scale: Scale | None, at: list[int]) -> Scale | None:
    if scale is None:
        return None
    slope = scale.slope[at] if isinstance(scale.slope, np.ndarray) else scale.slope
    return Scale(slope, scale.offset[at])


def _selected_correction(found: Correction, at: list[int]) -> Correction:
    scale, filling = _selected_scale(found.scale, at), _selected_scale(found.scale_filling, at)
    assert scale is not None and filling is not None
    arrays: dict[str, Any] = {
        name: getattr(found, name)[at] for name in ("prevalence", "unknown", "deviation")
    }
    return replace(found, scale=scale, scale_filling=filling, **arrays)


def tuned_alone(
    tuning: Tuning,
    classes: Sequence[str],
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    seed: int = 0,
    reviewed: Reviewed | None = None,
) -> Tuning:
    """Tune new classes for the aim of a tagger; its own classes take no part.

    Where too few labels are known for an estimate of how they became known, unknown labels count as absent.

    Args:
        tuning: Tuning of the tagger.
        classes: New classes.
        logits: Out-of-fold logits of the new classes.
        labels: Their labels.
        seed: Random seed of the folds.
        reviewed: Known labels that a review asked about; None if it asked about none.
    """
    present, absent = (labels == PRESENT).sum(), (labels == ABSENT).sum()
    if not absent and present < ENOUGH:
        labels = np.where(labels == UNKNOWN, np.int8(ABSENT), labels)
    return fit_tuning(
        tuple(classes),
        logits,
        labels,
        None,
        tuning.aim,
        tuning.at,
        tuning.shrink,
        seed=seed,
        reviewed=reviewed,
    )


def appended(before: Tuning, more: Tuning) -> Tuning:
    """Append classes that were tuned alone; thresholds and probabilities of the classes before do not change.

    Values for all classes together (common threshold, means, images, source of the correction) stay those of `before`.
    """
    gain = {name: getattr(before.gain, name) + getattr(more.gain, name) for name in BY_CLASS}
    filling = None
    if before.thresholds_filling is not None:
        filling = before.thresholds_filling + (more.thresholds_filling or more.thresholds)
    scales = _joined(before, before.scale, more, more.scale)
    scales_filling = _joined(before, before.scale_filling, more, more.scale_filling or more.scale)
    return replace(
        before,
        classes=before.classes + more.classes,
        present=before.present + more.present,
        absent=before.absent + more.absent,
        thresholds=before.thresholds + more.thresholds,
        thresholds_filling=filling,
        scale=scales,
        scale_filling=scales_filling,
        gain=Gain(**vars(before.gain) | gain),
        correction=_joined_correction(before, more),
    )


def _joined(before: Tuning, one: Scale | None, more: Tuning, other: Scale | None) -> Scale | None:
    """Join two scales; None changes no logit."""
    if one is None and other is None:
        return None
    first = one or Scale(1.0, np.zeros(len(before.classes)))
    second = other or Scale(1.0, np.zeros(len(more.classes)))
    slope = np.concatenate([first.per_class(), second.per_class()])
    common = slope[0] if (slope == slope[0]).all() else slope
    return Scale(common, np.concatenate([first.offset, second.offset]))


def _joined_correction(before: Tuning, more: Tuning) -> Correction | None:
    one, other = before.correction, more.correction
    if one is None or other is None:
        return None
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("prevalence", "unknown", "deviation")
    }
    scale = _joined(before, one.scale, more, other.scale)
    filling = _joined(before, one.scale_filling, more, other.scale_filling)
    assert scale is not None and filling is not None
    return replace(one, scale=scale, scale_filling=filling, **arrays)
