"""Base of the three large-loss methods: unknown labels are assumed absent, and those with a large loss are suspects.

A network learns clean labels before wrong ones, so an assumed absence with a large loss is probably a missed presence
(Kim et al., CVPR 2022, arXiv:2206.03740). The authors' code treats labels exactly at the threshold differently in the
loss and in the record, and changes known labels if all losses are 0; here exactly the largest unknown ones are
selected.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import Correcting, largest
from partlabel.nn.heads import Head


class LargeLoss(Correcting):
    """Suspect the unknown labels with the largest cost as absent.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        share: Unit in which suspects are counted, as a share of all labels of a batch.
    """

    def __init__(self, backbone: nn.Module, head: Head, share: float) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.share = share

    def suspects(
        self, logits: Float[Tensor, "batch class"], unknown: Bool[Tensor, "batch class"], times: float = 1.0
    ) -> Bool[Tensor, "batch class"]:
        """Select `ceil(times * share * labels)` labels by their cost as absent labels, `-log(1 - p)`."""
        return largest(softplus(logits), unknown, times * self.share * logits.shape[1])
