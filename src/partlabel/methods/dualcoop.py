"""DualCoOp: a positive and a negative prompt per class, learned through a frozen text encoder.

    t+_c = TextEncoder([v+_1 ... v+_n][name of c]),   t-_c = TextEncoder([v-_1 ... v-_n][name of c])
    minimise loss_weight sum over known labels of ASL(logit_c), with the logit of the head `joint_region`

The tokens v are all that is learned.
"""

from typing import ClassVar

from partlabel.methods._prompted import AllPrompted


class DualCoOp(AllPrompted):
    """Positive and negative prompts of each class are learned (Sun et al., NeurIPS 2022, arXiv:2206.09541).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower: `joint_region`.
        tokens: Number of learned tokens before the class name.
        shared: Whether all classes share the tokens; the paper has a set per class, and shares them where few labels
            are known.
        start: Words that prompts start as, such as `a photo of a`, in place of random tokens; `tokens` is their number.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        loss_weight: Weight of the loss, which is the sum over the known labels of a batch.
    """

    adds: ClassVar[str] = "prompts for presence and for absence, learned through the text encoder of a tower"
    kinds: ClassVar[int] = 2
    """Presence and absence."""
