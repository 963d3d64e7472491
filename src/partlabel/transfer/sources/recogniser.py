"""Source `recogniser`: what the image shows, by the logits of a recogniser that has not seen the image's labels."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.transfer.sources._base import EvidenceSource, Observed


class Recogniser(EvidenceSource):
    """The logits themselves, which the caller computes."""

    needs: ClassVar[tuple[str, ...]] = ("logits",)

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Return the logits, which are out-of-fold already."""
        return self(given)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Return the logits."""
        assert given.logits is not None
        return given.logits
