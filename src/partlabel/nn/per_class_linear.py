"""Per-class linear layer: each class has a linear unit on its own feature (SSGRL, ICCV 2019, section 3.4)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PerClassLinear(nn.Module):
    """`logit_c = w_c . o_c + b_c`.

    Args:
        num_classes: Number of units.
        dim: Length of a class's feature.
    """

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        bound = dim**-0.5
        self.weight = nn.Parameter(torch.empty(num_classes, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_classes).uniform_(-bound, bound))

    def forward(self, features: Float[Tensor, "batch class dim"]) -> Float[Tensor, "batch class"]:
        """Compute one logit per class."""
        return torch.einsum("bcd,cd->bc", features, self.weight) + self.bias
