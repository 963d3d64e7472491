"""Source `second_backbone`: what another backbone sees, learned from the images with known labels.

Two networks that were trained apart err apart, so that each can teach the other (co-training: Blum and Mitchell, COLT
1998). The second one is needed in training only.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.transfer.sources._base import EvidenceSource, Observed
from partlabel.transfer.sources._text_classifier import TextClassifier


class SecondBackbone(EvidenceSource):
    """Logistic regression on the features of a second backbone.

    Args:
        classes: Number of classes.
        second_dim: Length of a feature of that backbone.
    """

    needs: ClassVar[tuple[str, ...]] = ("second",)

    def __init__(self, classes: int, second_dim: int) -> None:
        super().__init__()
        self.linear = TextClassifier(second_dim, classes)

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Fit to the known labels."""
        assert given.second is not None
        return self.linear.fit(given.second, given.targets, given.fold)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compute the logits."""
        assert given.second is not None
        return self.linear(given.second)
