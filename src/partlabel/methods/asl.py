"""Asymmetric loss on known labels and, optionally, on unknown ones assumed absent."""

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
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        assumed_weight: Weight of an unknown label as absent: 0 leaves it out, 1 as the authors, who take unlabelled
            classes as absent.
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
        """Assume all labels absent with `assumed_weight`."""
        return absent(logits, self.assumed_weight)
