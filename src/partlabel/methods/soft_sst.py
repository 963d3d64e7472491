"""SoftSST: SST's cross-image transfer as calibrated votes, in training and in prediction.

Our departure from SST (Chen et al., AAAI 2022, arXiv:2112.10941), for collections of a few thousand photos on a small
frozen backbone, where its thresholds on mean cosines fire always or never (docs/log.md):

- the vote is the log-likelihood ratio of the images known to show a class against those known to lack it, by a sharp
  kernel, so that the nearest decide; a mean cosine to all of them says little;
- what a vote is worth, in log-odds, is read off the validation images after every epoch, so there is no threshold;
- pseudo-labels are soft and go both ways: the odds of the recogniser as it was when transfer began, times the vote's.
  A recogniser taught by its present self would learn nothing;
- the vote counts in prediction too: pseudo-labels teach at most what a full table would, and the memory adds to that.

The intra-image half, known labels voting for the unknown ones of the same image, is `completion.py`: it works where
labels of the image are known, which is when a table is filled.
"""

import copy
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel import pseudo_labels
from partlabel.codes import PRESENT, UNKNOWN
from partlabel.labels import Labels, Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.memory import ImageMemory
from partlabel.methods._base import Batch, Method, Progress, Step
from partlabel.nn.heads import ClassOutput, Head
from partlabel.nn.heads._base import FeatureMap

WORTHS = torch.arange(0, 41) / 20
"""What a vote may be worth, in log-odds per unit of evidence."""


class SoftSST(Method):
    """Structured semantic transfer by calibrated soft votes (after Chen et al., AAAI 2022, arXiv:2112.10941).

    Until `start_epoch` `L = BCE(known)`, then `L = BCE(known + soft) / sqrt(share known)`: a mean over all labels,
    where weight decay counts less, as there is more to fit. Always `logit = head + worth (evidence - its mean)`.

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes; it must give a feature of the image.
        start_epoch: First epoch (from 0) that trains on pseudo-labels.
        sharpness: Of the kernel that compares images.
        memory_size: Images remembered.
    """

    default_head: ClassVar[str] = "residual"
    adds: ClassVar[str] = "votes of similar images, calibrated on validation, in training and prediction"
    needs: ClassVar[str] = "labels, a validation part, a head with an image feature"

    centre: Float[Tensor, " class"]
    worth: Float[Tensor, ""]
    teacher_worth: Float[Tensor, ""]

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 4,
        sharpness: float = 50.0,
        memory_size: int = 16384,
    ) -> None:
        super().__init__(backbone, head)
        if not head.image_dim:
            raise ValueError(
                f"SoftSST compares images, and the head {type(head).__name__} gives no feature of the image; "
                "take one that does, such as 'residual' or 'average'"
            )
        self.memory = ImageMemory(head.num_classes, memory_size, head.image_dim)
        self.bce = PartialBCE()
        self.start_epoch = start_epoch
        self.sharpness = sharpness
        self.register_buffer("centre", torch.zeros(head.num_classes))
        self.register_buffer("worth", torch.zeros(()))
        self.teacher = copy.deepcopy(head).requires_grad_(False)
        self.register_buffer("teacher_worth", torch.zeros(()))
        self._seen: list[tuple[Tensor, Tensor, Labels]] = []

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`bce` on the known labels; from `start_epoch` on `bce_cross`, on soft pseudo-labels too."""
        feature_map = self.backbone(batch.images)
        out, known = self.head(feature_map), Targets.known(batch.labels)
        assert out.image is not None
        self.memory.add(out.image.detach(), batch.labels)
        if progress.epoch < self.start_epoch:
            return Step({"bce": self.bce(out.logits, known)})
        if (progress.epoch, progress.batch) == (self.start_epoch, 0):
            self.teacher.load_state_dict(self.head.state_dict())
            self.teacher_worth.copy_(self.worth)
        soft = self._taught(feature_map.detach(), batch)
        share = known.weight.mean().clamp(min=1 / known.weight.numel())
        return Step({"bce_cross": self.bce(out.logits, known.fill(soft)) * share.rsqrt()}, {"cross": soft})

    @torch.no_grad()
    def _taught(self, feature_map: FeatureMap, batch: Batch) -> Targets:
        """What teacher and memory say of the unknown labels."""
        out = self.teacher.eval()(feature_map)
        # An image that is itself remembered says nothing of its own unknown labels.
        evidence = self.teacher_worth * (self._evidence(out) - self.centre)
        return pseudo_labels.from_evidence(out.logits, evidence, batch.labels)

    def vote(self, out: ClassOutput) -> Float[Tensor, "batch class"]:
        """What the remembered images add to the log-odds of each label."""
        return self.worth * (self._evidence(out) - self.centre)

    def _evidence(self, out: ClassOutput) -> Float[Tensor, "batch class"]:
        assert out.image is not None
        return self.memory.evidence(out.image.detach(), self.sharpness)

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Logits: the head's, and the vote."""
        out = self.outputs(images)
        return out.logits + self.vote(out)

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Logits, with the vote at its last worth; what calibrates the next is kept."""
        out = self.outputs(batch.images)
        self._seen.append((out.logits.detach().float(), self._evidence(out), batch.labels))
        return out.logits + self.vote(out)

    @torch.no_grad()
    def end_validation(self) -> Float[Tensor, "image class"]:
        """Find the worth at which logit and vote together explain the known validation labels best."""
        logits, evidence, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        centre, known = evidence.mean(0), labels != UNKNOWN
        self.centre.copy_(centre)
        self.worth.copy_(_worth(logits[known], (evidence - centre)[known], (labels == PRESENT)[known]))
        return logits + self.worth * (evidence - self.centre)


def _worth(
    logits: Float[Tensor, " cell"], evidence: Float[Tensor, " cell"], present: Bool[Tensor, " cell"]
) -> Float[Tensor, ""]:
    """The smallest worth that explains the labels as well as the best one, within a standard error (paired).

    By cross-entropy and not by mean AP, which is noise where a class has twenty known labels; the smallest, because a
    vote that is worth nothing costs nothing, and one that is overrated spoils every prediction.
    """
    worths = WORTHS.to(logits)
    if not len(logits):
        return worths[0]
    truth = present.float()[:, None].expand(-1, len(worths))
    odds = logits[:, None] + worths * evidence[:, None]
    each = binary_cross_entropy_with_logits(odds, truth, reduction="none")
    worse = each - each[:, each.mean(0).argmin(), None]
    allowed = worse.std(0, unbiased=False) / len(each) ** 0.5
    return worths[(worse.mean(0) <= allowed).int().argmax()]
