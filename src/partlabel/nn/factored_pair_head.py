"""A pair head of low rank, for thousands of classes."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.nn.pairs import pair_index


class FactoredPairHead(nn.Module):
    """The logit that two classes occur together, of rank r: `l_i . r_j + b` for i before j.

    `l_i = u_i * A g_i + p_i`, `r_j = v_j * B g_j + q_j`, `g = fc1(f)`: low-rank bilinear pooling (Kim et al., ICLR
    2017, arXiv:1610.04325) whose classifier of a pair is itself a product of one vector per class. A departure from SST
    for large vocabularies: parameters and work grow with the number of classes, those of `PairHead` with the number of
    pairs (9,605 classes have 46 million pairs, whose classifiers alone take 189 GB).

    Args:
        num_classes: C.
        feature_dim: Length of a class's feature.
        dim: Length of its reduction g.
        rank: Length of l and r.
    """

    def __init__(self, num_classes: int, feature_dim: int, dim: int = 512, rank: int = 64) -> None:
        super().__init__()
        self.fc1 = nn.Linear(feature_dim, dim)
        self.first = nn.Linear(dim, rank, bias=False)  # A
        self.second = nn.Linear(dim, rank, bias=False)  # B
        self.scale = nn.Parameter(torch.randn(2, num_classes, rank) * rank**-0.25)  # u, v
        self.shift = nn.Parameter(torch.randn(2, num_classes, rank) * rank**-0.25)  # p, q
        self.bias = nn.Parameter(torch.zeros(()))
        self.num_classes = num_classes

    def forward(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch pair"]:
        """Compute one logit per pair."""
        left, right = self.sides(features)
        first, second = pair_index(self.num_classes, features.device)
        return (left @ right.transpose(1, 2))[:, first, second] + self.bias

    def sides(
        self, features: Float[Tensor, "batch class feature"]
    ) -> tuple[Float[Tensor, "batch class rank"], Float[Tensor, "batch class rank"]]:
        """Compute l and r, the factors of a class for the pairs in which it is first and second."""
        reduced = self.fc1(features)
        left = self.scale[0] * self.first(reduced) + self.shift[0]
        return left, self.scale[1] * self.second(reduced) + self.shift[1]

    def rows(
        self,
        left: Float[Tensor, "batch class rank"],
        right: Float[Tensor, "batch class rank"],
        rows: Int64[Tensor, " row"],
    ) -> Float[Tensor, "batch row class"]:
        """Compute logits of the pairs of some classes with every class, as `PairHead.rows`."""
        comes_first = rows[:, None] < torch.arange(self.num_classes, device=rows.device)
        as_first, as_second = left[:, rows] @ right.transpose(1, 2), right[:, rows] @ left.transpose(1, 2)
        return torch.where(comes_first, as_first, as_second) + self.bias
