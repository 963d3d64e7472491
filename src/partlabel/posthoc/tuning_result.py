"""The result of tuning: thresholds and calibration, their file `tuning.json`, and their tables for the terminal."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from partlabel import __version__
from partlabel.core.files import plain, read_json, write_json
from partlabel.core.messages import some
from partlabel.evaluation.thresholds import Aim
from partlabel.priors.correction import Correction
from partlabel.priors.scale import Scale

if TYPE_CHECKING:
    from rich.console import Group

FORMAT = 2
"""Of `tuning.json`."""
READABLE = (1, 2)
"""Formats that can be read; 1 has no `correction`."""
NAN = float("nan")


@dataclass(frozen=True)
class Gain:
    """Effect of tuning on labels that it was not fitted to.

    Attributes:
        log_loss: Mean cross-entropy of the known labels, before and after calibration.
        f1: Mean F1 over the classes at probability 0.5 without calibration, at the common threshold, and at each
            class's own.
        of1: F1 over all labels, at the same three: the harmonic mean of overall precision and recall.
        precision: Mean precision over the classes, at the same three.
        recall: Mean recall over the classes, at the same three.
        class_f1: F1 of each class at 0.5 and at its own threshold; NaN where it is undefined.
        class_precision: Precision of each class, at the same two.
        class_recall: Recall of each class, at the same two.
    """

    log_loss: tuple[float, float]
    f1: tuple[float, float, float]
    of1: tuple[float, float, float]
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    class_f1: tuple[tuple[float, float], ...]
    class_precision: tuple[tuple[float, float], ...]
    class_recall: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Tuning:
    """Thresholds and calibration of a tagger.

    Attributes:
        classes: Class names.
        aim: Objective of the thresholds: the largest `f1`, or the most of the other at a `precision` or a `recall`.
        at: Precision or recall to reach, in (0, 1].
        shrink: Number k of positive images at which a class's own threshold has half of the weight.
        images: Number of images that tuning used.
        present: Number of images known to show each class.
        absent: Number of images known not to show each class.
        threshold: Common threshold, a probability.
        thresholds: Threshold of each class, a probability.
        scale: Calibration of the model's logits; None where it did not help.
        scale_filling: Calibration of the logits after label completion, for `fill`; None where it did not help, or
            without completion.
        gain: Effect of tuning, cross-fitted.
        thresholds_filling: Threshold of each class for the probabilities of `fill` after label completion; None
            without completion.
        correction: Correction for how labels became known, whose scales are then `scale` and `scale_filling`; None
            without a correction.
    """

    classes: tuple[str, ...]
    aim: Aim
    at: float
    shrink: float
    images: int
    present: tuple[int, ...]
    absent: tuple[int, ...]
    threshold: float
    thresholds: tuple[float, ...]
    scale: Scale | None
    scale_filling: Scale | None
    gain: Gain
    thresholds_filling: tuple[float, ...] | None = None
    correction: Correction | None = None

    @property
    def fair(self) -> bool:
        """Whether known labels are assumed to be a fair sample."""
        return self.correction is None or self.correction.source == "fair sample"

    def logits(self, logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
        """Calibrate logits of the model."""
        return logits if self.scale is None else self.scale.logits(logits)

    def logits_filling(self, logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
        """Calibrate logits after label completion."""
        return logits if self.scale_filling is None else self.scale_filling.logits(logits)

    def save(self, path: Path) -> None:
        """Write the result as JSON, atomically."""
        values = asdict(self) | {
            name: _json(getattr(self, name)) for name in ("scale", "scale_filling", "correction")
        }
        write_json(path, plain({"format": FORMAT, "partlabel": __version__} | values))

    @classmethod
    def load(cls, path: Path) -> "Tuning":
        """Read the file that `save` wrote.

        Raises:
            ValueError: The file is of a later version, or is not valid: it has, for instance, too few thresholds.
        """
        values = read_json(path)
        version = values.pop("format", None) if isinstance(values, dict) else None
        if version not in READABLE:
            raise ValueError(
                f"{path} is of format {version}, and this version of partlabel reads {some(READABLE)}: install the "
                "version that wrote it, or run partlabel tune again"
            )
        values.pop("partlabel", None)
        try:
            for name in ("classes", "present", "absent", "thresholds"):
                values[name] = tuple(values[name])
            for name in ("scale", "scale_filling"):
                values[name] = None if values[name] is None else Scale.from_json(values[name])
            if values.get("correction") is not None:
                values["correction"] = Correction.from_json(values["correction"])
            if values.get("thresholds_filling") is not None:
                values["thresholds_filling"] = tuple(values["thresholds_filling"])
            found = cls(**values | {"gain": _gain(values["gain"])})
            found._check_lengths()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a valid result of partlabel tune: {error}; run partlabel tune again"
            ) from error
        return found

    def _check_lengths(self) -> None:
        """Check that each field has one value per class.

        Raises:
            ValueError: A field has another number of values.
        """
        by_class = {
            "present": self.present,
            "absent": self.absent,
            "thresholds": self.thresholds,
            "thresholds_filling": self.thresholds_filling,
            "scale": None if self.scale is None else self.scale.offset,
            "scale_filling": None if self.scale_filling is None else self.scale_filling.offset,
            "correction.prevalence": None if self.correction is None else self.correction.prevalence,
            "correction.scale": None if self.correction is None else self.correction.scale.offset,
            "gain.class_f1": self.gain.class_f1,
            "gain.class_precision": self.gain.class_precision,
            "gain.class_recall": self.gain.class_recall,
        }
        for name, values in by_class.items():
            if values is not None and len(values) != len(self.classes):
                raise ValueError(f"{name} has {len(values)} entries for {len(self.classes)} classes")

    def __rich__(self) -> "Group":
        """Format the result as tables for the terminal: `rich.print(tuning)`."""
        return tuning_table(self)


def tuning_table(tuning: Tuning) -> "Group":
    """Return a table of the classes, the most frequent first, and a table of means."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    per_class = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, collapse_padding=True)
    per_class.add_column("class", overflow="fold")
    for heading in ("present", "absent", "threshold", "F1 at 0.5", "F1", "precision", "recall"):
        per_class.add_column(heading, justify="right", no_wrap=True)
    gain = tuning.gain
    for c in sorted(range(len(tuning.classes)), key=lambda c: -tuning.present[c]):
        after = (gain.class_f1[c][1], gain.class_precision[c][1], gain.class_recall[c][1])
        shown = [percent(share) for share in (gain.class_f1[c][0], *after)]
        counts = (f"{tuning.present[c]:,}", f"{tuning.absent[c]:,}", f"{tuning.thresholds[c]:.3f}")
        per_class.add_row(Text(tuning.classes[c]), *counts, *shown)
    means = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "mean F1", "mean precision", "mean recall", "OF1"):
        means.add_column(heading, justify="right" if heading else "left")
    rows = ("at 0.5, not calibrated", f"at {tuning.threshold:.3f} for all", "at each class's own")
    for row, name in enumerate(rows):
        shares = [each[row] for each in (gain.f1, gain.precision, gain.recall, gain.of1)]
        means.add_row(name, *map(percent, shares))
    return Group(Text(_title(tuning)), per_class, means, Text("\n".join(_calibration(tuning))))


