"""Label Studio's CSV export: one row per submitted annotation, with choices or taxonomy as JSON in a cell.

A cell is a name (single choice), `{"choices": ["dog", "cat"]}`, or `[{"taxonomy": [["animal", "dog"]]}]`; an empty
cell is a submitted annotation without a selection. Skipped tasks are not in this export. The JSON export contains more:
skipped tasks, predictions and ground truth; see `label_studio`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.readers import _columns, _hierarchy, _image_column, _kinds, _names, _roles
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._text_columns import text_columns
from partlabel.data.readers.label_studio import Disagree, image_of, together
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "only chosen names are known; what an annotation does not choose is unknown",
    "negative": "a name that a submitted annotation does not choose is absent; labels of tasks that are not "
    "in the file are unknown",
}
_OWN = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}


def recognises(path: Path) -> bool:
    """Return whether a file is a table with the columns that Label Studio adds."""
    return _kinds.kind(path) == "label_studio_csv"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    image_column: str | None = None,
    control: str | None = None,
    absent_control: str | None = None,
    disagree: Disagree = "unknown",
    hierarchy: _hierarchy.Hierarchy = "leaf",
) -> LabelTable:
    """Read an export of the type CSV or TSV.

    Args:
        path: Export file.
        images: Image folder; as in `label_studio`.
        absent: Meaning of an unselected name; required unless there is an `absent_control`.
        classes: All names in their order; by default those that occur, in alphabetical order.
        image_column: Column of image paths, if its name is unusual.
        control: Column of present classes, if there are several.
        absent_control: Column of absent classes.
        disagree: Treatment of a class that only some annotators of a task selected, as in `label_studio`.
        hierarchy: Levels of a taxonomy that are classes: the `leaf`, the leaf and its `parents`, or the whole `path`.

    Raises:
        ValueError: A column does not exist, a cell cannot be parsed, or annotators disagree.
    """
    if absent_control is None:
        require_absent(path, absent, "a name that is not selected was rejected, or not considered")
    names = _columns.header(path)
    image = _image_column.image_column(path, names, image_column, None, images)
    columns = [_control(path, names, image, control, absent_control)]
    columns += [] if absent_control is None else [_columns.column_at(path, names, absent_control)]
    others = [at for at in range(len(names)) if at not in (image, *columns)]
    texts = text_columns(path, names, others, None)
    at = [image, *columns, *texts, *([names.index("annotation_id")] if "annotation_id" in names else [])]
    cells = [_columns.strings(column) for column in _columns.columns(path, at, names)]
    text_cells = cells[1 + len(columns) : 1 + len(columns) + len(texts)]
    chosen = [
        _hierarchy.classes_of(path, [_chosen(path, row, cell) for row, cell in enumerate(column)], hierarchy)
        for column in cells[1 : 1 + len(columns)]
    ]
    done = cells[-1] if "annotation_id" in names else ["yes"] * len(cells[0])
    addresses = [image_of(cell, images) for cell in cells[0]]
    found = []
    for address, rows in _by_image(addresses):
        of_image = [column[row] for row in rows for column in text_cells]
        rows = [row for row in rows if done[row]]
        present, denied = ([set(column[row]) for row in rows] for column in (chosen * 2)[:2])
        denied = denied if absent_control is not None else [set() for _ in rows]
        where = f"row {rows[0] + 1}" if rows else ""
        merged = together(path, where, address, present, denied, absent, disagree)
        found.append(merged._replace(texts=of_image))
    return _names.table(path, found, classes, absent, images)


def _control(path: Path, names: list[str], image: int, wanted: str | None, other: str | None) -> int:
    """Return the column of present classes."""
    if wanted is not None:
        return _columns.column_at(path, names, wanted)
    usual = [at for at in _roles.label_columns(names) if at != image and names[at] != other]
    able = [at for at, name in enumerate(names) if at != image and name not in _OWN and name != other]
    heads = _columns.head(path, able, names, None) if able else []
    coded = [at for at, cells in zip(able, heads, strict=True) if any(_is_coded(cell) for cell in cells)]
    there = coded or usual
    if len(there) != 1:
        guess = f"may be {' or '.join(repr(names[at]) for at in there)}" if there else "is not known"
        raise InputError(
            f"{path}: which column has the choices {guess}; there are: {some(map(repr, names), 12)}. Name it with ",
            ReaderArgument("control", placeholder="COLUMN"),
        )
    return there[0]


def _is_coded(cell: str) -> bool:
    return cell.startswith(("{", "[")) and ('"choices"' in cell or '"taxonomy"' in cell)


def _chosen(path: Path, row: int, cell: str) -> list[_hierarchy.Levels]:
    """Return the paths in a cell; a plain name is a path of one level."""
    if not cell.strip().startswith(("{", "[")):
        return [_hierarchy.levels([cell])] if cell.strip() else []
    try:
        content = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: row {row + 1}: no JSON in the cell {cell[:60]!r}: {error}") from None
    entries = content if isinstance(content, list) else [content]
    listed: list[object] = []
    for each in entries:
        value = each.get("choices", each.get("taxonomy")) if isinstance(each, dict) else each
        if not isinstance(value, list | str):
            raise ValueError(
                f"{path}: row {row + 1}: the cell {cell[:60]!r} has neither 'choices' nor 'taxonomy'"
            )
        listed += value if isinstance(value, list) else [value]
    return [_hierarchy.levels(each if isinstance(each, list) else [each]) for each in listed]


def _by_image(images: list[str]) -> Iterator[tuple[str, list[int]]]:
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image, []).append(row)
    yield from rows.items()
