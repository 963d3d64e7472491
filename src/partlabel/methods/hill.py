"""Hill: unknown labels are assumed absent, under a loss with a vanishing gradient for those that look present."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses import hill
from partlabel.methods._assuming import Assuming, absent
from partlabel.nn.heads import Head


class Hill(Assuming):
    """Hill loss (Zhang et al., 2021, arXiv:2112.07368).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        margin: Margin in logits that a present label needs.
        gamma: Focusing exponent of present labels.
        crest: Lambda of the paper: an absent label costs `(crest - p) p^2`.
    """

    adds: ClassVar[str] = "unknown labels count as absent, less so those that look present"

    def __init__(
        self, backbone: nn.Module, head: Head, margin: float = 1.0, gamma: float = 2.0, crest: float = 1.5
    ) -> None:
        super().__init__(backbone, head, hill.Hill(margin, gamma, crest))

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Assume all labels absent."""
        return absent(logits)
