"""DualCoOp++: beside a positive and a negative prompt, a third one whose map says where the evidence for a class is.

The logit is that of the head `joint_evidence`, where classes compete for each place; the loss is that of DualCoOp.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.methods._prompted import Prompted
from partlabel.nn.heads import Head
from partlabel.nn.prompts import Prompts


class DualCoOpPP(Prompted):
    """Prompts of evidence guide those of DualCoOp, and the winner takes all (Hu et al., TPAMI 2024, arXiv:2308.01890).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower: `joint_evidence`.
        tokens: Number of learned tokens before the class name.
        shared: Whether all classes share the tokens.
        start: Words that prompts start as, such as `a photo of a`, in place of random tokens; `tokens` is their number.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        loss_weight: Weight of the loss, which is the sum over the known labels of a batch.
    """

    default_head: ClassVar[str] = "joint_evidence"
    adds: ClassVar[str] = (
        "prompts for presence, absence and evidence, and a competition of classes for places"
    )

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        tokens: int = 16,
        shared: bool = True,
        start: str = "",
        gamma_present: float = 1.0,
        gamma_absent: float = 2.0,
        margin: float = 0.05,
        loss_weight: float = 0.03,
    ) -> None:
        super().__init__(backbone, head, gamma_present, gamma_absent, margin, loss_weight)
        self.prompts = Prompts(self.space, self.kinds(), tokens, shared, start)

    @classmethod
    def kinds(cls) -> int:
        """Return 3: presence, absence and evidence."""
        return 3

    def vectors(self) -> Float[Tensor, "class vector dim"]:
        """Encode the prompts of all classes."""
        return self.prompts()