def percent(share: float) -> str:
    """Format a share as a percentage; `-` for NaN."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _title(tuning: Tuning) -> str:
    aim = "the largest F1" if tuning.aim == "f1" else f"{tuning.aim} {tuning.at:g}"
    if not tuning.fair:
        return (
            f"Thresholds for {aim}, from {tuning.images:,} images. Known labels are no fair sample: unknown ones "
            "were drawn from corrected probabilities, and F1, precision and recall are expected values."
        )
    return (
        f"Thresholds for {aim}, from {tuning.images:,} images. F1, precision, recall and log loss are cross-fitted: "
        "no image is evaluated by values that were fitted to it."
    )


def _calibration(tuning: Tuning) -> list[str]:
    if not tuning.fair and tuning.correction is not None:
        return [tuning.correction.sentence, f"slope {tuning.correction.scale.slopes}"]
    before, after = tuning.gain.log_loss
    lines = [f"log loss {before:.4f}: calibration does not lower it, and is left out"]
    if tuning.scale is not None:
        lines = [f"log loss {before:.4f}, calibrated {after:.4f}; slope {tuning.scale.slopes}"]
    if tuning.scale_filling is not None:
        lines.append(f"after label completion, as in fill: calibrated, slope {tuning.scale_filling.slopes}")
    return lines


def _json(value: Scale | Correction | None) -> dict[str, Any] | None:
    return None if value is None else value.to_json()


def _gain(value: Mapping[str, Any]) -> Gain:
    def numbers(each: Any) -> Any:
        return tuple(map(numbers, each)) if isinstance(each, list) else NAN if each is None else each

    return Gain(**{name: numbers(each) for name, each in value.items()})
