"""Evidence: a teacher that knows more than the image trains a recogniser that needs the image alone.

Our extension of SST (Chen et al., AAAI 2022, arXiv:2112.10941), which transfers knowledge from known to unknown labels
within an image and across images, by a third source: the texts that accompany the training images. The teacher combines
all evidence sources (`transfer/sources/`) by weights that are estimated on known labels that the sources have not seen
(`transfer/combination.py`). Its out-of-fold probabilities are the targets of all unknown labels:

    L = BCE(known labels) + BCE(unknown labels, sigmoid(teacher))
    logit_c = offset_c + weight_1 head_c + weight_2 votes_c

The votes are those of similar training images, each with its known and soft labels (`transfer/soft_memory.py`); the
weights of head and votes are fitted to the same targets, by heads and votes that have not seen the image.

As in learning with privileged information (Vapnik and Vashist, "A new learning paradigm: learning using privileged
information", Neural Networks 22, 2009) and generalised distillation (Lopez-Paz et al., ICLR 2016, arXiv:1511.03643),
the texts are needed in training only, and so is a second backbone. Without either the teacher has similar images, and
that is what it teaches.
"""

from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import FullBatch, Method, Step
from partlabel.nn.heads import Head
from partlabel.transfer.combination import Combination, combine
from partlabel.transfer.feature_bank import AT_ONCE, in_parts
from partlabel.transfer.soft_memory import SoftMemory
from partlabel.transfer.sources import Observed
from partlabel.transfer.table_kernel import TableKernel
from partlabel.transfer.teacher import Teacher, with_default


