"""Fitted methods side by side on one backbone: the classes of a tagger that was extended, or whose classes were edited.

Every method stays as it was fitted, so that its logits do not change by a single bit, whatever its head computes: the
methods get the same feature map, and their logits are put in a row. A class of the result is a column of that row, or
the largest of several, where classes were merged; a column that no class names is dropped.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Method, Step
from partlabel.nn.classes import Classes
from partlabel.nn.heads import ClassOutput, Head
from partlabel.nn.pooling import FeatureMap

ClassColumns = Sequence[Sequence[int]]
"""For each class the columns whose largest logit is its own; usually one."""


class ComposedHead(Head):
    """`logit_c = max over the columns of c of (logits of all methods, in a row)`.

    Args:
        channels: Number of channels of the feature map.
        classes: The classes of the result.
        parts: Fitted methods with the identity as their backbone.
        columns: Columns of each class.

    Raises:
        ValueError: A class has no column, or one that no method computes.
    """

    columns: Int64[Tensor, "class most"]

    def __init__(
        self, channels: int, classes: Classes, parts: Sequence[Method], columns: ClassColumns
    ) -> None:
        super().__init__(channels, classes)
        there = sum(part.head.num_classes for part in parts)
        if len(columns) != len(classes) or not all(columns):
            raise ValueError(f"columns of {sum(map(bool, columns))} classes for {len(classes)} classes")
        if wrong := [at for of in columns for at in of if not 0 <= at < there]:
            raise ValueError(f"the methods have {there} columns, and column {wrong[0]} is none of them")
        self.parts = nn.ModuleList(parts)
        self.image_dim = parts[0].head.image_dim
        most = max(map(len, columns))
        padded = [[*of, *[of[0]] * (most - len(of))] for of in columns]
        self.register_buffer("columns", torch.tensor(padded, dtype=torch.int64), persistent=False)

    def needs_only_mean(self) -> bool:  # type: ignore[override]  # depends on the methods
        """Return whether the heads of all methods do."""
        return all(part.head.needs_only_mean() for part in self.methods)

    @property
    def methods(self) -> list[Method]:
        """The methods, in the order of their columns."""
        return [part for part in self.parts if isinstance(part, Method)]

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits, and the image's feature by the first method's head, where it has one."""
        logits = torch.cat([part(feature_map).float() for part in self.parts], 1)
        image = self.methods[0].outputs(feature_map).image if self.image_dim else None
        return ClassOutput(logits[:, self.columns].amax(2), image=image)


class Composed(Method):
    """Fitted methods on one backbone.

    Args:
        backbone: Network from images to a feature map.
        head: Their logits as those of the classes.
    """

    head: ComposedHead

    def __init__(self, backbone: nn.Module, head: ComposedHead) -> None:
        super().__init__(backbone, head)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Refuse to train: a fit of the tagger builds one new method for all classes."""
        raise NotImplementedError("methods side by side are not trained; fit a tagger of all classes instead")

    def predicts_with(self) -> tuple[str, ...]:
        """Name the backbone, and what prediction by each method needs."""
        own = [
            f"head.parts.{number}.{name}"
            for number, part in enumerate(self.head.methods)
            for name in part.predicts_with()
        ]
        return ("backbone", *own)


def part_state(part: Method, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select of the state of a method with a backbone what the same method without one has."""
    return {name: state[name] for name in part.state_dict() if name in state}
