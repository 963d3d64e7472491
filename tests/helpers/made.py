"""Scores and labels whose prevalence and whose rates of being known are chosen."""

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN


def made(images=3000, classes=6, present=0.45, absent=0.09, slope=1.0, offset=0.0, seed=0):
    """Scores, what is known, and the truth: present with probability `sigmoid(slope * score + offset)`.

    Args:
        images: Rows.
        classes: Columns.
        present: Share of the present labels that are known.
        absent: Share of the absent labels that are known.
        slope: Of the truth.
        offset: Of the truth.
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    scores = random.normal(-2, 2, (images, classes)).astype(np.float32)
    truth = np.where(random.random(scores.shape) < sigmoid(slope * scores + offset), PRESENT, ABSENT).astype(
        np.int8
    )
    rate = np.where(truth == PRESENT, present, absent)
    labels = np.where(random.random(scores.shape) < rate, truth, UNKNOWN).astype(np.int8)
    return scores, labels, truth


def sigmoid(logits):
    """Compute the logistic function."""
    return 1 / (1 + np.exp(-logits))
