"""Pairs of classes: whether class i comes with class j in this image (SST, AAAI 2022, intra-image transfer).

Everything that is said of pairs is a vector over `torch.triu_indices(C, C, 1)`: (0, 1), (0, 2), ..., (C-2, C-1). This
file alone knows that order.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from partlabel.codes import ABSENT, PRESENT
from partlabel.labels import Labels, Targets
from partlabel.nn.per_class_linear import PerClassLinear


def pair_index(num_classes: int, device: torch.device | None = None) -> Int64[Tensor, "2 pair"]:
    """The two classes of every pair."""
    return torch.triu_indices(num_classes, num_classes, 1, device=device)


def symmetric(
    pairs: Float[Tensor, "batch pair"], num_classes: int, diagonal: float = 1.0
) -> Float[Tensor, "batch class class"]:
    """The pairs as a symmetric matrix; what a class is to itself is the diagonal."""
    first, second = pair_index(num_classes, pairs.device)
    matrix = pairs.new_full((len(pairs), num_classes, num_classes), diagonal)
    matrix[:, first, second] = pairs
    matrix[:, second, first] = pairs
    return matrix


def pair_targets(labels: Labels, unknown_pairs_are_absent: bool = False) -> Targets:
    """Whether both classes of a pair are present, as far as the known labels say.

    A pair with an absent class does not come together, whatever the other is; one of a present and an unknown class,
    or of two unknown ones, may or may not.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN.
        unknown_pairs_are_absent: Say "not together" of those too, as the authors' code does. A pair that is there is
            then seen as such with probability known^2 only, which biases co-occurrence low where little is known.
    """
    first, second = pair_index(labels.shape[1], labels.device)
    i, j = labels[:, first], labels[:, second]
    together = (i == PRESENT) & (j == PRESENT)
    said = together | (i == ABSENT) | (j == ABSENT) | unknown_pairs_are_absent
    return Targets(together.float(), said.float())


class PairHead(nn.Module):
    """The logit that two classes are in an image together: `w_ij . fc3(relu(fc2([g_i ; g_j]))) + b_ij`, `g = fc1(f)`.

    fc2 of a pair is `A g_i + B g_j`: one product per class. fc3 is followed by w_ij alone: one product per pair,
    `fc3.W' w_ij`, and none per image. Memory is bounded by `pair_block`: larger sets of pairs are computed in blocks,
    which are recomputed in the backward pass.

    Args:
        num_classes: C; there are C (C-1) / 2 pairs.
        feature_dim: Length of a class's feature.
        dim: Length of its reduction g (paper: 512).
        hidden_dim: Width of fc2 and fc3 (paper: 1024).
        pair_block: Pairs computed at a time.
    """

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        dim: int = 512,
        hidden_dim: int = 1024,
        pair_block: int = 1024,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(feature_dim, dim)
        self.fc2 = nn.Linear(2 * dim, hidden_dim)
        self.fc3 = nn.Linear(hidden_dim, hidden_dim)
        self.classifier = PerClassLinear(num_classes * (num_classes - 1) // 2, hidden_dim)
        self.num_classes = num_classes
        self.pair_block = pair_block

    def forward(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch pair"]:
        """One logit per pair."""
        reduced = self.fc1(features)
        as_first, as_second = self.fc2.weight.chunk(2, 1)
        left = reduced @ as_first.T + self.fc2.bias
        right = reduced @ as_second.T
        index = pair_index(self.num_classes, features.device)
        bias = self.classifier.weight @ self.fc3.bias + self.classifier.bias
        starts = range(0, index.shape[1], self.pair_block)
        blocks = [slice(start, start + self.pair_block) for start in starts]
        if len(blocks) <= 1:
            return self._block(left, right, index, self.classifier.weight) + bias
        parts = (
            checkpoint(
                self._block, left, right, index[:, block], self.classifier.weight[block], use_reentrant=False
            )
            for block in blocks
        )
        return torch.cat(list(parts), 1) + bias

    def _block(
        self,
        left: Float[Tensor, "batch class hidden"],
        right: Float[Tensor, "batch class hidden"],
        index: Int64[Tensor, "2 pair"],
        weight: Float[Tensor, "pair hidden"],
    ) -> Float[Tensor, "batch pair"]:
        first, second = index
        hidden = (left[:, first] + right[:, second]).relu()
        return torch.einsum("bph,ph->bp", hidden, weight @ self.fc3.weight)
