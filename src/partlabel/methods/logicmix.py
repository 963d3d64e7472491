"""LogicMix: averages images and joins their labels by a logical or, before another method.

Chong et al., "LogicMix: Sample Mixing Data Augmentation for Multi-Label Image Classification with Partial Labels",
2024, arXiv:2405.15860. Which methods it combines with, and how: `docs/methods/logicmix.md`.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel import methods
from partlabel.core import distributed, registry
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Method, Step
from partlabel.methods._expected_positives import ExpectedPositives
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer import image_mixing
from partlabel.transfer.feature_bank import ImageMemory
from partlabel.transfer.label_store import ImageTable
from partlabel.transfer.soft_memory import SoftMemory

OF_SINGLE_IMAGES = (ImageTable, ImageMemory, SoftMemory, ExpectedPositives)
"""Parts of methods with state of single images, which mixtures would break.

The state is of table rows, of the number of classes per image, or of the share of images that show a class.
"""


class LogicMix(Method):
    """LogicMix before another method (Chong et al., 2024, arXiv:2405.15860).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        inner: Method that learns from the mixtures: a name or a dotted path.
        inner_args: Options of the inner method, by name.
        probability: Probability that an image is mixed.
        most: Maximum number of images in a mixture; at least 2.

    Raises:
        ValueError: `most` is below 2, or the inner method keeps state of single images, or depends on the number of
            classes per image or of images per class.
    """

    default_head: ClassVar[str] = "residual"
    adds: ClassVar[str] = "mixtures of images, before another method"
    needs: ClassVar[str] = "labels, and what the other method needs"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        inner: str = "bce",
        inner_args: dict[str, Any] | None = None,
        probability: float = 0.5,
        most: int = 3,
    ) -> None:
        nn.Module.__init__(
            self
        )  # backbone and head are those of the inner method, so that neither exists twice
        if most < 2:
            raise ValueError(f"most is {most}; a mixture has at least two images")
        options = inner_args or {}
        self.inner: Method = registry.choose(methods.__name__, inner, Method, options, ("backbone", "head"))(
            backbone, head, **options
        )
        for part in self.inner.modules():
            if isinstance(part, OF_SINGLE_IMAGES) or (isinstance(part, Method) and part.of_single_images):
                which = "" if part is self.inner else f" (its {type(part).__name__})"
                raise ValueError(
                    f"{type(self.inner).__name__} depends on the content of single images{which}, which mixtures "
                    "change: LogicMix cannot be combined with it"
                )
        self.start_epoch = self.inner.start_epoch
        self.probability = probability
        self.most = most

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """Backbone of the inner method."""
        return self.inner.backbone

    @property
    def head(self) -> Head:  # type: ignore[override]
        """Head of the inner method."""
        return self.inner.head

    def parameter_groups(self, lr: float, weight_decay: float) -> Iterable[dict[str, Any]] | None:
        """Return the parameter groups of the inner method."""
        return self.inner.parameter_groups(lr, weight_decay)

    def cooccurrence(
        self, features: Float[Tensor, "batch class feature"]
    ) -> Float[Tensor, "batch class class"] | None:
        """Compute the co-occurrence probabilities of the inner method."""
        return self.inner.cooccurrence(features)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute the terms of the inner method, without its pseudo-labels: mixtures have no ground truth."""
        return Step(self.inner.step(self.mixed(batch, progress), progress).terms)

    def mixed(self, batch: Batch, progress: Progress) -> Batch:
        """Average some images of the batch with others, and combine their labels."""
        (labels,) = distributed.all_gather_rows(batch.labels)
        generator = progress.generator(labels.device)
        partner = image_mixing.partners(len(labels), self.most, generator)
        share = self.shares(len(labels), generator)
        known = image_mixing.either(labels, partner, share)[distributed.local_rows(batch.labels)]
        return batch._replace(inputs=image_mixing.mix(batch.inputs, partner, share), labels=known)

    def shares(self, rows: int, generator: torch.Generator) -> Float[Tensor, "mixed row"]:
        """Draw the share of each image in a mixture: 1, or equal shares."""
        device = generator.device
        many = torch.randint(2, self.most + 1, (rows,), generator=generator, device=device)
        alone = torch.rand(rows, generator=generator, device=device) >= self.probability
        many = many.masked_fill(alone, 1)
        return (torch.arange(self.most, device=device)[:, None] < many) / many

    def predicts_with(self) -> tuple[str, ...]:
        """Name what the inner method needs."""
        return tuple(f"inner.{name}" for name in self.inner.predicts_with())

    def outputs(self, images: Float[Tensor, "batch *shape"]) -> ClassOutput:
        """Compute the outputs of the inner method."""
        return self.inner.outputs(images)

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute the logits of the inner method."""
        return self.inner(images)

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Validate the inner method."""
        return self.inner.validate(batch)

    def end_validation(self) -> Float[Tensor, "image class"] | None:
        """End the validation of the inner method."""
        return self.inner.end_validation()
