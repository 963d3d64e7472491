"""Source `text`: what the texts beside an image say, learned from the images with known labels.

One regularised logistic regression per class on the embedding of the texts. It learns that "surfing" goes with person,
which no comparison with class names finds.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.core.targets import Targets
from partlabel.transfer.sources._base import EvidenceSource, Observed
from partlabel.transfer.sources._text_classifier import TextClassifier


class Text(EvidenceSource):
    """Logistic regression on text embeddings.

    Args:
        classes: Number of classes.
        text_dim: Length of a text embedding.
    """

    needs: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, classes: int, text_dim: int) -> None:
        super().__init__()
        self.linear = TextClassifier(text_dim, classes)

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Fit to the images that have a text."""
        text = given.text
        assert text is not None
        weight = given.targets.weight * text.available[:, None]
        return self.linear.fit(text.vectors, Targets(given.targets.value, weight), given.fold)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compute the logits of the texts."""
        assert given.text is not None
        return self.linear(given.text.vectors)
