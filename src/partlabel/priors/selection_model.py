r"""Maximum likelihood model of how labels became known: a logistic model of the ground truth, and known rates.

For image i and class c with score z_ic, of a model that was not trained on the image,

    P(present)           = sigmoid(slope * z_ic + offset_c)
    P(known | present)   = rate_present_c
    P(known | absent)    = rate_absent_c

so that a cell is known to be present with probability `rate_present * p`, known to be absent with
`rate_absent * (1 - p)`, and unknown with the remaining probability. All three kinds of cells enter the likelihood.
Assumptions: given the ground truth, whether a label is known does not depend on the image ("selected completely at
random given the label", Elkan & Noto 2008, for each of the two labels), and its log-odds are linear in the score.

A label that a review asked about (`asked`) was unknown until then, and its order chose it by the model's prediction:
given the score, being asked does not depend on the ground truth. It is present with `(1 - rate_present) * p` and absent
with `(1 - rate_absent) * (1 - p)`, whatever share of the labels was asked. The rates are those of the other labels.

With known absent labels this is label shift estimated by maximum likelihood (Saerens, Latinne & Decaestecker, Neural
Computation 2002): the odds ratio comes from known cells, the share of present cells from unknown ones. Without, it is
logistic regression on positive and unlabelled data with an unknown share (Lancaster & Imbens, Journal of
Econometrics 1996; Ward et al., Biometrics 2009), identified by the linearity alone. That is weak for a single class,
so classes share the slope, and their offsets and rates are shrunk to common ones (normal priors, `PriorSpread`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors.scale import LIMIT, log_odds, sigmoid

MOST_CELLS = 2_000_000
"""Maximum number of cells in the likelihood; of larger tables a random sample of the images is used."""


class PriorSpread(NamedTuple):
    """Standard deviations, over classes, of the normal priors in log-odds.

    Attributes:
        offset: Deviation of the offsets from the common one.
        absent: Deviation of the log-odds of `rate_absent` from the common one.
        ratio: Deviation of the log odds ratio of `rate_present` to `rate_absent` from the common one.
    """

    offset: float = 0.7
    absent: float = 1.5
    ratio: float = 1.0


SPREAD = PriorSpread()


class SelectionModel(NamedTuple):
    """How labels became known.

    Attributes:
        slope: Slope of the scores, above 0.
        offset: Offset of each class for a random image, in log-odds.
        rate_present: Share of the present labels of each class that are known, other than by being asked.
        rate_absent: Share of the absent labels of each class that are known, other than by being asked; 0 where no
            label is known to be absent.
        prevalence: Share of all images that show each class.
        unknown: Share of the unknown labels of each class that are present.
        log_likelihood: Log-likelihood of all cells, with the priors, in nats.
    """

    slope: float
    offset: Float[np.ndarray, " class"]
    rate_present: Float[np.ndarray, " class"]
    rate_absent: Float[np.ndarray, " class"]
    prevalence: Float[np.ndarray, " class"]
    unknown: Float[np.ndarray, " class"]
    log_likelihood: float

    @property
    def shift(self) -> Float[np.ndarray, " class"]:
        """Difference in log-odds between an unknown label and a label of a random image."""
        return shift(self.rate_present, self.rate_absent)


def shift(
    rate_present: Float[np.ndarray, " class"], rate_absent: Float[np.ndarray, " class"]
) -> Float[np.ndarray, " class"]:
    """Compute `log((1 - rate_present) / (1 - rate_absent))`, by Bayes' rule."""
    return np.log1p(-rate_present.clip(0, 0.999)) - np.log1p(-rate_absent.clip(0, 0.999))


