"""What a candidate of the search is judged by: a function of out-of-fold logits and labels, lower is better."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from partlabel.calibration import calibrate
from partlabel.codes import PRESENT, UNKNOWN
from partlabel.labels import Labels

Criterion = Callable[[Float[Tensor, "image class"], Labels], float]


def calibrated_cross_entropy(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Mean cross-entropy of the known labels after calibration: a common slope, and an offset per class.

    Without calibration, a model whose logits are shifted, as assuming unknown labels absent does, would lose to one
    that ranks worse. The logits of each class are first centred on the log-odds of its known labels, so that the
    penalty on the offsets, which keeps those of rare classes in bounds, does not depend on the shift.
    """
    known = labels != UNKNOWN
    prior = (((labels == PRESENT).sum(0) + 0.5) / (known.sum(0) + 1)).logit()
    centred = logits - logits.mean(0) + prior
    return calibrate(centred, prior, labels).cost / max(int(known.sum()), 1)
