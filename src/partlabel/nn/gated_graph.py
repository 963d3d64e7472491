"""Gated graph: the classes of an image pass each other messages along their co-occurrence.

Chen et al., ICCV 2019 (SSGRL), section 3.3, equations 5 to 7, with the reset gate's own matrix as SST's code has it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
        for _ in range(self.steps):
            messages = torch.cat([self.graph @ state, self.graph.T @ state], -1)
            into_gates, into_candidate = self.message(messages).split(
                [2 * state.shape[-1], state.shape[-1]], -1
            )
            update, reset = (into_gates + self.gates(state)).sigmoid().chunk(2, -1)
            candidate = torch.tanh(into_candidate + self.candidate(reset * state))
            state = torch.lerp(state, candidate, update)
        return state
