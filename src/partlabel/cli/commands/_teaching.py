"""What is said of classes that people added in a review: how many labels there are, and how the tagger learns them."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.messages import some

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable


def teaching(
    table: "LabelTable", new: Sequence[str], run: Path, file: Path, images: Path | None
) -> list[str]:
    """Describe the classes that people added, and the command that adds them to the tagger.

    Args:
        table: Exported table.
        new: The classes.
        run: Run folder.
        file: File of the table.
        images: Image folder, if one was given.
    """
    counts = {name: table.labels[:, table.classes.index(name)] for name in new}
    said = (
        f"{name} ({int((each == PRESENT).sum()):,} present, {int((each == ABSENT).sum()):,} absent)"
        for name, each in counts.items()
    )
    lines = [f"added classes: {some(said, 20)}; unknown on all other photos"]
    learned = table.part("train") if "train" in table.parts else table
    shown = [name for name in new if (learned.labels[:, table.classes.index(name)] == PRESENT).any()]
    if shown:
        lines.append(f"to teach them to the tagger: {extend_command(run, file, shown, images)}")
    return lines


def extend_command(run: Path, file: Path, new: Sequence[str], images: Path | None = None) -> str:
    """Return the command that adds classes to a tagger."""
    typed = ["partlabel", "extend", str(run), "--labels", str(file), "--classes", ",".join(new)]
    typed += [] if images is None else ["--images", str(images)]
    return shlex.join([*typed, "--out", str(run.with_name(f"{run.name}-extended"))])
