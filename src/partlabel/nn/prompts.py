"""Learned prompts: tokens before a class name that a text encoder turns into a vector of the class."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.joint_space import JointSpace
from partlabel.nn.shaped_by_state import ShapedByState

START = 0.02
"""Standard deviation of the learned tokens at the start, as in CoOp."""


class Prompts(ShapedByState):
    """`vector_ck = TextEncoder([v_1 ... v_n] [name of c].)` for every kind k of prompt, with v of its own.

    Args:
        space: Text encoder; None for a model that was loaded, which needs its vectors alone.
        kinds: Number of prompts per class.
        tokens: Number of learned tokens n.
        shared: Whether all classes share the tokens of a kind.
        start: Words that all prompts start as, whose number of tokens is n; empty for small random numbers.
    """

    def __init__(
        self, space: JointSpace | None, kinds: int, tokens: int, shared: bool, start: str = ""
    ) -> None:
        super().__init__()
        if tokens < 1:
            raise ValueError(f"tokens is {tokens}; a prompt has at least one: give --method.tokens 16")
        self.space = space
        self.adopts_shapes = space is None
        classes = 1 if shared or space is None else len(space.names)
        width = 1 if space is None else space.text.width
        drawn = torch.empty(classes, kinds, tokens, width).normal_(std=START)
        if start and space is not None:
            drawn = space.words(start).expand(classes, kinds, -1, -1).clone()
        self.context = nn.Parameter(drawn)

    def forward(self) -> Float[Tensor, "class kind dim"]:
        """Encode all classes once.

        Raises:
            ValueError: There is no text encoder.
        """
        if self.space is None:
            raise ValueError(
                "prompts are learned through the text encoder of a tower, and there is none: give --tower FOLDER "
                "(partlabel align makes one; docs/towers.md), or another --method"
            )
        return self.space.encode(self.context.expand(len(self.space.names), -1, -1, -1))


class FreeVectors(ShapedByState):
    """A learned vector per class, without text.

    Args:
        classes: Number of classes.
        dim: Length of a vector.
        spread: Standard deviation of the vectors at the start.
        adopts_shapes: Whether the length is that of the state that is loaded.
    """

    def __init__(self, classes: int, dim: int, spread: float, adopts_shapes: bool) -> None:
        super().__init__()
        self.adopts_shapes = adopts_shapes
        self.vectors = nn.Parameter(torch.randn(classes, dim) * spread)