def fit(
    scores: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    fair: bool = False,
    rate_present: Float[np.ndarray, " class"] | None = None,
    seed: int = 0,
    asked: Bool[np.ndarray, "image class"] | None = None,
) -> SelectionModel:
    """Fit the model by penalised maximum likelihood (L-BFGS).

    Args:
        scores: Logits of images that the model was not trained on.
        labels: PRESENT, ABSENT or UNKNOWN, of these images.
        fair: Whether present and absent labels of a class are known at the same rate.
        rate_present: Share of the present labels of each class that are known; None to estimate it.
        seed: Random seed of the sample of images, if there are more than `MOST_CELLS` cells.
        asked: Whether each known label was asked about by a review; None if none was.

    Raises:
        ValueError: No label is known to be present, or `fair` is true and none is known to be absent.
    """
    from scipy.optimize import minimize

    if not (labels == PRESENT).any() or (fair and not (labels == ABSENT).any()):
        raise ValueError(
            "how labels became known needs known present labels, and for a fair sample known absent ones"
        )
    asked = np.zeros(labels.shape, bool) if asked is None else asked & (labels != UNKNOWN)
    problem = _Problem(*_some_images(scores, labels, asked, seed), SPREAD, fair, rate_present)
    found = minimize(
        problem, problem.start(), jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-7}
    )
    slope, offset, rate_present, rate_absent = problem.unpacked(found.x)
    p = sigmoid(slope * scores + offset)
    blank = labels == UNKNOWN
    odds = sigmoid(slope * scores + offset + shift(rate_present, rate_absent))
    unknown = np.where(blank, odds, 0).sum(0) / np.maximum(blank.sum(0), 1)
    return SelectionModel(
        float(slope), offset, rate_present, rate_absent, p.mean(0), unknown, -float(found.fun)
    )


def rates_given(
    probability: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"], rounds: int = 200
) -> tuple[Float[np.ndarray, " class"], Float[np.ndarray, " class"]]:
    """Estimate the rates at which present and absent labels are known, given the probabilities of random images.

    They are the fixed point of `rate_present = P / (P + sum over unknown cells of P(present | unknown))`, and likewise
    for absent labels, by expectation maximisation.

    Args:
        probability: Probability that the class is present, for a random image with this score.
        labels: PRESENT, ABSENT or UNKNOWN.
        rounds: Maximum number of rounds of expectation maximisation.

    Returns:
        `rate_present` and `rate_absent` of each class.
    """
    present, absent, blank = (labels == PRESENT).sum(0), (labels == ABSENT).sum(0), labels == UNKNOWN
    logit = log_odds(probability)
    known = (present + absent) / max(len(labels), 1)
    rate_present, rate_absent = np.where(present > 0, known, 0.0), np.where(absent > 0, known, 0.0)
    for _ in range(rounds):
        expected = np.where(blank, sigmoid(logit + shift(rate_present, rate_absent)), 0).sum(0)
        others = blank.sum(0) - expected
        now = present / np.maximum(present + expected, 1e-9), absent / np.maximum(absent + others, 1e-9)
        moved = max(np.abs(now[0] - rate_present).max(initial=0), np.abs(now[1] - rate_absent).max(initial=0))
        rate_present, rate_absent = now
        if moved < 1e-6:
            break
    return rate_present, rate_absent


