"""Merge decisions into a label table, and list what people disagree about.

A decision sets an unknown label, with the origin `review:<who>`, or `review-at-random:<who>` if the order of questions
drew the label at random; labels that the table knows stay. Where people
disagree, the later answer counts or the label stays unknown, as chosen; in both cases the disagreement is listed.
"""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from partlabel.core.files import atomic_write
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.data.tables.provenance import ASKED, DRAWN, Origins
from partlabel.data.tables.vocabulary import with_blank_classes
from partlabel.review.events import CODES, Tally

Disputed = Literal["later", "blank"]
WORDS = {code: word for word, code in CODES.items()} | {UNKNOWN: "unknown"}
THE_TABLE = "the table"


class Said(NamedTuple):
    """One side of a disagreement.

    Attributes:
        image: Image name in the table.
        cls: Class.
        who: Name of the person; `the table` for a label that was known there.
        what: `present` or `absent`.
        at: Time in UTC; empty for the table.
        stands: Label in the merged table.
    """

    image: str
    cls: str
    who: str
    what: str
    at: str
    stands: str


class Merged(NamedTuple):
    """A table with its decisions.

    Attributes:
        table: Merged label table.
        present: Number of unknown labels that became present.
        absent: Number of unknown labels that became absent.
        disputes: All sides of all disagreements.
        elsewhere: Number of decisions about images or classes that are not in the table.
        other_parts: Number of decisions about parts of the split that were not selected.
        calibration: Number of images in the calibration set, including those that the table already marked.
    """

    table: LabelTable
    present: int
    absent: int
    disputes: list[Said]
    elsewhere: int
    other_parts: int
    calibration: int

    @property
    def disputed(self) -> int:
        """Number of labels that people disagree about."""
        return len({(side.image, side.cls) for side in self.disputes})


def merge(
    table: LabelTable,
    tally: Tally,
    disputed: Disputed = "later",
    part: str | None = None,
    complete: Set[str] = frozenset(),
) -> Merged:
    """Set the unknown labels of a table by decisions, and mark its calibration set.

    Args:
        table: Label table.
        tally: Decisions.
        disputed: Rule for labels that people disagree about: `later` uses the later answer, `blank` keeps them unknown.
        part: Part of the split whose decisions are used; None uses all.
        complete: Images that were drawn at random and answered completely.

    Raises:
        ValueError: The table has no such part.
    """
    selected = set(table.images if part is None else table.part(part).images)
    row = {image: number for number, image in enumerate(table.images)}
    column = {name: number for number, name in enumerate(table.classes)}
    labels = table.labels.copy()
    sources: dict[tuple[int, int], str] = {}
    disputes: list[Said] = []
    elsewhere = other_parts = 0
    for cell in tally.answers:
        if cell.image not in row or cell.cls not in column:
            elsewhere += 1
            continue
        if cell.image not in selected:
            other_parts += 1
            continue
        place = row[cell.image], column[cell.cls]
        last = tally.last(cell)
        if last and table.labels[place] == UNKNOWN and not (disputed == "blank" and tally.disagrees(cell)):
            labels[place] = CODES[last.what]
            sources[place] = f"{DRAWN if tally.is_drawn(cell) else ASKED}{last.who}"
        before, stands = WORDS[int(table.labels[place])], WORDS[int(labels[place])]
        sides = [event for event in tally.standing(cell).values() if event.what != "skip"]
        if tally.disagrees(cell) or (before != "unknown" and any(event.what != before for event in sides)):
            if before != "unknown":
                disputes.append(Said(*cell, THE_TABLE, before, "", stands))
            disputes += [Said(*cell, event.who, event.what, event.at, stands) for event in sides]
    filled = table.with_labels(made_read_only(labels)).with_origins(_origins(table, sources))
    marked = table.calibration or (False,) * len(table)
    marks = [
        mark or (image in complete and image in selected)
        for mark, image in zip(marked, table.images, strict=True)
    ]
    if any(marks) or table.calibration is not None:
        filled = filled.with_calibration(marks)
    present = filled.present - table.present
    absent = filled.known - table.known - present
    return Merged(filled, present, absent, disputes, elsewhere, other_parts, sum(marks))


def with_added_classes(table: LabelTable, tally: Tally, part: str | None = None) -> LabelTable:
    """Add the classes that people added on photos of a table; no label of them is known.

    Args:
        table: Label table.
        tally: Decisions.
        part: Part of the split whose decisions are used; None uses all.
    """
    selected = set(table.images if part is None else table.part(part).images)
    new = tally.new_classes()
    return with_blank_classes(
        table, [name for name in new if any(c.image in selected for c in tally.added[name])]
    )


def _origins(table: LabelTable, sources: Mapping[tuple[int, int], str]) -> Origins | None:
    """Combine the table's origins with the sources of the decisions; unchanged if there is no decision."""
    if not sources:
        return table.origins
    old = table.origins
    numbers = np.zeros(table.labels.shape, np.int64) if old is None else old.codes.astype(np.int64)
    names = list(("",) if old is None else old.names)
    for place, name in sources.items():
        if name not in names:
            names.append(name)
        numbers[place] = names.index(name)
    return Origins.of_numbers(numbers, names)


def save_disputes(disputes: list[Said], path: Path) -> Path:
    """Write disagreements as CSV, one line per side."""
    columns = ["image", "class", *Said._fields[2:]]
    with atomic_write(path) as aside:
        pl.DataFrame(disputes, schema=dict.fromkeys(columns, pl.String), orient="row").write_csv(aside)
    return path
