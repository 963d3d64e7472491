"""Three vectors per class in the space of a tower, with a competition of classes for places: DualCoOp++."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads.joint_region import JointRegion
from partlabel.nn.regions import won


class JointEvidence(JointRegion):
    """`logit_c = sum_p a_cp (g+ won(cos(t+_c, y_p)) - g- cos(t-_c, y_p))`, DualCoOp++ (TPAMI 2024, arXiv:2308.01890).

    The attention follows a third vector, evidence: `a_c = softmax_p(sharpness cos(e_c, y_p))`. At every place, `won`
    multiplies cosines of presence by 1 plus a softmax over the classes. The sharpness and both gains are learned.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes, with the joint space.
        sharpness: Sharpness of the attention at the start.
        gain: Factors g+ and g- at the start.
        winner: Sharpness of the competition of classes for a place; 0 for none.
    """

    vectors: ClassVar[int] = 3

    def __init__(
        self,
        channels: int,
        classes: Classes,
        sharpness: float = math.exp(3),
        gain: float = math.exp(3),
        winner: float = 200.0,
    ) -> None:
        super().__init__(channels, classes, sharpness, gain)
        self.winner = winner
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))
        self.log_gain = nn.Parameter(torch.full((2,), math.log(gain)))

    def guide(self, scores: Float[Tensor, "vector batch class place"]) -> Float[Tensor, "batch class place"]:
        """Return the score that the attention follows: that of evidence."""
        return scores[2]

    def sharpness_now(self) -> Float[Tensor, ""]:
        """Return the sharpness of the attention."""
        return self.log_sharpness.exp()

    def sides(
        self, scores: Float[Tensor, "vector batch class place"]
    ) -> tuple[Float[Tensor, "batch class place"], Float[Tensor, "batch class place"]]:
        """Return the scores of presence, after the competition, and of absence, in units of the logit."""
        present, absent = self.log_gain.exp()
        return present * won(scores[0], self.winner), absent * scores[1]