class Evidence(Method):
    """Soft labels from combined evidence: recogniser, similar images, texts (after SST, AAAI 2022, arXiv:2112.10941).

    The full-batch solver fits it. In training by steps, the soft labels that the method holds are trained on; without
    any it is partial BCE.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute an image feature.
        unknown_weight: Weight of unknown labels as absent, in [0, 1], while the teacher is fitted: 0 where known labels
            are a sample, more where mostly present labels are known.
        sharpness: Sharpness of the kernel that compares images.
        memory_size: Maximum number of stored images.
        teachers: Number of teachers whose mean log-odds are the soft labels; of several, each is fitted to a bootstrap
            sample of the images.
        sources: Evidence sources to try besides the default ones, separated by commas, such as `context`, in which
            photos of the same folder, minute or place inform each other (docs/evidence.md).
    """

    default_head: ClassVar[str] = "covariance"
    adds: ClassVar[str] = (
        "soft labels from texts beside the photos and similar images, weighed on re-hidden labels"
    )
    needs_full_batch: ClassVar[bool] = True
    learns_without_labels: ClassVar[bool] = True
    needs: ClassVar[str] = "labels, a head with an image feature; texts, if available"

    weight: Float[Tensor, "2"]
    centre: Float[Tensor, "2 class"]
    spread: Float[Tensor, "2"]
    offset: Float[Tensor, " class"]

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        unknown_weight: float = 0.0,
        sharpness: float = 50.0,
        memory_size: int = 16384,
        teachers: int = 1,
        sources: str = "",
    ) -> None:
        super().__init__(backbone, head)
        if not head.image_dim:
            raise ValueError(
                f"Evidence compares images, and the head {type(head).__name__} gives no feature of the image; take one "
                "that does, such as 'covariance', 'average' or 'residual'"
            )
        if not 0 <= unknown_weight <= 1:
            raise ValueError(f"unknown_weight is {unknown_weight}; it has to be from 0 to 1")
        if teachers < 1:
            raise ValueError(f"teachers is {teachers}; it has to be at least 1")
        self.unknown_weight = unknown_weight
        self.teachers = teachers
        self.sources = with_default(sources)
        self.sharpness = sharpness
        self.bce = PartialBCE()
        self.memory = SoftMemory(head.num_classes, memory_size, head.image_dim)
        self.register_buffer("weight", torch.tensor([1.0, 0.0]))
        self.register_buffer("centre", torch.zeros(2, head.num_classes))
        self.register_buffer("spread", torch.ones(2))
        self.register_buffer("offset", torch.zeros(head.num_classes))

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, over known labels and stored soft labels."""
        soft = self.memory.read(batch.index)
        pseudo = Targets(soft.value, soft.weight * (batch.labels == UNKNOWN))
        targets = Targets.known(batch.labels).fill(pseudo)
        return Step({"bce": self.bce(self.outputs(batch.inputs).logits, targets)}, {"evidence": pseudo})

    @torch.no_grad()
    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit the teacher out of fold, then the head to known and soft labels, then the weights of head and votes."""
        labels, known = problem.labels, Targets.known(problem.labels)
        soft = self.taught(problem)
        targets = known.fill(soft)
        strength = max(float(known.weight.mean()), 1 / known.weight.numel())
        problem.fit(self.head, targets, strength)
        image = self.head(problem.maps).image
        assert image is not None
        self.memory.store(image, targets.value)
        kernel = self._kernel(problem)
        if kernel is None:
            votes = in_parts(self.memory.votes, image, self.sharpness, torch.arange(len(labels)))
        else:
            votes = kernel.votes(problem.rows, self.memory.probability, problem.rows)
        self._set(combine(torch.stack([problem.cross_fit(targets, strength), votes]), targets))

    @torch.no_grad()
    def predict_rows(self, problem: FullBatch, rows: Int64[Tensor, " asked"]) -> Float[Tensor, "asked class"]:
        """Compute the logits of images of the table, which are compared once for all parts of it."""
        kernel = self._kernel(problem)
        if kernel is None:
            return super().predict_rows(problem, rows)
        votes = kernel.votes(problem.rows, self.memory.probability, rows, as_new=True)
        logits = torch.cat([self.head(problem.table_maps[some]).logits for some in rows.split(AT_ONCE)])
        return self._weighed(logits, votes)

    def _kernel(self, problem: FullBatch) -> TableKernel | None:
        """Return the kernel of all images of the table by the features of the fitted head; None if there are many.

        All parts of a table are standardised by the moments of the table, so that their features are the same.
        """
        count = len(problem.table_maps)
        if count > self.memory.size or not TableKernel.suits(count, self.sharpness):
            return None
        key = f"kernel of sharpness {self.sharpness:g}"
        if key not in problem.shared:
            image = self.head(problem.table_maps).image
            assert image is not None
            problem.shared[key] = TableKernel.of(image, self.sharpness)
        found = problem.shared[key]
        assert isinstance(found, TableKernel)
        return found

    def _set(self, found: Combination) -> None:
        for name, value in found._asdict().items():
            getattr(self, name).copy_(value)

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute logits: the head's, and the votes of similar training images."""
        out = self.outputs(images)
        assert out.image is not None
        votes = torch.zeros_like(out.logits)
        if len(self.memory.row):
            votes = self.memory.votes(out.image, self.sharpness).to(out.logits)
        return self._weighed(out.logits, votes)

    def _weighed(
        self, logits: Float[Tensor, "batch class"], votes: Float[Tensor, "batch class"]
    ) -> Float[Tensor, "batch class"]:
        found = Combination(self.weight, self.centre, self.spread, self.offset)
        return found.log_odds(torch.stack([logits, votes]))

    def predicts_with(self) -> tuple[str, ...]:
        """Name backbone, head, memory and weights."""
        return (*super().predicts_with(), "memory", *Combination._fields)

    def taught(self, problem: FullBatch) -> Targets:
        """Compute the soft labels of all unknown labels by teachers that have not seen the labels of the image.

        Where no label is known, images without text have no soft labels.
        """
        self.eval()
        given = Observed(
            labels=problem.labels,
            targets=self._base(problem.labels),
            fold=problem.fold,
            image=self.head(problem.maps).image,
            text=problem.text,
            zero_shot=problem.zero_shot,
            second=problem.second,
            context=problem.context,
        )
        unknown = (problem.labels == UNKNOWN).float()
        if not given.targets.weight.any():
            if given.text is not None:
                unknown *= given.text.available[:, None]
            return Targets(self._taught_by(given, problem, 0).sigmoid(), unknown)
        samples = bootstrap(given.targets, self.teachers) if self.teachers > 1 else [given.targets]
        odds = [
            self._taught_by(replace(given, targets=base, logits=problem.cross_fit(base)), problem, number)
            for number, base in enumerate(samples)
        ]
        return Targets(torch.stack(odds).mean(0).sigmoid(), unknown)

    def _taught_by(self, given: Observed, problem: FullBatch, number: int) -> Float[Tensor, "image class"]:
        """Compute the out-of-fold log-odds of the teacher of a number."""
        fitted = problem.memo.setdefault(f"unknown_weight {self.unknown_weight}, teacher {number}", {})
        return Teacher.of(given, self.sources).fit(given, fitted)

    def _base(self, labels: Labels) -> Targets:
        """Return what the teacher is fitted to: known labels, if any, and unknown ones as weak negatives."""
        known = Targets.known(labels)
        if not known.weight.any():
            return known
        assumed = torch.full_like(known.weight, self.unknown_weight)
        return known.fill(Targets(torch.zeros_like(known.value), assumed))


def bootstrap(targets: Targets, count: int) -> list[Targets]:
    """Draw bootstrap samples of the images, always the same for one number of images: a weight per image.

    The number of times that an image is in a sample is Poisson(1), the limit of drawing as many images with
    replacement (Oza and Russell, "Online bagging and boosting", AISTATS 2001).
    """
    random = torch.Generator().manual_seed(0)
    times = torch.poisson(torch.ones(count, len(targets.weight), 1), random).to(targets.weight)
    return [Targets(targets.value, targets.weight * each) for each in times]
