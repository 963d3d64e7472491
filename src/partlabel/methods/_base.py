"""Base class of the methods: images and labels in, named loss terms out.

A method is a plain `nn.Module` that is independent of trainers, devices and files; the training loop passes the current
progress. All state between steps is in buffers or parameters, so that a saved and reloaded method continues
identically.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, NameScale, Progress, TextFeatures
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer.feature_bank import AT_ONCE, Memory


class Step(NamedTuple):
    """The result of a method for one batch.

    Attributes:
        terms: Named scalar losses, already weighted; their sum is minimised.
        pseudo_labels: Pseudo-labels that this step trained on, by name, so that their number and, where ground truth
            is available, their precision and recall can be logged.
    """

    terms: dict[str, Float[Tensor, ""]]
    pseudo_labels: dict[str, Targets] = {}  # noqa: RUF012 - never written to


@runtime_checkable
class FullBatch(Protocol):
    """A whole training set with the full-batch solver for linear heads, the argument of `Method.fit_full_batch`.

    Attributes:
        maps: Input of the head for every image: pooled features, as a map of one place.
        labels: PRESENT, ABSENT or UNKNOWN.
        fold: Fold of each image, from 0, in `cross_fit`.
        text: Features of the texts that accompany the images; None without texts.
        zero_shot: Logits of the classes by their names; None without encoders that were aligned.
        second: A feature of each image by a second backbone; None without one.
        context: Keys of folder, minute and place of each image; None unless the method's sources need them.
        memo: Results that do not depend on the weight decay, kept from one weight decay to the next.
        shared: Results that depend on neither labels nor weight decay, kept for all parts of the table.
    """

    maps: Float[Tensor, "image channel 1 1"]
    labels: Labels
    fold: Int64[Tensor, " image"]
    text: TextFeatures | None
    zero_shot: Float[Tensor, "image class"] | None
    second: Float[Tensor, "image second_feature"] | None
    context: Int64[Tensor, "image kind"] | None
    memo: dict[str, Any]
    shared: dict[str, Any]

    @property
    def table_maps(self) -> Float[Tensor, "row channel 1 1"]:
        """Return `maps` of all images of the table that these images are a part of."""
        ...

    @property
    def rows(self) -> Int64[Tensor, " image"]:
        """Return the row of each image in that table."""
        ...

    def fit(
        self, head: Head, targets: Targets, strength: float = 1.0, names: NameScale | None = None
    ) -> None:
        """Fit a head to targets; `strength` multiplies the weight decay per unit of weight.

        The weight decay pulls the weights towards 0; with `names` towards those whose logits are the scaled
        `zero_shot`.
        """
        ...

    def cross_fit(self, targets: Targets, strength: float = 1.0) -> Float[Tensor, "image class"]:
        """Compute logits of every image by a head that was fitted without it."""
        ...


class Method(nn.Module, ABC):
    """Base class of all methods: one file beside this one, one paper each.

    A subclass turns a batch into loss terms, in `step`; its typed keyword arguments become command-line options, its
    docstring their help. All else that the package asks of a method is declared here with a default.

    Args:
        backbone: Network from images to a feature map of `backbone.channels` channels.
        head: Network from the feature map to a `ClassOutput`.
    """

    default_head: ClassVar[str] = "ssgrl"
    """The head that the paper uses, a name in `nn/heads`."""
    adds: ClassVar[str]
    """What the method adds to its head, in a few words."""
    needs: ClassVar[str] = "labels"
    """What the method needs besides images."""
    needs_full_batch: ClassVar[bool] = False
    """Whether only the full-batch solver fits all of the method, so that training by steps is refused."""
    learns_without_labels: ClassVar[bool] = False
    """Whether the method can be fitted where no label is known, from what else is given."""
    needs_tower: ClassVar[bool] = False
    """Whether the method compares photos with texts through a tower, which it then needs in training by steps."""
    of_single_images: ClassVar[bool] = False
    """Whether the method learns from how often classes are present in single images, which mixed images would break."""
    start_epoch: int = 0
    """First epoch (from 0) in which the method differs from training on the known labels."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def need_class_features(self) -> None:
        """Refuse a head without class features; to be called in a method's constructor.

        Raises:
            ValueError: The head has no class features; the message names heads that do.
        """
        if not self.head.feature_dim:
            raise ValueError(
                f"{type(self).__name__} compares features of classes, and the head {type(self.head).__name__} gives "
                "none; take one that does, such as 'ssgrl' or 'residual'"
            )

    @abstractmethod
    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute the named loss terms of a batch, and the pseudo-labels behind them."""

    def fixed_targets(self, labels: Labels) -> Targets | None:
        """Compute targets of the labels, for methods whose targets do not depend on predictions; None for all others.

        A method with fixed targets whose loss is the binary cross-entropy can be fitted by the full-batch solver, and
        takes part in the search of its weight decay and in `--method auto` (docs/selection.md).
        """
        return None

    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit the head, and all else that prediction needs, to a whole training set at once.

        By default the head alone is fitted, to `fixed_targets`. A method whose targets depend on predictions overrides
        this to take part in the search.

        Args:
            problem: Images, labels and the solver.

        Raises:
            NotImplementedError: The method has no full-batch fit.
        """
        targets = self.fixed_targets(problem.labels)
        if targets is None:
            raise NotImplementedError(f"{type(self).__name__} has no full-batch fit")
        problem.fit(self.head, targets)

    @torch.no_grad()
    def predict_rows(self, problem: FullBatch, rows: Int64[Tensor, " asked"]) -> Float[Tensor, "asked class"]:
        """Compute the logits of images of a table, as `forward` does, after a fit to a part of it.

        A method that compares images overrides this to compare them once for all parts.

        Args:
            problem: The part that was fitted.
            rows: Rows in the table.
        """
        return torch.cat([self(problem.table_maps[some]).float() for some in rows.split(AT_ONCE)])

    @classmethod
    def has_full_batch_fit(cls) -> bool:
        """Return whether the full-batch solver can fit the method."""
        return cls.has_fixed_targets() or cls.fit_full_batch is not Method.fit_full_batch

    @classmethod
    def has_fixed_targets(cls) -> bool:
        """Return whether its full-batch fit is a fit to `fixed_targets` alone."""
        overridden = cls.fixed_targets is not Method.fixed_targets
        return overridden and cls.fit_full_batch is Method.fit_full_batch

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Compute logits of validation images. A method that calibrates itself on the validation set collects here."""
        return self(batch.inputs)

    def end_validation(self) -> Float[Tensor, "image class"] | None:
        """Finish validation: runs after the last validation batch, before the checkpoint is saved.

        A method may calibrate itself here. It then returns the logits of all validation images again, in the same
        order.
        """
        return None

    def parameter_groups(self, lr: float, weight_decay: float) -> Iterable[dict[str, Any]] | None:
        """Return the parameter groups of the optimiser; None for the default groups.

        By default the backbone learns at `TrainingConfig.backbone_lr` times the rate of the rest.

        Args:
            lr: Learning rate of the configuration.
            weight_decay: Weight decay of the configuration.
        """
        return None

    def cooccurrence(
        self, features: Float[Tensor, "batch class feature"]
    ) -> Float[Tensor, "batch class class"] | None:
        """Compute probabilities that two classes occur together, for the report; None if the method has none."""
        return None

    def memories(self) -> tuple[str, ...]:
        """Name the parts that store features of single training images, which the model card mentions."""
        return tuple(name for name, part in self.named_modules() if isinstance(part, Memory))

    def predicts_with(self) -> tuple[str, ...]:
        """Name the parts and buffers that prediction needs; the rest of the state is for training only."""
        return ("backbone", "head")

    def outputs(self, images: Float[Tensor, "batch *shape"]) -> ClassOutput:
        """Compute logits, and features and attention maps of every class where the head has them."""
        return self.head(self.backbone(images))

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute the logits of the classes."""
        return self.outputs(images).logits
