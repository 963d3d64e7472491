"""The asymmetric loss, on known labels and, if wanted, on unknown ones taken for absent."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.asymmetric import Asymmetric
from partlabel.methods._assuming import Assuming, absent
from partlabel.nn.heads import Head


class ASL(Assuming):
    """Asymmetric loss (Ridnik et al., ICCV 2021, arXiv:2009.14119).

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
        gamma_present: How much easy present labels are played down.
        gamma_absent: How much easy absent ones are.
        margin: Probability below which an absent label no longer counts.
        assumed_weight: How much an unknown label counts as absent: 0 not at all, 1 as its authors do it, for whom
            what nobody saw is absent.
    """

    adds: ClassVar[str] = "easy absent labels count less"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        gamma_present: float = 0.0,
        gamma_absent: float = 4.0,
        margin: float = 0.05,
        assumed_weight: float = 0.0,
    ) -> None:
        super().__init__(backbone, head, Asymmetric(gamma_present, gamma_absent, margin))
        self.assumed_weight = assumed_weight

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """All of them absent, as much as asked for."""
        return absent(logits, self.assumed_weight)
