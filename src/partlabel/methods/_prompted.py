"""What methods with learned prompts share: vectors of classes that a text encoder computes once in every step.

The text encoder is needed in training alone: the vectors are stored in the head, which predicts by them.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.asymmetric import Asymmetric
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head
from partlabel.nn.heads.joint_region import JointRegion
from partlabel.nn.joint_space import JointSpace
from partlabel.nn.prompts import Prompts


class Prompted(Method):
    """Method whose head compares places with vectors of classes that a text encoder makes of learned prompts.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        loss_weight: Weight of the loss, which is the sum over the known labels of a batch.
    """

    default_head: ClassVar[str] = "joint_region"
    needs: ClassVar[str] = "labels, a tower"
    needs_tower: ClassVar[bool] = True
    kinds: ClassVar[int]
    """Number of vectors per class."""
    head: JointRegion

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        gamma_present: float,
        gamma_absent: float,
        margin: float,
        loss_weight: float,
    ) -> None:
        wanted = self.default_head
        if not isinstance(head, JointRegion) or head.vectors != self.kinds:
            raise ValueError(
                f"{type(self).__name__} learns {self.kinds} vectors per class in the space of a tower, and the head "
                f"{type(head).__name__} compares no such vectors: give --head {wanted}"
            )
        super().__init__(backbone, head)
        head.weight.requires_grad_(False)
        self.loss = Asymmetric(gamma_present, gamma_absent, margin, constant_focus=True)
        self.loss_weight = loss_weight
        self.is_behind = True
        self.register_state_dict_pre_hook(_up_to_date)

    @abstractmethod
    def vectors(self) -> Float[Tensor, "class vector dim"]:
        """Compute the vectors of all classes, with gradients."""

    @property
    def space(self) -> JointSpace | None:
        """The space of the tower; None for a model that was loaded."""
        return self.head.joint

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`: the asymmetric loss, summed over the known labels."""
        logits = self.head.compare(self.backbone(batch.inputs), self.vectors()).logits
        self.is_behind = True
        return Step({"bce": self.loss_weight * self.loss.total(logits, Targets.known(batch.labels))})

    @torch.no_grad()
    def store_vectors(self) -> None:
        """Store the vectors of the classes in the head, if prompts may have changed since."""
        if self.is_behind and self.space is not None:
            self.head.weight.copy_(self.vectors())
            self.is_behind = False

    def train(self, mode: bool = True) -> "Prompted":
        """Change to training, or with the vectors of the present prompts to prediction."""
        if not mode:
            self.store_vectors()
        super().train(mode)
        return self


class AllPrompted(Prompted):
    """Method that learns a prompt for every vector.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower.
        tokens: Number of learned tokens before the class name.
        shared: Whether all classes share the tokens.
        start: Words that prompts start as, in place of random tokens; `tokens` is their number.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        margin: Probability below which an absent label costs nothing.
        loss_weight: Weight of the loss, which is the sum over the known labels of a batch.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        tokens: int = 16,
        shared: bool = True,
        start: str = "",
        gamma_present: float = 1.0,
        gamma_absent: float = 2.0,
        margin: float = 0.05,
        loss_weight: float = 0.03,
    ) -> None:
        super().__init__(backbone, head, gamma_present, gamma_absent, margin, loss_weight)
        self.prompts = Prompts(self.space, self.kinds, tokens, shared, start)

    def vectors(self) -> Float[Tensor, "class vector dim"]:
        """Encode the prompts of all classes."""
        return self.prompts()


def _up_to_date(method: Any, *_: Any) -> None:
    """Store the vectors before the state is read."""
    method.store_vectors()
