"""Images of a report, with attention maps and co-occurrence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.reporting import svg_plots, thumbnails

MOST_PAIRS = 12  # classes in the co-occurrence of one image
MOST_MAPS = 5  # attention maps of one image


@dataclass(frozen=True, eq=False)
class Example:
    """One image of the report.

    Attributes:
        path: Image file.
        labels: Known labels: PRESENT, ABSENT or UNKNOWN.
        probability: Predicted probability of every class.
        cooccurrence: Probability that two classes occur together in this image; symmetric.
        attention: Attention map of every class, in any scale.
    """

    path: Path
    labels: Int8[np.ndarray, " class"] | None = None
    probability: Float[np.ndarray, " class"] | None = None
    cooccurrence: Float[np.ndarray, "class class"] | None = None
    attention: Float[np.ndarray, "class h w"] | None = None

    def order(self, classes: int) -> list[int]:
        """Sort classes: known present, then unknown, then known absent; within each group by falling probability."""
        rank = np.zeros(classes)
        if self.probability is not None:
            rank = rank + self.probability
        elif self.cooccurrence is not None:
            rank = rank + self.cooccurrence.mean(0)
        if self.labels is not None:
            rank = rank + 2 * (self.labels == PRESENT) - 2 * (self.labels == ABSENT)
        return np.argsort(-rank, kind="stable").tolist()


def examples_shown(examples: Sequence[Example], names: Sequence[str]) -> list[dict[str, Any]]:
    """Prepare examples: images, co-occurrence on a common scale, and attention maps of the relevant classes."""
    pairs = [_pairs(example, names) for example in examples]
    highest = max((svg_plots.top(matrix) for matrix, _ in pairs if matrix is not None), default=1.0)
    return [
        {
            "name": example.path.name,
            "photo": thumbnails.thumbnail(example.path, 320),
            "tags": [_tag(example, c, names) for c in example.order(len(names))[:6]],
            "pairs": None if matrix is None else svg_plots.heat_map(matrix, chosen, highest=highest),
            "attention": _attention(example, names),
        }
        for example, (matrix, chosen) in zip(examples, pairs, strict=True)
    ]


def _pairs(example: Example, names: Sequence[str]) -> tuple[np.ndarray | None, list[str]]:
    """Select the co-occurrence of the relevant classes of an image, and their names."""
    order = example.order(len(names))[:MOST_PAIRS]
    matrix = None if example.cooccurrence is None else example.cooccurrence[np.ix_(order, order)]
    return matrix, [names[c] for c in order]


def _attention(example: Example, names: Sequence[str]) -> list[dict[str, Any]]:
    if example.attention is None:
        return []
    return [
        {"photo": thumbnails.spotlight(example.path, example.attention[c], 240)} | _tag(example, c, names)
        for c in example.order(len(names))[:MOST_MAPS]
    ]


def _tag(example: Example, c: int, names: Sequence[str]) -> dict[str, Any]:
    """Describe a class of an image: its known label and its predicted probability."""
    label = UNKNOWN if example.labels is None else int(example.labels[c])
    probability = None if example.probability is None else float(example.probability[c])
    return {
        "class": names[c],
        "known": {PRESENT: "present", ABSENT: "absent"}.get(label),
        "probability": probability,
    }
