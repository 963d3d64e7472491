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
from jaxtyping import Float
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

WORTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""What a vote may be worth: its spread over images, in spreads of the head's logit."""
LIMIT = 4.0
"""Spreads beyond which evidence is no stronger: where a neighbour is missing its logarithm has no bound."""


class SoftSST(Method):
    """Structured semantic transfer by calibrated soft votes (after Chen et al., AAAI 2022, arXiv:2112.10941).

    Until `start_epoch` `L = BCE(known)`, then `L = BCE(known + soft) / sqrt(share known)`: a mean over all labels,
    where weight decay counts less, as there is more to fit. Always `logit = head + worth scale_c evidence_c`, evidence
    centred, by its spread and limited, in units of the spread of the head's logit; a common slope about each class's
    mean makes the sum as sure as it is right on validation.

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes; it must give a feature of the image.
        start_epoch: First epoch (from 0) that trains on pseudo-labels; none if not given (docs/log.md has the one
            run that was made with them: it lost).
        sharpness: Of the kernel that compares images.
        memory_size: Images remembered.
    """

    default_head: ClassVar[str] = "residual"
    adds: ClassVar[str] = "votes of similar images, calibrated on validation, in training and prediction"
    needs: ClassVar[str] = "labels, a validation part, a head with an image feature"

    centre: Float[Tensor, " class"]
    spread: Float[Tensor, " class"]
    scale: Float[Tensor, " class"]
    anchor: Float[Tensor, " class"]
    worth: Float[Tensor, ""]
    slope: Float[Tensor, ""]
    teacher_worth: Float[Tensor, ""]

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int | None = None,
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
        for name, start in (("centre", 0.0), ("spread", 1.0), ("scale", 0.0), ("anchor", 0.0)):
            self.register_buffer(name, torch.full((head.num_classes,), start))
        self.register_buffer("worth", torch.zeros(()))
        self.register_buffer("slope", torch.ones(()))
        self.teacher = copy.deepcopy(head).requires_grad_(False)
        self.register_buffer("teacher_worth", torch.zeros(()))
        self._seen: list[tuple[Tensor, Tensor, Labels]] = []

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`bce` on the known labels; from `start_epoch` on `bce_cross`, on soft pseudo-labels too."""
        feature_map = self.backbone(batch.images)
        out, known = self.head(feature_map), Targets.known(batch.labels)
        assert out.image is not None
        self.memory.add(out.image.detach(), batch.labels)
        if self.start_epoch is None or progress.epoch < self.start_epoch:
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
        evidence = self.teacher_worth * self._units(self._evidence(out))
        return pseudo_labels.from_evidence(out.logits, evidence, batch.labels)

    def vote(self, out: ClassOutput) -> Float[Tensor, "batch class"]:
        """What the remembered images add to the log-odds of each label."""
        return self.worth * self._units(self._evidence(out))

    def _units(self, evidence: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Evidence in units of the head's logit."""
        return self.scale * ((evidence - self.centre) / self.spread).clamp(-LIMIT, LIMIT)

    def _evidence(self, out: ClassOutput) -> Float[Tensor, "batch class"]:
        assert out.image is not None
        return self.memory.evidence(out.image.detach(), self.sharpness)

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Logits: the head's, and the vote."""
        out = self.outputs(images)
        return self._joined(out.logits, self.vote(out))

    def _joined(
        self, logits: Float[Tensor, "batch class"], vote: Float[Tensor, "batch class"]
    ) -> Float[Tensor, "batch class"]:
        """Logit and vote, as sure as they were right on validation."""
        return self.anchor + self.slope * (logits + vote - self.anchor)

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Logits, with the vote at its last worth; what calibrates the next is kept."""
        out = self.outputs(batch.images)
        self._seen.append((out.logits.detach().float(), self._evidence(out), batch.labels))
        return self._joined(out.logits, self.vote(out))

    def end_validation(self) -> Float[Tensor, "image class"]:
        """Find the worth at which logit and vote together explain the known validation labels best."""
        logits, evidence, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        low, middle, high = evidence.quantile(evidence.new_tensor([0.16, 0.5, 0.84]), dim=0)
        self.centre.copy_(middle)
        self.spread.copy_(((high - low) / 2).clamp(min=1e-6))
        self.scale.copy_(logits.std(0, unbiased=False))
        vote = self._units(evidence)
        fits = [_fit(logits, vote, labels, worth) for worth in WORTHS]
        cost, slope = min(fits)
        self.worth.fill_(WORTHS[fits.index((cost, slope))])
        self.slope.fill_(slope)
        self.anchor.copy_(logits.mean(0))
        return self._joined(logits, self.worth * vote)


def _fit(
    logits: Float[Tensor, "image class"], vote: Float[Tensor, "image class"], labels: Labels, worth: float
) -> tuple[float, float]:
    """Cross-entropy of the known labels under logit and vote, and the common slope at which it is least.

    A vote repeats some of what the head says, and their sum is too sure of itself: without the slope (and an offset per
    class, which is not kept), what ranks better would look worse. By cross-entropy and not by mean AP, which is noise
    where a class has twenty known labels.
    """
    centre, known, truth = logits.mean(0), (labels != UNKNOWN).float(), (labels == PRESENT).float()
    slope = logits.new_ones(()).requires_grad_()
    offset = logits.new_zeros(logits.shape[1]).requires_grad_()
    optimiser = torch.optim.LBFGS([slope, offset], max_iter=30, line_search_fn="strong_wolfe")

    def misfit() -> Tensor:
        odds = centre + offset + slope * (logits + worth * vote - centre)
        return binary_cross_entropy_with_logits(odds, truth, known, reduction="sum")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = misfit() + offset.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    return float(misfit().detach()), float(slope.detach().clamp(min=0.1))
