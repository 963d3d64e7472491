"""SSGRL: SST's head without its transfer (Chen et al., ICCV 2019, arXiv:1908.07325)."""

from typing import ClassVar

from partlabel.methods._supervised import Supervised


class SSGRL(Supervised):
    """Semantic-specific graph representation learning (Chen et al., ICCV 2019, arXiv:1908.07325).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
    """

    default_head: ClassVar[str] = "ssgrl"
    adds: ClassVar[str] = "a feature per class, by attention, and a graph between classes"
    needs: ClassVar[str] = "labels, class vectors"
