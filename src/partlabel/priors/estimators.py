r"""Three estimators of the share of unknown labels that are present, from positive and unlabelled data.

All take scores of images that the model was not trained on, and the known labels. They differ in their assumptions:

- `likelihood`: given the ground truth, whether a label is known does not depend on the image, and log-odds are linear
  in the score (`selection_model.py`). Uses known absent labels. For a table without any, the estimate lies between two
  bounds (`bounded`).
- `elkan_noto`: Elkan & Noto, KDD 2008, equation 4 and section 2: with g(z) = P(known present | z), the share of
  present labels that are known is the mean of g over known present cells. Right only where classes do not overlap;
  where they do, that share is underestimated and the prior overestimated.
- `best_bin`: best bin estimation, Garg et al., NeurIPS 2021 (arXiv:2111.00980), algorithm 1: among cells above some
  score nearly all are present, so the share of unknown cells above it, divided by the share of known present cells
  above it, is at least the prior among unknown cells; the score with the lowest upper confidence bound is taken.

The last two treat each class alone and do not use known absent labels.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors import selection_model
from partlabel.priors.selection_model import SelectionModel

Prior = Float[np.ndarray, " class"]
Scores = Float[np.ndarray, "image class"]
Labels = Int8[np.ndarray, "image class"]


def likelihood(scores: Scores, labels: Labels) -> Prior:
    """Estimate the share of each class's unknown labels that are present, by maximum likelihood."""
    return bounded(scores, labels).unknown


def bounded(scores: Scores, labels: Labels) -> SelectionModel:
    """Fit the selection model; where no label is known to be absent, between its bounds.

    Positive and unlabelled data bound the share of present labels that are known from both sides. It is at most 1, and
    at least the maximum likelihood estimate, because labels that the scores do not separate look like present labels
    that are not annotated. (The larger prior is the only one that such data identify: Scott, Blanchard & Handy, COLT
    2013.) The quality of the lower bound depends on how well the scores separate: it is raised to the power of their
    Gini coefficient, `2 AUC - 1`, of known present cells against unknown ones; 1 does not change it, 0 gives 1. This
    rule is ours, and was chosen on the two collections of benchmarks/probabilities.py.

    Args:
        scores: Logits of images that the model was not trained on.
        labels: PRESENT, ABSENT or UNKNOWN, of these images.

    Raises:
        ValueError: No label is known to be present.
    """
    found = selection_model.fit(scores, labels)
    if (labels == ABSENT).any():
        return found
    return selection_model.fit(scores, labels, rate_present=found.rate_present ** gini(scores, labels))


def gini(scores: Scores, labels: Labels) -> float:
    """Compute `2 AUC - 1`, at least 0, of known present cells against unknown ones, over all classes together."""
    from sklearn.metrics import roc_auc_score

    cells = (labels == PRESENT) | (labels == UNKNOWN)
    present = labels[cells] == PRESENT
    if present.all():
        return 1.0
    return max(2 * float(roc_auc_score(present, scores[cells])) - 1, 0.0)


def elkan_noto(scores: Scores, labels: Labels) -> Prior:
    """Estimate the share of unknown labels that are present by Elkan & Noto (2008); NaN without known present labels.

    g is a logistic function of the score, fitted to known present cells against unknown ones.
    """
    return _by_class(scores, labels, _elkan_noto)


def best_bin(scores: Scores, labels: Labels) -> Prior:
    """Estimate the share of unknown labels that are present by Garg et al. (2021); NaN without known present labels."""
    return _by_class(scores, labels, _best_bin)


def _by_class(scores: Scores, labels: Labels, estimate: Callable[[np.ndarray, np.ndarray], float]) -> Prior:
    found = np.full(labels.shape[1], np.nan)
    for c in range(labels.shape[1]):
        present, unknown = scores[labels[:, c] == PRESENT, c], scores[labels[:, c] == UNKNOWN, c]
        if len(present) and len(unknown):
            found[c] = estimate(present.astype(np.float64), unknown.astype(np.float64))
    return found


def _elkan_noto(present: Float[np.ndarray, " known"], unknown: Float[np.ndarray, " unknown"]) -> float:
    """Compute the prior among both, P / (P + U) / mean of g over P; less the known ones, that of the unknown."""
    from sklearn.linear_model import LogisticRegression

    z, known = np.concatenate([present, unknown])[:, None], np.repeat([1, 0], [len(present), len(unknown)])
    share = LogisticRegression(C=1.0).fit(z, known).predict_proba(present[:, None])[:, 1].mean()
    return float(np.clip((len(present) / share - len(present)) / len(unknown), 0, 1))


def _best_bin(
    present: Float[np.ndarray, " known"],
    unknown: Float[np.ndarray, " unknown"],
    delta: float = 0.1,
    gamma: float = 0.01,
) -> float:
    """Compute the ratio of shares above the score with the lowest upper bound (equation 2 of the paper)."""
    cuts = np.unique(present)
    of_present, of_unknown = (
        1 - np.searchsorted(np.sort(each), cuts) / len(each) for each in (present, unknown)
    )
    error = np.sqrt(np.log(4 / delta) / 2 / len(unknown)) + np.sqrt(np.log(4 / delta) / 2 / len(present))
    bound = (of_unknown + (1 + gamma) * error) / of_present
    best = int(np.argmin(bound))
    return float(np.clip(of_unknown[best] / of_present[best], 0, 1))
