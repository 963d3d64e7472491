"""Masked BCE on any head, the baseline to report beside every method (BN-BCE of SR, ICCV 2023)."""

from partlabel.methods._supervised import Supervised


class BCE(Supervised):
    """Binary cross-entropy on the known labels (Wang et al., ICCV 2023, doi:10.1109/ICCV51070.2023.00155).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
    """
