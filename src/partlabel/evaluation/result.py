"""The result of an evaluation: a score for every class and the means, as JSON and as tables for the terminal.

`metrics.evaluate` computes it; the metrics are defined there.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from partlabel.core.files import atomic_write

if TYPE_CHECKING:
    from rich.console import Group

NAN = float("nan")


@dataclass(frozen=True)
class ClassScore:
    """Counts and scores of one class. All but the counts are NaN if it cannot be scored.

    Attributes:
        name: Class name.
        present: Number of images known to show it.
        absent: Number of images known not to show it.
        unknown: Number of images with an unknown label.
        ap: Non-interpolated average precision.
        ap_interpolated: All-point interpolated average precision.
        precision: Precision at the threshold; 0 if never chosen.
        recall: Recall at the threshold.
        skipped: Why it cannot be scored; None if it can.
    """

    name: str
    present: int
    absent: int
    unknown: int
    ap: float
    ap_interpolated: float
    precision: float
    recall: float
    skipped: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores against known labels. Shares are in [0, 1]; NaN if no class can be scored.

    Attributes:
        classes: Each class, in the order of the table.
        images: Number of images.
        threshold: Logit from which a class is predicted present (0 is probability 0.5).
        map: Mean non-interpolated AP over the scored classes.
        map_interpolated: Mean all-point interpolated AP over the scored classes.
        op: Precision over all known cells.
        or_: Recall over all known cells.
        of1: Harmonic mean of the two.
        cp: Mean precision of the scored classes.
        cr: Mean recall of the scored classes.
        cf1: Harmonic mean of the two.
        op_top3: `op` with at most the 3 highest known cells of an image predicted present; likewise the others.
    """

    classes: tuple[ClassScore, ...]
    images: int
    threshold: float
    map: float
    map_interpolated: float
    op: float
    or_: float
    of1: float
    cp: float
    cr: float
    cf1: float
    op_top3: float
    or_top3: float
    of1_top3: float
    cp_top3: float
    cr_top3: float
    cf1_top3: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(c.name for c in self.classes)

    @property
    def known(self) -> int:
        """Number of known cells."""
        return sum(c.present + c.absent for c in self.classes)

    @property
    def scored(self) -> tuple[ClassScore, ...]:
        """The classes that could be scored."""
        return tuple(c for c in self.classes if c.skipped is None)

    @property
    def skipped(self) -> dict[str, str]:
        """The classes that could not be scored, with the reason."""
        return {c.name: c.skipped for c in self.classes if c.skipped is not None}

    @property
    def ap(self) -> Float[np.ndarray, " class"]:
        """Non-interpolated AP of every class, NaN where it cannot be scored."""
        return np.array([c.ap for c in self.classes])

    @property
    def ap_interpolated(self) -> Float[np.ndarray, " class"]:
        """All-point interpolated AP of every class, NaN where it cannot be scored."""
        return np.array([c.ap_interpolated for c in self.classes])

    @property
    def numbers(self) -> dict[str, float]:
        """All means under the names used in papers."""
        return {
            "mAP": self.map,
            "mAP interpolated": self.map_interpolated,
            "OP": self.op,
            "OR": self.or_,
            "OF1": self.of1,
            "CP": self.cp,
            "CR": self.cr,
            "CF1": self.cf1,
            "OP top 3": self.op_top3,
            "OR top 3": self.or_top3,
            "OF1 top 3": self.of1_top3,
            "CP top 3": self.cp_top3,
            "CR top 3": self.cr_top3,
            "CF1 top 3": self.cf1_top3,
        }

    def to_json(self) -> str:
        """Convert to JSON that any reader accepts: NaN is null."""
        values = {k: _null(v) for k, v in asdict(self).items() if k != "classes"}
        classes = [{k: _null(v) for k, v in asdict(c).items()} for c in self.classes]
        return json.dumps(values | {"classes": classes}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """Parse the output of `to_json`."""
        values = json.loads(text)
        classes = tuple(
            ClassScore(**_nan(row) | {"skipped": row["skipped"]}) for row in values.pop("classes")
        )
        return cls(classes=classes, **_nan(values))

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file."""
        with atomic_write(Path(path)) as aside:
            aside.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Evaluation":
        """Read the file that `save` wrote."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def __rich__(self) -> "Group":
        """Format as tables for the terminal: `rich.print(evaluation)`."""
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        per_class = Table(box=box.SIMPLE_HEAD, title="Average precision by class", title_justify="left")
        per_class.add_column("class")
        for heading in ("AP", "interpolated", "precision", "recall", "present", "absent"):
            per_class.add_column(heading, justify="right")
        for c in sorted(self.scored, key=lambda c: -c.ap):
            shares = [_percent(v) for v in (c.ap, c.ap_interpolated, c.precision, c.recall)]
            per_class.add_row(Text(c.name), *shares, f"{c.present:,}", f"{c.absent:,}")
        means = Table(box=box.SIMPLE_HEAD)
        for heading in ("", "OP", "OR", "OF1", "CP", "CR", "CF1"):
            means.add_column(heading, justify="right" if heading else "left")
        shares = [_percent(v) for v in list(self.numbers.values())[2:]]
        means.add_row(f"logit >= {self.threshold:g}", *shares[:6])
        means.add_row("and among the top 3", *shares[6:])
        lines = [
            f"mAP {_percent(self.map)}   interpolated {_percent(self.map_interpolated)}   {self._extent}"
        ]
        lines += [f"not scored: {name} ({reason})" for name, reason in self.skipped.items()]
        return Group(per_class, means, Text("\n".join(lines)))

    @property
    def _extent(self) -> str:
        scored = f"{len(self.scored)} of {len(self.classes)} classes"
        return f"({scored}, {self.known:,} known cells, {self.images:,} images)"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _null(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _nan(values: dict[str, Any]) -> dict[str, Any]:
    return {k: NAN if v is None else v for k, v in values.items()}
