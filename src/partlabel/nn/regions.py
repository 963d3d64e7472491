"""Scores of classes at places, and their attended mean: the geometry that heads of the family of DualCoOp share.

The attention over places is that of DualCoOp (Sun et al., NeurIPS 2022, arXiv:2206.09541), the competition of classes
for a place that of DualCoOp++ (Hu et al., TPAMI 2024, arXiv:2308.01890).
"""

import torch
from jaxtyping import Float
from torch import Tensor

PlaceScores = Float[Tensor, "batch class place"]


def attention(guide: PlaceScores, sharpness: float | Float[Tensor, ""]) -> Float[Tensor, "batch class place"]:
    """Compute `softmax_p(sharpness guide_p)`."""
    return (sharpness * guide).softmax(-1)


def won(present: PlaceScores, winner: float) -> Float[Tensor, "batch class place"]:
    """Raise the scores of classes that win the competition for a place.

    `s_cp (1 + softmax_c(winner best_p s_cp))`, where best_p is the highest score at the place.

    Args:
        present: Scores of presence.
        winner: Sharpness of the competition; 0 for none.
    """
    if not winner:
        return present
    best = present.amax(1, keepdim=True)
    return present * (1 + (winner * best * present).softmax(1))


def compared(
    vectors: Float[Tensor, "class vector dim"], places: Float[Tensor, "batch dim place"]
) -> Float[Tensor, "vector batch class place"]:
    """Multiply every vector of every class with every place."""
    return torch.einsum("cvd,bdp->vbcp", vectors, places)
