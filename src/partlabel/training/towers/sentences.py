r"""Classifiers that are trained on sentences and applied to images through a tower: CoMC without any label.

CoMC (Liu et al., "Language-driven cross-modal classifier for zero-shot multi-label image recognition", ICML 2024)
trains a classifier on the vectors of sentences with noise and applies it to images, because both lie in one space.
TaI-DPT (Guo et al., CVPR 2023, arXiv:2211.12739) and TaI-Adapter (Zhu et al., 2023) train prompts and adapters in the
same way. The labels of a sentence are the classes that it mentions.

    w_c = argmin sum_s BCE(w_c . (v_s + noise) + b_c, mentions_sc)
    score_ic = w_c . (0.7 u_i + 0.3 normalise(softmax_s(scale u_i . v_s) v_s)) + b_c

v are the vectors of sentences, u those of images. The noise is not drawn: to second order, noise of variance n^2 on
every number is a ridge penalty of `n^2 sum_s p (1 - p)` on w (Bishop, "Training with noise is equivalent to Tikhonov
regularization", Neural Computation 7, 1995).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.targets import Targets
from partlabel.nn.linear_path import EPSILON, Design, solve

NOISE = 0.1
"""Standard deviation of the noise on a vector of length 1, as in CoMC."""
KEPT = 0.7
"""Share of the image's own vector in the vector that is classified, as in CoMC."""
ENOUGH = 2048
"""Maximum number of sentences that images are mapped onto; with 12,000 in their place, the mAP was 0.2 higher."""
FEWEST = 10
"""Number of sentences that mention a class from which on they classify better than its name."""
AT_ONCE = 1024
"""Images that are mapped at a time."""


def classify(
    images: Float[Tensor, "image dim"],
    sentences: Float[Tensor, "sentence dim"],
    mentions: Float[Tensor, "sentence class"],
    scale: float,
) -> Float[Tensor, "image class"]:
    """Train a classifier on sentences, and compute its logits of images.

    Args:
        images: Vectors of images, of length 1.
        sentences: Vectors of sentences, of length 1.
        mentions: 1 where a sentence mentions a class, else 0.
        scale: Inverse temperature of the tower.
    """
    design = Design.of(sentences)
    share = mentions.mean(0)
    spread = len(sentences) * share * (1 - share)
    penalty = NOISE**2 / design.variance.mean().clamp(min=1e-8) * spread
    fitted = solve(design, Targets(mentions, torch.ones_like(mentions)), penalty.clamp(min=1.0))
    weight, bias = design.weights(fitted)
    weight = weight * torch.rsqrt(design.variance + EPSILON)
    mapped = [_mapped(part, sentences[_some(len(sentences))], scale) for part in images.split(AT_ONCE)]
    return torch.cat(mapped) @ weight.T + bias - weight @ design.mean


def _some(count: int) -> Tensor:
    """Choose sentences evenly."""
    return torch.linspace(0, count - 1, min(count, ENOUGH)).round().long()


def _mapped(
    images: Float[Tensor, "image dim"], sentences: Float[Tensor, "sentence dim"], scale: float
) -> Float[Tensor, "image dim"]:
    """Move images towards the sentences that are close to them, which narrows the gap between the two."""
    near = (scale * images @ sentences.T).softmax(1) @ sentences
    return KEPT * images + (1 - KEPT) * normalize(near, dim=1)
