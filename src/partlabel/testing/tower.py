"""A tiny tower for the contract tests of heads and methods that learn in the space of one."""

import zlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.nn.joint_space import JointSpace, TextNetwork

VOCABULARY, WIDTH, DIM, LONGEST = 997, 3, 4, 32


class TinyTextEncoder(nn.Module):
    """A text encoder whose vectors depend on every token and on its position."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(torch.randn(LONGEST, WIDTH))
        self.map = nn.Linear(WIDTH, DIM)

    def forward(self, tokens: Int64[Tensor, "text position"]) -> Float[Tensor, "text dim"]:
        """Compute vectors of sentences from the numbers of their tokens; 0 is no token."""
        given = torch.tanh(self.embedding(tokens) + self.positions[: tokens.shape[1]])
        return self.map((given * (tokens != 0)[..., None]).sum(1))


def tokens_of(sentences: Sequence[str]) -> Int64[Tensor, "text position"]:
    """Number the words of sentences, the full stop as a word of its own; fill short sentences with 0."""
    numbers = torch.zeros(len(sentences), LONGEST, dtype=torch.int64)
    for row, sentence in enumerate(sentences):
        words = sentence.replace(".", " .").split()[:LONGEST]
        numbers[row, : len(words)] = torch.tensor(
            [1 + zlib.crc32(word.encode()) % (VOCABULARY - 1) for word in words]
        )
    return numbers


def tiny_space(names: Sequence[str], channels: int) -> JointSpace:
    """Build a space with a random text encoder, the same at every call.

    Args:
        names: Class names.
        channels: Number of channels of the feature map.
    """
    random = torch.get_rng_state()
    torch.manual_seed(0)
    encoder = TinyTextEncoder()
    space = JointSpace(
        tuple(names),
        TextNetwork.of(tokens_of, encoder, encoder),
        lambda vectors: vectors,
        torch.randn(DIM, channels),
        torch.randn(DIM),
    )
    torch.set_rng_state(random)
    return space
