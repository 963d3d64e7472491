"""PositiveCoOp: a learned prompt for presence alone; absence is a learned vector without text.

    t+_c = TextEncoder([v_1 ... v_n][name of c]) + delta_c,   t-_c = r_c

with the logit of the head `joint_region` and the loss of DualCoOp. Captions hardly ever say what a photo does not show,
so that a text encoder has nothing to say on absence.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.methods._prompted import Prompted
from partlabel.nn.heads import Head
from partlabel.nn.heads.joint_region import START
from partlabel.nn.prompts import FreeVectors, Prompts


class PositiveCoOp(Prompted):
    """Absence is learned without text, beside a positive prompt (Rawlekar et al., WACV 2025, arXiv:2409.08381).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower: `joint_region`.
        tokens: Number of learned tokens before the class name.
        shared: Whether all classes share the tokens.
        residual: Whether the vector of presence has a learned residual delta_c, which the code has and the paper does
            not mention.
        start: Words that prompts start as, such as `a photo of a`, in place of random tokens; `tokens` is their number.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        loss_weight: Weight of the loss, which is the sum over the known labels of a batch.
    """

    adds: ClassVar[str] = (
        "prompts for presence, learned through the text encoder of a tower, and free vectors of absence"
    )
    kinds: ClassVar[int] = 2
    """Presence and absence."""

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        tokens: int = 16,
        shared: bool = True,
        start: str = "",
        residual: bool = True,
        gamma_present: float = 1.0,
        gamma_absent: float = 2.0,
        margin: float = 0.05,
        loss_weight: float = 0.03,
    ) -> None:
        super().__init__(backbone, head, gamma_present, gamma_absent, margin, loss_weight)
        self.prompts = Prompts(self.space, 1, tokens, shared, start)
        classes, _, dim = self.head.weight.shape
        self.absent = FreeVectors(classes, dim, START, self.space is None)
        self.residual = FreeVectors(classes, dim, 0.0, self.space is None) if residual else None

    def vectors(self) -> Float[Tensor, "class vector dim"]:
        """Encode the prompts of all classes, and add what is learned without text."""
        present = self.prompts()[:, 0]
        if self.residual is not None:
            present = present + self.residual.vectors
        return torch.stack([present, self.absent.vectors], 1)
