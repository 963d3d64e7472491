"""What verbs share: the label table that their options name."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.codes import Absent

if TYPE_CHECKING:
    from partlabel.data.table import LabelTable


def read_table(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable":
    """The label table that a verb's options name."""
    from partlabel.data.table import LabelTable

    options = dict(format or {"name": "auto"})
    return LabelTable.read(table, images, options.pop("name"), absent, missing, **options)
