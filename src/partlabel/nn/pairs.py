"""Pairs of classes: do classes i and j occur together in this image (SST, AAAI 2022, intra-image transfer)?

All values of pairs are vectors over `torch.triu_indices(C, C, 1)`: (0, 1), (0, 2), ..., (C-2, C-1). Only this file
depends on that order.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets


def pair_index(num_classes: int, device: torch.device | None = None) -> Int64[Tensor, "2 pair"]:
    """List the two classes of every pair."""
    return torch.triu_indices(num_classes, num_classes, 1, device=device)


def pair_number(
    first: Int64[Tensor, "*shape"], second: Int64[Tensor, "*shape"], num_classes: int
) -> Int64[Tensor, "*shape"]:
    """Compute the position of a pair; for a class and itself the result is an arbitrary valid position.

    Args:
        first: First class.
        second: Second class.
        num_classes: C.
    """
    number = first * (2 * num_classes - first - 3) // 2 + second - 1
    return number.clamp(0, max(num_classes * (num_classes - 1) // 2 - 1, 0))


def symmetric(
    pairs: Float[Tensor, "batch pair"], num_classes: int, diagonal: float = 1.0
) -> Float[Tensor, "batch class class"]:
    """Arrange pairs as a symmetric matrix with a given diagonal."""
    first, second = pair_index(num_classes, pairs.device)
    matrix = pairs.new_full((len(pairs), num_classes, num_classes), diagonal)
    matrix[:, first, second] = pairs
    matrix[:, second, first] = pairs
    return matrix


def pair_targets(labels: Labels, unknown_pairs_are_absent: bool = False) -> Targets:
    """Compute whether both classes of a pair are present, as far as the known labels determine it.

    A pair with an absent class does not occur together, whatever the other label; a pair of a present and an unknown
    class, or of two unknown ones, is undetermined.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN.
        unknown_pairs_are_absent: Set undetermined pairs to "not together", as the authors' code does. A pair that
            occurs is then observed with probability known^2 only, which biases co-occurrence downwards where few labels
            are known.
    """
    first, second = pair_index(labels.shape[1], labels.device)
    i, j = labels[:, first], labels[:, second]
    together = (i == PRESENT) & (j == PRESENT)
    known = together | (i == ABSENT) | (j == ABSENT) | unknown_pairs_are_absent
    return Targets(together.float(), known.float())


def known_classes(labels: Labels) -> Int64[Tensor, " row"]:
    """List the classes with at least one known label in the batch."""
    return (labels != UNKNOWN).any(0).nonzero().squeeze(1)


def row_targets(labels: Labels, rows: Int64[Tensor, " row"]) -> Targets:
    """Compute `pair_targets` of the pairs of some classes with every class.

    All determined pairs have a known class, so the rows of `known_classes` hold all of them. A pair of two such classes
    is in two rows and has weight in the first; a class and itself have no weight.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN.
        rows: Classes, some or all of the `known_classes`.

    Returns:
        Targets of shape [batch, row, class].
    """
    i, j = labels[:, rows, None], labels[:, None]
    every = torch.arange(labels.shape[1], device=labels.device)
    counted = (every > rows[:, None]) | ~(labels != UNKNOWN).any(0)
    together = (i == PRESENT) & (j == PRESENT)
    known = together | (i == ABSENT) | (j == ABSENT)
    return Targets(together.float(), (known & counted).float())
