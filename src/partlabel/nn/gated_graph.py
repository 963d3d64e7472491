"""Gated graph: the classes of an image pass each other messages along their co-occurrence.

Chen et al., ICCV 2019 (SSGRL), section 3.3, equations 5 to 7, with the reset gate's own matrix as SST's code has it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from partlabel.nn.tiles import as_autocast

aten = torch.ops.aten


class GatedGraph(nn.Module):
    """`h = (1 - z) h + z tanh(W3 m + U3 (r h))`, with `m = [A h ; A' h]`, `z = s(W1 m + U1 h)`, `r = s(W2 m + U2 h)`.

    The three W are one product and U1, U2 another.

    Args:
        dim: Length of a class's state.
        graph: A, the weight of the message from the column's class to the row's.
        steps: How often messages are passed (paper: 3).
    """

    graph: Float[Tensor, "class class"]

    def __init__(self, dim: int, graph: Float[Tensor, "class class"], steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("graph", graph.float())
        self.message = nn.Linear(2 * dim, 3 * dim)  # W1, W2, W3, one below the other
        self.gates = nn.Linear(dim, 2 * dim)  # U1, U2
        self.candidate = nn.Linear(dim, dim)  # U3

    def forward(self, state: Float[Tensor, "batch class dim"]) -> Float[Tensor, "batch class dim"]:
        """The states after all steps."""
        bias = self.message.bias + torch.cat([self.gates.bias, self.candidate.bias])
        weights = self.message.weight, bias, self.gates.weight, self.candidate.weight
        both_ways = torch.cat([self.graph, self.graph.T])
        by_class = state.transpose(0, 1).contiguous()
        with torch.autocast(state.device.type, enabled=False):
            passed = _Pass.apply(*as_autocast(by_class, both_ways, *weights), self.steps)
        return passed.transpose(0, 1)


class _Pass(Function):
    """All steps as one operation, with the gradient written out.

    States are classes first, so that all images' messages are one product, `[A ; A'] h`, whose halves lie in one piece
    each: nothing is concatenated. What a step adds up is added where it is (`addmm_`), gates are squashed where they
    are, and the gradients of the weights grow in one place over the steps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        state: Float[Tensor, "class batch dim"],
        graph: Float[Tensor, "twice class"],
        w: Float[Tensor, "gates messages"],
        bias: Float[Tensor, " gates"],
        u: Float[Tensor, "two dim"],
        u3: Float[Tensor, "dim dim"],
        steps: int,
    ) -> Float[Tensor, "class batch dim"]:
        classes, batch, dim = state.shape
        kept = [graph, w, u, u3]
        for _ in range(steps):
            h = state.view(-1, dim)
            m, m_back = (graph @ state.view(classes, -1)).view(2, -1, dim)
            gates = torch.addmm(bias, m, w[:, :dim].T).addmm_(m_back, w[:, dim:].T)
            gates[:, : 2 * dim].addmm_(h, u.T).sigmoid_()
            z, r, candidate = gates.split(dim, 1)
            candidate.addmm_(r * h, u3.T).tanh_()
            kept += [h, m, m_back, gates]
            state = torch.lerp(h, candidate, z).view(classes, batch, dim)
        ctx.save_for_backward(*kept)
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_state: Float[Tensor, "class batch dim"]) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        graph, w, u, u3, *kept = ctx.saved_tensors
        classes, batch, dim = d_state.shape
        d_w, d_u, d_u3 = torch.zeros_like(w), torch.zeros_like(u), torch.zeros_like(u3)
        d_bias = w.new_zeros(len(w))
        d_h = d_state.reshape(-1, dim)
        for first in reversed(range(0, len(kept), 4)):
            h, m, m_back, gates = kept[first : first + 4]
            z, r, candidate = gates.split(dim, 1)
            d_gates = torch.empty_like(gates)
            d_z, d_r, d_candidate = d_gates.split(dim, 1)
            d_new = d_h * z
            aten.tanh_backward.grad_input(d_new, candidate, grad_input=d_candidate)
            aten.sigmoid_backward.grad_input((candidate - h).mul_(d_h), z, grad_input=d_z)
            d_reset = d_candidate @ u3
            aten.sigmoid_backward.grad_input(d_reset * h, r, grad_input=d_r)
            d_h = (d_h - d_new).addcmul_(d_reset, r).addmm_(d_gates[:, : 2 * dim], u)
            d_messages = torch.stack([d_gates @ w[:, :dim], d_gates @ w[:, dim:]])
            d_h.view(classes, -1).addmm_(graph.T, d_messages.view(2 * classes, -1))
            d_w[:, :dim].addmm_(d_gates.T, m)
            d_w[:, dim:].addmm_(d_gates.T, m_back)
            d_u.addmm_(d_gates[:, : 2 * dim].T, h)
            d_u3.addmm_(d_candidate.T, r * h)
            d_bias += d_gates.sum(0)
        return d_h.view(classes, batch, dim), None, d_w, d_bias, d_u, d_u3, None
