"""What a method is: images and labels in, named loss terms out.

A method is a plain `nn.Module`. It knows nothing of trainers, devices or files; whoever runs it tells it the time.
Whatever it remembers between steps is a buffer or a parameter, so that a saved and reloaded method goes on as if
nothing had happened.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.nn.heads import ClassOutput, Head


class Step(NamedTuple):
    """What a method makes of a batch.

    Attributes:
        terms: Named scalar losses, already weighted; their sum is minimised.
        pseudo_labels: By name, the pseudo-labels this step trained on, so that their number and, where the truth
            is known, their precision and recall can be logged.
    """

    terms: dict[str, Float[Tensor, ""]]
    pseudo_labels: dict[str, Targets] = {}  # noqa: RUF012 - never written to


@runtime_checkable
class FullBatch(Protocol):
    """A whole training set and the full-batch solver for linear heads, as `Method.fit_full_batch` gets them.

    Attributes:
        maps: What the head takes, of every image: pooled, so a map of one place.
        labels: PRESENT, ABSENT or UNKNOWN.
    """

    maps: Float[Tensor, "image channel 1 1"]
    labels: Labels

    def fit(self, head: Head, targets: Targets, strength: float = 1.0) -> None:
        """Fit a head to targets; `strength` multiplies the weight decay per unit of weight."""
        ...

    def cross_fit(self, targets: Targets, strength: float = 1.0) -> Float[Tensor, "image class"]:
        """Logits of every image by a head that was fitted without it."""
        ...


class Method(nn.Module, ABC):
    """A way to learn from partially known labels: one file beside this one, one paper each.

    A subclass says how a batch becomes loss terms, in `step`; its typed keyword arguments become its command line
    options, its docstring their help.

    Args:
        backbone: Images to a feature map of `backbone.channels` channels.
        head: The feature map to a `ClassOutput`.
    """

    default_head: ClassVar[str] = "ssgrl"
    """The head (a name in `nn/heads`) that the paper uses."""
    adds: ClassVar[str]
    """What the method adds to its head, in a few words."""
    needs: ClassVar[str] = "labels"
    """What it needs besides images."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def need_class_features(self) -> None:
        """For a method's constructor: refuse a head that gives no feature per class.

        Raises:
            ValueError: It does not; the message names heads that do.
        """
        if not self.head.feature_dim:
            raise ValueError(
                f"{type(self).__name__} compares features of classes, and the head {type(self.head).__name__} gives "
                "none; take one that does, such as 'ssgrl' or 'residual'"
            )

    @abstractmethod
    def step(self, batch: Batch, progress: Progress) -> Step:
        """The named loss terms of a batch, and the pseudo-labels they were trained on."""

    def fixed_targets(self, labels: Labels) -> Targets | None:
        """Targets of the labels, where the method's do not depend on what the model predicts; None where they do.

        A method that has them and whose loss is the binary cross-entropy can be fitted by the full-batch solver, and
        takes part in the search of its weight decay and in `--method auto` (docs/selection.md).
        """
        return None

    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit the head, and all else that prediction needs, to a whole training set at once.

        By default the head alone, to `fixed_targets`. A method whose targets do depend on predictions overrides this
        to take part in the search.

        Args:
            problem: The images, their labels and the solver.

        Raises:
            NotImplementedError: The method has no such fit.
        """
        targets = self.fixed_targets(problem.labels)
        if targets is None:
            raise NotImplementedError(f"{type(self).__name__} has no full-batch fit")
        problem.fit(self.head, targets)

    @classmethod
    def has_full_batch_fit(cls) -> bool:
        """Whether the full-batch solver can fit the method."""
        return cls.has_fixed_targets() or cls.fit_full_batch is not Method.fit_full_batch

    @classmethod
    def has_fixed_targets(cls) -> bool:
        """Whether that is a fit to `fixed_targets` alone."""
        overridden = cls.fixed_targets is not Method.fixed_targets
        return overridden and cls.fit_full_batch is Method.fit_full_batch

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Logits of validation images. A method that calibrates itself on validation keeps what it needs here."""
        return self(batch.images)

    def end_validation(self) -> Float[Tensor, "image class"] | None:
        """Called when all validation images were seen, before anything is saved.

        A method may calibrate itself here. It then returns the logits of all the images anew, in the order seen.
        """
        return None

    def predicts_with(self) -> tuple[str, ...]:
        """Names of the parts and buffers that prediction needs; the rest of the state serves training alone."""
        return ("backbone", "head")

    def outputs(self, images: Float[Tensor, "batch *shape"]) -> ClassOutput:
        """Logits, and the features and attention maps of every class where the head has them."""
        return self.head(self.backbone(images))

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
        return self.outputs(images).logits
