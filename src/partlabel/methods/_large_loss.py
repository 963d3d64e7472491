"""What the three large-loss methods share: unknown labels are absent, and those that learning resists are suspects.

A network learns clean labels before wrong ones, so an assumed absence with a large loss is likely a missed presence
(Kim et al., CVPR 2022, arXiv:2206.03740). The authors' code treats labels at the very threshold one way in the loss and
another in the record, and if all losses are 0 it turns known labels; here exactly the largest of the unknown are taken.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import Correcting, largest
from partlabel.nn.heads import Head


class LargeLoss(Correcting):
    """Suspects the unknown labels whose absence costs most.

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
        share: Of all labels of a batch, the unit in which suspects are counted.
    """

    def __init__(self, backbone: nn.Module, head: Head, share: float) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.share = share

    def suspects(
        self, logits: Float[Tensor, "batch class"], unknown: Bool[Tensor, "batch class"], times: float = 1.0
    ) -> Bool[Tensor, "batch class"]:
        """`ceil(times * share * labels)` of them; their cost as absent labels is `-log(1 - p)`."""
        return largest(softplus(logits), unknown, times * self.share * logits.shape[1])
