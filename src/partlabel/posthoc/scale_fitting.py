"""Fit the slope and offsets that calibrate logits, and test by cross-fitting whether they help."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.evaluation.calibration import calibrate
from partlabel.priors.scale import Scale


def fit_scale(logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]) -> Scale:
    """Fit the slope and offsets with the lowest cross-entropy of the known labels.

    First a slope and an offset for all classes together; then, about each class's mean, a slope for all and an offset
    by class with a square penalty: a class with few known labels keeps the common one.
    """
    z, y = torch.from_numpy(np.asarray(logits, np.float64)), torch.from_numpy(np.array(labels))
    common = calibrate(z.reshape(-1, 1), z.new_zeros(1), y.reshape(-1, 1))
    z = common.slope * z + common.offset
    anchor = z.mean(0)
    own = calibrate(z, anchor, y)
    offset = own.slope * common.offset + (1 - own.slope) * anchor + own.offset
    return Scale(float(own.slope * common.slope), offset.numpy())


def cross_shares(
    shares: np.ndarray,
) -> Iterator[tuple[Bool[np.ndarray, " image"], Bool[np.ndarray, " image"]]]:
    """Yield for each fold the images to fit and those to evaluate."""
    for share in np.unique(shares):
        judged = shares == share
        yield ~judged, judged


class HelpingScale(NamedTuple):
    """A scale, if it improves images that it was not fitted to.

    Attributes:
        scale: Scale fitted to all images; None if it does not help.
        logits: Cross-fitted logits if it helps, else unchanged ones.
        by_share: Scale fitted without each fold, in the order of `cross_shares`; empty if it does not help.
    """

    scale: Scale | None
    logits: Float[np.ndarray, "image class"]
    by_share: Sequence[Scale]


def helping_scale(
    logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"], shares: np.ndarray
) -> HelpingScale:
    """Fit the scale, and test by cross-fitting whether it helps."""
    crossed, by_share = logits.astype(np.float32), []
    for learn, judge in cross_shares(shares):
        by_share.append(fit_scale(logits[learn], labels[learn]))
        crossed[judge] = by_share[-1].logits(logits[judge])
    if mean_log_loss(crossed, labels) < mean_log_loss(logits, labels):
        return HelpingScale(fit_scale(logits, labels), crossed, by_share)
    return HelpingScale(None, logits, ())


def mean_log_loss(logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]) -> float:
    """Compute the mean cross-entropy of the known labels."""
    known = labels != UNKNOWN
    z = logits[known].astype(np.float64)
    return float(np.logaddexp(0, np.where(labels[known] == PRESENT, -z, z)).mean())
