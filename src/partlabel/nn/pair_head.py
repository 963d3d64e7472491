"""Heads of SST that tell for each pair of classes whether both occur."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import linear

from partlabel.nn.pairs import pair_number
from partlabel.nn.per_class_linear import PerClassLinear
from partlabel.nn.tiles import KEPT, as_autocast, sums_like, tile_size

threshold_backward = torch.ops.aten.threshold_backward.grad_input


class PairHead(nn.Module):
    """The logit that two classes occur together: `w_ij . fc3(relu(fc2([g_i ; g_j]))) + b_ij`, `g = fc1(f)`.

    fc2 of a pair is `A g_i + B g_j`: one product per class. fc3 is followed by w_ij alone: one product per pair,
    `fc3.W' w_ij`, and none per image. Memory is bounded by `pair_block`: larger sets of pairs are computed in blocks,
    which are recomputed in the backward pass.

    Args:
        num_classes: C; there are C (C-1) / 2 pairs.
        feature_dim: Length of a class's feature.
        dim: Length of its reduction g (paper: 512).
        hidden_dim: Width of fc2 and fc3 (paper: 1024).
        pair_block: Number of pairs computed at a time.
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
        """Compute one logit per pair."""
        parts = *self.sides(features), self.classifier.weight, self.fc3.weight, self.fc3.bias
        with torch.autocast(features.device.type, enabled=False):
            logits = _Pairs.apply(*as_autocast(*parts), self.pair_block)
        return logits.T + self.classifier.bias

    def sides(
        self, features: Float[Tensor, "batch class feature"]
    ) -> tuple[Float[Tensor, "class batch hidden"], Float[Tensor, "class batch hidden"]]:
        """Compute `A g + b` and `B g`, the contributions of a class to the pairs in which it is first and second."""
        reduced = self.fc1(features.transpose(0, 1))
        as_first, as_second = self.fc2.weight.chunk(2, 1)
        return linear(reduced, as_first, self.fc2.bias), linear(reduced, as_second)

    def rows(
        self,
        left: Float[Tensor, "class batch hidden"],
        right: Float[Tensor, "class batch hidden"],
        rows: Int64[Tensor, " row"],
    ) -> Float[Tensor, "batch row class"]:
        """Compute logits of pairs of some classes with every class; a class with itself is meaningless.

        Args:
            left: First output of `sides`.
            right: Second output of `sides`.
            rows: The classes.
        """
        blocks = rows.split(max(1, self.pair_block // self.num_classes))
        return torch.cat([self._row_block(left, right, block) for block in blocks], 1)

    def _row_block(
        self,
        left: Float[Tensor, "class batch hidden"],
        right: Float[Tensor, "class batch hidden"],
        rows: Int64[Tensor, " row"],
    ) -> Float[Tensor, "batch row class"]:
        every = torch.arange(self.num_classes, device=rows.device)
        first, second = torch.minimum(rows[:, None], every), torch.maximum(rows[:, None], every)
        number = pair_number(first, second, self.num_classes)
        weight, bias = self.classifier.weight[number], self.classifier.bias[number]
        hidden = (left[first] + right[second]).relu()
        logits = torch.linalg.vecdot(hidden, (weight @ self.fc3.weight).to(hidden)[:, :, None])
        return logits.movedim(2, 0) + weight @ self.fc3.bias + bias


class _Pairs(Function):
    """`w_ij . (W relu(l_i + r_j) + b)` for all pairs, keeping only its inputs for the backward pass.

    The classifiers are folded, `w_ij W`, block by block. Pairs that share their first class are neighbours, so that
    their second classes are a slice and nothing is gathered: a piece of a block is one class with a slice of the later
    ones. Where the folded classifiers are small (KEPT) they are kept, and not folded again in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        left: Float[Tensor, "class batch hidden"],
        right: Float[Tensor, "class batch hidden"],
        weight: Float[Tensor, "pair hidden"],
        w: Float[Tensor, "hidden hidden"],
        b: Float[Tensor, " hidden"],
        pair_block: int,
    ) -> Float[Tensor, "pair batch"]:
        ctx.pair_block = pair_block
        logits = left.new_empty(len(weight), left.shape[1])
        all_folded = (
            torch.empty_like(weight) if any(ctx.needs_input_grad) and weight.numel() <= KEPT else None
        )
        for block, pieces in _blocks(left, pair_block, 1):
            folded = torch.mm(weight[block], w, out=None if all_folded is None else all_folded[block])
            for i, seconds, part, (hidden,) in pieces:
                torch.add(left[i], right[seconds], out=hidden).relu_()
                torch.sum(hidden.mul_(folded[part, None]), 2, out=logits[block][part])
        ctx.save_for_backward(left, right, weight, w, b, all_folded)
        return logits.add_((weight @ b)[:, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_logits: Float[Tensor, "pair batch"]) -> tuple[Tensor | None, ...]:
        left, right, weight, w, b, all_folded = ctx.saved_tensors
        d_logits = d_logits.contiguous()
        d_left, d_right = sums_like(left), sums_like(right)
        d_weight, d_w = torch.empty_like(weight), torch.zeros_like(w)
        for block, pieces in _blocks(left, ctx.pair_block, 2):
            folded = weight[block] @ w if all_folded is None else all_folded[block]
            d_folded = torch.empty_like(folded)
            for i, seconds, part, (hidden, d_hidden) in pieces:
                d = d_logits[block][part]
                torch.add(left[i], right[seconds], out=hidden).relu_()
                torch.bmm(d[:, None], hidden, out=d_folded[part, None])
                torch.mul(d[:, :, None], folded[part, None], out=d_hidden)
                threshold_backward(d_hidden, hidden, 0, grad_input=d_hidden)
                d_left[i] += d_hidden.sum(0)
                d_right[seconds] += d_hidden
            torch.mm(d_folded, w.T, out=d_weight[block])
            d_w.addmm_(weight[block].T, d_folded)
        d_summed = d_logits.sum(1)
        d_weight.addr_(d_summed, b)
        return d_left.to(left), d_right.to(right), d_weight, d_w, d_summed @ weight, None


class Piece(NamedTuple):
    """Pairs of a block that share their first class.

    Attributes:
        first: First class of the pairs.
        seconds: The other classes.
        part: The pairs' slice of the block.
        spaces: Work space, shared by all pieces, so that it stays in the cache.
    """

    first: int
    seconds: slice
    part: slice
    spaces: list[Tensor]


def _blocks(left: Tensor, pair_block: int, spaces: int) -> Iterator[tuple[slice, list[Piece]]]:
    """Divide the pairs into blocks and pieces; pieces with the same second classes follow each other."""
    classes, longest = len(left), max(1, min(pair_block, tile_size(left.device) // left[0].numel()))
    space = left.new_empty(spaces, longest, *left.shape[1:])
    start, done = 0, 0
    pieces: list[Piece] = []
    for i in range(classes - 1):
        for tile in range((i + 1) // longest * longest, classes, longest):
            j, end = max(i + 1, tile), min(tile + longest, classes)
            if done + end - j > pair_block:
                yield slice(start, start + done), sorted(pieces, key=lambda piece: piece.seconds.stop)
                start, done, pieces = start + done, 0, []
            here, spaces_here = slice(done, done + end - j), [each[: end - j] for each in space]
            pieces.append(Piece(i, slice(j, end), here, spaces_here))
            done += end - j
    if pieces:
        yield slice(start, start + done), sorted(pieces, key=lambda piece: piece.seconds.stop)
