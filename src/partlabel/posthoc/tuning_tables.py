"""What tuning found, as tables for the terminal."""

import math
from typing import TYPE_CHECKING

from partlabel.posthoc.tuning import Tuning

if TYPE_CHECKING:
    from rich.console import Group


def tuning_table(tuning: Tuning) -> "Group":
    """A row for each class, those most often present first; then what it comes to."""
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
    """As people read it; `-` for NaN."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _title(tuning: Tuning) -> str:
    aim = "the largest F1" if tuning.aim == "f1" else f"{tuning.aim} {tuning.at:g}"
    if not tuning.fair:
        return (
            f"Thresholds for {aim}, from {tuning.images:,} images. Known labels are no fair sample: unknown ones "
            "were drawn from corrected probabilities, and F1, precision and recall are what these lead to expect."
        )
    return (
        f"Thresholds for {aim}, from {tuning.images:,} images. F1, precision, recall and log loss are of images that "
        "took no part in finding what they are judged by."
    )


def _calibration(tuning: Tuning) -> list[str]:
    if not tuning.fair and tuning.correction is not None:
        return [tuning.correction.sentence, f"slope {tuning.correction.scale.slope:.3f}"]
    before, after = tuning.gain.log_loss
    lines = [f"log loss {before:.4f}: calibration does not lower it, and is left out"]
    if tuning.scale is not None:
        lines = [f"log loss {before:.4f}, calibrated {after:.4f}; slope {tuning.scale.slope:.3f}"]
    if tuning.scale_filling is not None:
        lines.append(
            f"after the vote of known labels, as fill has it: calibrated, slope {tuning.scale_filling.slope:.3f}"
        )
    return lines
