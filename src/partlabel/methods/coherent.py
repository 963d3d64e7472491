"""Coherent loss: the cost of a class is that of the most probable class that implies it; softmax within `one_of`.

    L = sum over known labels of BCE(max over D_c, y_c) / their number
    D_c: c and the classes that imply it; of a present class, those of them that are known to be present

After the max constraint loss of C-HMCNN. Without the restriction to known present classes, a present animal would raise
the dog, the most probable of its children, in a photo of a cat. Where a label is unknown, it may be the reason or not,
so it takes no part in the maximum of a present class, which the paper, whose labels are complete, need not say.
Classes of a list of `one_of` compete by a softmax; the paper has implications alone.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.coherence import Coherence
from partlabel.nn.heads import Head


class Coherent(Method):
    """Coherent loss under rules between classes (Giunchiglia and Lukasiewicz, NeurIPS 2020, arXiv:2010.10151).

    Without rules it is `bce`, trained by steps.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "a class costs what the most probable class that implies it costs"
    needs: ClassVar[str] = "labels, rules between classes"

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__(backbone, head)
        self.bce = PartialBCE()
        self.coherence = None if head.rules is None else Coherence(head.rules)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of the coherent logits on the known labels."""
        logits = self.outputs(batch.inputs).logits
        if self.coherence is not None:
            logits = self.coherence.learned(self.coherence.within_lists(logits), batch.labels)
        return Step({"bce": self.bce(logits, Targets.known(batch.labels))})

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute the logits of the classes, with the softmax within lists and the maximum over implications."""
        logits = self.outputs(images).logits
        return (
            logits if self.coherence is None else self.coherence.raised(self.coherence.within_lists(logits))
        )
