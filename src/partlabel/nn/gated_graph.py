"""Gated graph network: the classes of an image exchange messages along their co-occurrence.

Chen et al., ICCV 2019 (SSGRL), section 3.3, equations 5 to 7, with a matrix of its own for the reset gate, as in SST's
code.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from partlabel.nn.tiles import KEPT, as_autocast

tanh_backward = torch.ops.aten.tanh_backward.grad_input
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


class GatedGraph(nn.Module):
    """`h = (1 - z) h + z tanh(W3 m + U3 (r h))`, with `m = [A h ; A' h]`, `z = s(W1 m + U1 h)`, `r = s(W2 m + U2 h)`.

    The three W are computed as one product, and U1 and U2 as another.

    Args:
        dim: Length of a class's state.
        graph: A, the weight of the message from the column's class to the row's.
        steps: Number of message passing steps (paper: 3).
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
        """Compute the states after all steps."""
        bias = self.message.bias + torch.cat([self.gates.bias, self.candidate.bias])
        weights = self.message.weight, bias, self.gates.weight, self.candidate.weight
        both_ways = torch.cat([self.graph, self.graph.T])
        by_class = state.transpose(0, 1).contiguous()
        with torch.autocast(state.device.type, enabled=False):
            passed = _Pass.apply(*as_autocast(by_class, both_ways, *weights), self.steps)
        return passed.transpose(0, 1)


class _Pass(Function):
    """All steps as one operation, with an explicit gradient.

    States have the class axis first, so that the messages of all images are one product, `[A ; A'] h`, whose halves are
    contiguous: nothing is concatenated. Sums are accumulated in place (`addmm_`), gates are squashed in place, and the
    gradients of the weights accumulate over the steps in one tensor. Where messages and gates of all steps are large
    (KEPT), only the states are kept, and the rest is recomputed in the backward pass.
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
        states, insides = [state], []
        keep = any(ctx.needs_input_grad) and 5 * steps * state.numel() <= KEPT
        for _ in range(steps):
            messages, gates = _inside(state, graph, w, bias, u, u3)
            z, _, candidate = gates.split(state.shape[2], 1)
            state = torch.lerp(state.view_as(z), candidate, z).view_as(state)
            states.append(state)
            insides += [messages, gates] if keep else []
        ctx.keep = keep
        ctx.save_for_backward(graph, w, bias, u, u3, *states[:-1], *insides)
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_state: Float[Tensor, "class batch dim"]) -> tuple[Tensor | None, ...]:
        weights, kept = ctx.saved_tensors[:5], ctx.saved_tensors[5:]
        graph, w, bias, u, u3 = weights
        steps = len(kept) // 3 if ctx.keep else len(kept)
        dim = d_state.shape[2]
        # Filled by the last step, the first to come; without a step there is no gradient.
        d_w, d_u, d_u3 = map(torch.empty_like if steps else torch.zeros_like, (w, u, u3))
        d_bias = torch.zeros_like(bias)
        d_h = d_state.reshape(-1, dim).clone()
        d_gates = d_h.new_empty(len(d_h), 3 * dim)
        d_z, d_r, d_candidate = d_gates.split(dim, 1)
        d_messages = d_h.new_empty(2, *d_h.shape)
        d_here, d_back = d_messages  # until they are due, space for what lies between
        for t in reversed(range(steps)):
            again = t < steps - 1  # add to the weights' gradients
            state = kept[t]
            messages, gates = kept[steps + 2 * t :][:2] if ctx.keep else _inside(state, *weights)
            h, (z, r, candidate) = state.view(-1, dim), gates.split(dim, 1)

            tanh_backward(torch.mul(d_h, z, out=d_here), candidate, grad_input=d_candidate)
            sigmoid_backward(torch.sub(candidate, h, out=d_back).mul_(d_h), z, grad_input=d_z)
            d_h -= d_here
            d_reset = torch.mm(d_candidate, u3, out=d_here)
            sigmoid_backward(torch.mul(d_reset, h, out=d_back), r, grad_input=d_r)
            d_h.addcmul_(d_reset, r).addmm_(d_gates[:, : 2 * dim], u)
            d_u.addmm_(d_gates[:, : 2 * dim].T, h, beta=again)
            d_u3.addmm_(d_candidate.T, torch.mul(r, h, out=d_here), beta=again)
            for way, (w_way, d_way) in enumerate(zip(w.split(dim, 1), d_w.split(dim, 1), strict=True)):
                torch.mm(d_gates, w_way, out=d_messages[way])
                d_way.addmm_(d_gates.T, messages[way], beta=again)
            d_h.view(len(state), -1).addmm_(graph.T, d_messages.view(len(graph), -1))
            d_bias += d_gates.sum(0)
        return d_h.view_as(d_state), None, d_w, d_bias, d_u, d_u3, None


def _inside(
    state: Float[Tensor, "class batch dim"], graph: Tensor, w: Tensor, bias: Tensor, u: Tensor, u3: Tensor
) -> tuple[Float[Tensor, "way cell dim"], Float[Tensor, "cell gates"]]:
    """Compute the intermediate values of a step: messages in both directions, z, r and the candidate state."""
    classes, _, dim = state.shape
    h = state.view(-1, dim)
    messages = (graph @ state.view(classes, -1)).view(2, -1, dim)
    gates = torch.addmm(bias, messages[0], w[:, :dim].T).addmm_(messages[1], w[:, dim:].T)
    gates[:, : 2 * dim].addmm_(h, u.T).sigmoid_()
    _, r, candidate = gates.split(dim, 1)
    candidate.addmm_(r * h, u3.T).tanh_()
    return messages, gates
