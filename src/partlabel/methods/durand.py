"""Partial BCE of Durand et al.: labels of an image have more weight, the fewer of them are known."""

from typing import ClassVar

from torch import nn

from partlabel.losses.durand_bce import DurandBCE
from partlabel.methods._supervised import Supervised
from partlabel.nn.heads import Head


class Durand(Supervised):
    """Partial BCE by the share of known labels (Durand et al., CVPR 2019, arXiv:1902.09720).

    `L = mean over images of g(q) / C * sum of its known labels' BCE`, `g(q) = slope q^gamma + offset`; with slope 1,
    offset 0 and gamma -1 partial BCE normalised per image.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        slope: Slope of g.
        offset: Offset of g.
        gamma: Exponent of g.
    """

    adds: ClassVar[str] = "images count by the share of their labels that is known"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        slope: float = -4.45,
        offset: float = 5.45,
        gamma: float = 1.0,
    ) -> None:
        super().__init__(backbone, head)
        self.loss = DurandBCE(slope, offset, gamma)
