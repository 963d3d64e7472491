r"""How many filled labels are right, and which labels to fill in so that a given share of them is.

The log-odds of a correction are uncertain: slope and common shift with a covariance S, each class's shift with a
standard deviation d_c. With x = log-odds minus centre, their variance is `v = S11 x^2 + 2 S12 x + S22 + d_c^2`, and the
expected probability is `sigmoid(l / sqrt(1 + pi v / 8))` (MacKay, Neural Computation 1992, equation 10). Labels at a
precision are the largest set whose mean expected probability is at least that. The interval of the number that is right
is drawn: slope, shifts and then each label.
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
    """How many of some labels are right.

    Attributes:
        labels: How many there are.
        right: Expected number of right ones.
        low: Lower end of the 90 % interval.
        high: Upper end.
    """

    labels: int
    right: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """For people; empty where there are no labels."""
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
    """Expected probabilities: drawn towards one half as far as their log-odds are uncertain."""
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
    """From which probability on each class's unknown labels are filled in as present, at a precision.

    Args:
        probability: As `fill` gives it.
        blank: Unknown labels.
        precision: Expected share of the filled labels that is right, in (0, 1).
        of: Whether that is of all filled labels, or of those of each class.
        correction: How uncertain the probabilities are; None takes them as they are.

    Returns:
        A probability for each class; infinity where no label reaches the precision.

    Raises:
        ValueError: `precision` is not in (0, 1).
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision is {precision}; the share of labels to be right lies between 0 and 1")
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
    """How many new labels are right.

    Args:
        probability: As `fill` gives it.
        present: Labels that became present.
        absent: Labels that became absent.
        correction: How uncertain the probabilities are; None leaves the draw of each label alone.
        seed: Of the draws.
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
    """The least expected probability of the largest set whose mean is at least the precision; infinity if none is."""
    ordered = np.sort(expected)[::-1]
    mean = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    reaching = np.flatnonzero(mean >= precision)
    return float(ordered[reaching[-1]]) if len(reaching) else np.inf


def _least(probability: np.ndarray, expected: np.ndarray, blank: np.ndarray, cut: float) -> float:
    """The least probability that is in the set; infinity where none is."""
    inside = probability[blank & (expected >= cut)]
    return float(inside.min()) if len(inside) else np.inf
