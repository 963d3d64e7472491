r"""Expected number of correct filled labels, and the labels to fill in at a given precision.

The log-odds of a correction are uncertain: slope and common shift with a covariance S, each class's shift with a
standard deviation d_c. With x = log-odds minus centre, their variance is `v = S11 x^2 + 2 S12 x + S22 + d_c^2`, and the
expected probability is `sigmoid(l / sqrt(1 + pi v / 8))` (MacKay, Neural Computation 1992, equation 10). Labels at a
precision are the largest set whose mean expected probability is at least the precision. The interval of the number of
correct labels is simulated: slope and shifts are drawn, and then each label.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from partlabel.priors.correction import Correction
from partlabel.priors.scale import log_odds, sigmoid

PrecisionOf = Literal["overall", "class"]
DRAWS = 400
LEVEL = 0.9
"""Of the interval."""


class Expected(NamedTuple):
    """Expected number of correct labels.

    Attributes:
        labels: Number of labels.
        right: Expected number of correct labels.
        low: Lower end of the 90 % interval of the number of correct labels.
        high: Upper end of the 90 % interval.
    """

    labels: int
    right: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """Sentence for people; empty if there are no labels."""
        if not self.labels:
            return ""
        share = f"{self.right / self.labels:.1%}"
        return (
            f"{self.right:,.0f} of {self.labels:,} are expected to be right, {share} "
            f"(90 % interval {self.low:,.0f} to {self.high:,.0f}: {self.low / self.labels:.1%} to "
            f"{self.high / self.labels:.1%})"
        )


def moderated(
    probability: Float[np.ndarray, "image class"], correction: Correction | None
) -> Float[np.ndarray, "image class"]:
    """Compute expected probabilities, which are closer to 0.5 the more uncertain their log-odds are."""
    if correction is None:
        return probability.astype(np.float64)
    odds = log_odds(probability)
    x, s = odds - correction.centre, correction.covariance
    variance = s[0, 0] * x**2 + 2 * s[0, 1] * x + s[1, 1] + np.square(correction.deviation)
    return sigmoid(odds / np.sqrt(1 + np.pi * variance / 8))


def accepted(
    probability: Float[np.ndarray, "image class"],
    blank: Bool[np.ndarray, "image class"],
    precision: float,
    of: PrecisionOf = "overall",
    correction: Correction | None = None,
) -> Float[np.ndarray, " class"]:
    """Find the probability from which on each class's unknown labels are filled in as present, at a precision.

    Args:
        probability: Probabilities that `fill` computes.
        blank: Whether each label is unknown.
        precision: Expected share of correct labels among the filled ones, in (0, 1).
        of: Labels that `precision` refers to: all filled labels, or those of each class.
        correction: Correction with the uncertainty of the probabilities; None assumes them exact.

    Returns:
        A probability for each class; infinity where no label reaches the precision.

    Raises:
        ValueError: `precision` is not in (0, 1).
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision is {precision}; it is a share of correct labels, between 0 and 1")
    expected = moderated(probability, correction)
    from_ = np.full(probability.shape[1], np.inf)
    if of == "class":
        for c in range(len(from_)):
            cut = _cut(expected[blank[:, c], c], precision)
            from_[c] = _least(probability[:, c], expected[:, c], blank[:, c], cut)
        return from_
    cut = _cut(expected[blank], precision)
    return np.array([_least(probability[:, c], expected[:, c], blank[:, c], cut) for c in range(len(from_))])


def expected_right(
    probability: Float[np.ndarray, "image class"],
    present: Bool[np.ndarray, "image class"],
    absent: Bool[np.ndarray, "image class"],
    correction: Correction | None = None,
    seed: int = 0,
) -> Expected:
    """Compute the expected number of correct new labels, with its interval.

    Args:
        probability: Probabilities that `fill` computed.
        present: Whether each label became present.
        absent: Whether each label became absent.
        correction: Correction with the uncertainty of the probabilities; None assumes them exact.
        seed: Random seed of the simulation.
    """
    chosen = present | absent
    columns = np.nonzero(chosen)[1]
    sign = np.where(present[chosen], 1.0, -1.0)
    odds = log_odds(probability[chosen])
    random, found = np.random.default_rng(seed), np.zeros(DRAWS)
    for draw in range(DRAWS):
        moved = odds
        if correction is not None:
            slope, shift = random.multivariate_normal([0, 0], correction.covariance, method="eigh")
            own = random.normal(size=len(correction.deviation)) * correction.deviation
            moved = odds + slope * (odds - correction.centre) + shift + own[columns]
        p = sigmoid(sign * moved)
        found[draw] = p.sum() + random.normal() * np.sqrt((p * (1 - p)).sum())
    plain = moderated(probability, correction)[chosen]
    right = float(np.where(sign > 0, plain, 1 - plain).sum())
    low, high = np.quantile(found.clip(0, len(sign)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Expected(len(sign), right, float(min(low, right)), float(max(high, right)))


def _cut(expected: Float[np.ndarray, " label"], precision: float) -> float:
    """Find the lowest expected probability in the largest set with the precision; infinity if there is none."""
    ordered = np.sort(expected)[::-1]
    mean = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    reaching = np.flatnonzero(mean >= precision)
    return float(ordered[reaching[-1]]) if len(reaching) else np.inf


def _least(probability: np.ndarray, expected: np.ndarray, blank: np.ndarray, cut: float) -> float:
    """Find the lowest probability in the set; infinity if the set is empty."""
    inside = probability[blank & (expected >= cut)]
    return float(inside.min()) if len(inside) else np.inf
