"""No text: texts that the table has, or that an earlier source gave, are dropped."""

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import TableFile


def recognises(source: str) -> bool:
    """Return whether the source is `none`."""
    return source == "none"


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Return no text for every image."""
    return [[] for _ in table.images]
