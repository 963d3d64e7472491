"""DualCoOp++: beside a positive and a negative prompt, a third one whose map says where the evidence for a class is.

The logit is that of the head `joint_evidence`, where classes compete for each place; the loss is that of DualCoOp.
"""

from typing import ClassVar

from partlabel.methods._prompted import AllPrompted


class DualCoOpPP(AllPrompted):
    """Prompts of evidence guide those of DualCoOp, and the winner takes all (Hu et al., TPAMI 2024, arXiv:2308.01890).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower: `joint_evidence`.
        tokens: Number of learned tokens before the class name.
        shared: Whether all classes share the tokens.
        start: Words that prompts start as, such as `a photo of a`, in place of random tokens; `tokens` is their number.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        loss_weight: Weight of the loss, which is the sum over the known labels of a batch.
    """

    default_head: ClassVar[str] = "joint_evidence"
    adds: ClassVar[str] = (
        "prompts for presence, absence and evidence, and a competition of classes for places"
    )
    kinds: ClassVar[int] = 3
    """Presence, absence and evidence."""