class _Problem:
    """Negative log-likelihood with priors, and its gradient.

    Parameters: log slope; common offset, log odds ratio and log-odds of `rate_absent`; then each class's deviation
    from these three, in units of their `PriorSpread`.
    """

    def __init__(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        asked: np.ndarray,
        spread: PriorSpread,
        fair: bool,
        given: np.ndarray | None,
    ) -> None:
        self.z = scores.astype(np.float64)
        self.present, self.absent = labels == PRESENT, labels == ABSENT
        self.blank = labels == UNKNOWN
        self.selected = _counts(self.present & ~asked, self.absent & ~asked)
        self.asked = _counts(self.present & asked, self.absent & asked)
        self.spread, self.fair, self.given = spread, fair, given
        self.has_absent = bool(self.selected.absent.any())
        self.all_asked = not self.has_absent and not self.selected.present.any()
        self.classes = labels.shape[1]

    def start(self) -> Float[np.ndarray, " parameter"]:
        """Return the initial parameters: a fair sample, or half of the present labels known."""
        known = (self.selected.present.sum() + self.selected.absent.sum()) / self.z.size
        from scipy.special import logit

        rate = float(logit(known)) if self.has_absent and known < 1 else 0.0
        return np.concatenate([[0.0, 0.0, 0.0, rate], np.zeros(3 * self.classes)])

    def unpacked(self, at: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Unpack slope, offsets, `rate_present` and `rate_absent`."""
        offset, ratio, absent = at[4:].reshape(3, self.classes)
        base = at[3] + self.spread.absent * absent if self.has_absent else np.zeros(self.classes)
        ratios = np.zeros(self.classes) if self.fair else at[2] + self.spread.ratio * ratio
        rate_present = sigmoid(base + ratios) if self.given is None else self.given
        return (
            float(np.exp(at[0])),
            at[1] + self.spread.offset * offset,
            np.zeros(self.classes) if self.all_asked else rate_present,
            sigmoid(base) if self.has_absent else np.zeros(self.classes),
        )

    def __call__(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Compute value and gradient."""
        slope, offset, a, d = self.unpacked(at)
        eta = (slope * self.z + offset).clip(-LIMIT, LIMIT)
        p = sigmoid(eta)
        q = (1 - a) * p + (1 - d) * (1 - p)
        tiny = 1e-300
        selected, asked = self.selected, self.asked
        value = -(
            np.where(self.present, np.log(p + tiny), 0).sum()
            + np.where(self.absent, np.log1p(-p), 0).sum()
            + np.where(self.blank, np.log(q + tiny), 0).sum()
            + (selected.present * np.log(a + tiny) + asked.present * np.log(1 - a + tiny)).sum()
            + (selected.absent * np.log(d + tiny) + asked.absent * np.log(1 - d + tiny)).sum()
        )
        of_eta = np.where(self.present, 1 - p, np.where(self.absent, -p, (d - a) * p * (1 - p) / q))
        of_a = selected.present * (1 - a) - a * (
            asked.present + (1 - a) * np.where(self.blank, p / q, 0).sum(0)
        )
        of_d = np.zeros_like(a)
        if self.has_absent:
            unknown = np.where(self.blank, (1 - p) / q, 0).sum(0)
            of_d = selected.absent * (1 - d) - d * (asked.absent + (1 - d) * unknown)
        if self.given is not None or self.all_asked:
            of_a = np.zeros_like(a)
        of_offset = of_eta.sum(0)
        of_absent, of_ratio = (of_a + of_d) * self.has_absent, of_a * (not self.fair)
        gradient = -np.concatenate(
            [
                [slope * (of_eta * self.z).sum(), of_offset.sum(), of_ratio.sum(), of_absent.sum()],
                self.spread.offset * of_offset,
                self.spread.ratio * of_ratio,
                self.spread.absent * of_absent,
            ]
        )
        weak = (
            np.array([1.0, 0.05, 0.05, 0.05]) * at[:4]
        )  # weak priors that keep the common parameters finite
        value += 0.5 * np.square(at[4:]).sum() + 0.5 * (weak * at[:4]).sum()
        gradient[4:] += at[4:]
        gradient[:4] += weak
        return float(value), gradient


class _Counts(NamedTuple):
    """Numbers of known labels of each class."""

    present: Float[np.ndarray, " class"]
    absent: Float[np.ndarray, " class"]


def _counts(present: np.ndarray, absent: np.ndarray) -> _Counts:
    return _Counts(present.sum(0).astype(np.float64), absent.sum(0).astype(np.float64))


def _some_images(
    scores: np.ndarray, labels: np.ndarray, asked: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    most = max(MOST_CELLS // max(labels.shape[1], 1), 1)
    if len(labels) <= most:
        return scores, labels, asked
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:most])
    return scores[rows], labels[rows], asked[rows]
