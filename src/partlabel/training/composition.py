"""The parts of a tagger that was extended, or whose classes were edited: the settings that rebuild each of them.

The network of such a tagger is `methods/_composed.py`: fitted methods side by side on one backbone. This module
describes it in `config.json`, and builds it; `composing.py` makes it of the network of a tagger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from partlabel import methods
from partlabel.core.column_rules import column_rules
from partlabel.core.rules import Rules
from partlabel.methods import Method
from partlabel.methods._composed import Composed, ComposedHead
from partlabel.nn import heads
from partlabel.nn.classes import Classes


@dataclass(frozen=True)
class FittedPart:
    """A method as it was fitted.

    Attributes:
        classes: Its classes, by the names that they had then.
        method: Name of the method.
        method_args: Options of the method, by name.
        head: Name of the head.
        head_args: Options of the head, by name.
        word_dim: Dimension of the class vectors that the head was built with; None without vectors.
        rules: Rules between the classes, as `Rules.to_json` writes them; None without rules.
    """

    classes: tuple[str, ...]
    method: str
    method_args: Mapping[str, Any]
    head: str
    head_args: Mapping[str, Any]
    word_dim: int | None = None
    rules: Mapping[str, Any] | None = None

    def build(self, channels: int) -> Method:
        """Build the method with the identity as its backbone."""
        vectors = None if self.word_dim is None else torch.zeros(len(self.classes), self.word_dim)
        rules = column_rules(Rules.from_json(self.rules or {}), self.classes)
        with torch.random.fork_rng(devices=[]):
            head = heads.get(self.head)(
                channels, Classes(self.classes, vectors, rules=rules), **self.head_args
            )
            return methods.get(self.method)(nn.Identity(), head, **self.method_args).eval()


@dataclass(frozen=True)
class Composition:
    """Parts, and the classes that their columns become.

    Attributes:
        parts: The parts; their columns are counted through all of them.
        columns: Columns of each class of the tagger; the largest logit is that of the class.
    """

    parts: tuple[FittedPart, ...]
    columns: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Number of columns of all parts."""
        return sum(len(part.classes) for part in self.parts)

    def build(self, backbone: nn.Module, channels: int, classes: Sequence[str]) -> Composed:
        """Build the network.

        Args:
            backbone: Network from images to a feature map.
            channels: Number of its channels.
            classes: Classes of the tagger.
        """
        made = [part.build(channels) for part in self.parts]
        return Composed(backbone, ComposedHead(channels, Classes(tuple(classes)), made, self.columns))

    def with_part(self, part: FittedPart) -> "Composition":
        """Add a part, each of whose columns becomes a class."""
        new = tuple((self.width + at,) for at in range(len(part.classes)))
        return Composition((*self.parts, part), (*self.columns, *new))

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {
            "parts": [asdict(part) | {"classes": list(part.classes)} for part in self.parts],
            "columns": [list(of) for of in self.columns],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Composition":
        """Rebuild from the values of `to_json`.

        Raises:
            ValueError: They are others.
        """
        try:
            parts = tuple(
                FittedPart(**each | {"classes": tuple(each["classes"])}) for each in content["parts"]
            )
            columns = tuple(tuple(map(int, of)) for of in content["columns"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"'composition' does not describe parts of a tagger ({error})") from error
        return cls(parts, columns)
