"""Decisions put back into a label table, and what people disagree about.

A decision fills a blank, and `review:<who>` is where the label comes from; a label that the table knows stays. Where
people say different things, who said it last stands, or the blank stays blank, as is asked for; either way the
disagreement is listed.
"""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from partlabel.core.files import atomic_write
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.data.tables.provenance import Origins
from partlabel.review.events import CODES, Tally

Disputed = Literal["later", "blank"]
WORDS = {code: word for word, code in CODES.items()} | {UNKNOWN: "unknown"}
THE_TABLE = "the table"


class Said(NamedTuple):
    """One side of a disagreement.

    Attributes:
        image: As the table names it.
        cls: The class.
        who: Who said it; `the table` for a label that was known there.
        what: `present` or `absent`.
        at: When; empty for the table.
        stands: What the label is in the end.
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
        table: The table.
        present: Blanks that became present.
        absent: Blanks that became absent.
        disputes: All sides of all disagreements.
        elsewhere: Decisions about images or classes that the table does not have.
        other_parts: Decisions about parts of the table that were not asked for.
        calibration: Images of the calibration set, those that the table marked already included.
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
        """Labels that people disagree about."""
        return len({(said.image, said.cls) for said in self.disputes})


def merge(
    table: LabelTable,
    tally: Tally,
    disputed: Disputed = "later",
    part: str | None = None,
    complete: Set[str] = frozenset(),
) -> Merged:
    """Fill the blanks of a table with what was decided, and mark its calibration set.

    Args:
        table: What is known besides.
        tally: What people said.
        disputed: What becomes of a blank that people disagree about: who said it last stands, or it stays blank.
        part: Take decisions about this part of the split alone.
        complete: Images that were drawn at random and answered completely.

    Raises:
        ValueError: There is no such part.
    """
    asked = set(table.images if part is None else table.part(part).images)
    row = {image: number for number, image in enumerate(table.images)}
    column = {name: number for number, name in enumerate(table.classes)}
    labels = table.labels.copy()
    deciders: dict[tuple[int, int], str] = {}
    disputes: list[Said] = []
    elsewhere = other_parts = 0
    for cell in tally.answers:
        if cell.image not in row or cell.cls not in column:
            elsewhere += 1
            continue
        if cell.image not in asked:
            other_parts += 1
            continue
        place = row[cell.image], column[cell.cls]
        last = tally.last(cell)
        if last and table.labels[place] == UNKNOWN and not (disputed == "blank" and tally.disagrees(cell)):
            labels[place] = CODES[last.what]
            deciders[place] = last.who
        before, stands = WORDS[int(table.labels[place])], WORDS[int(labels[place])]
        sides = [said for said in tally.standing(cell).values() if said.what != "skip"]
        if tally.disagrees(cell) or (before != "unknown" and any(said.what != before for said in sides)):
            if before != "unknown":
                disputes.append(Said(*cell, THE_TABLE, before, "", stands))
            disputes += [Said(*cell, said.who, said.what, said.at, stands) for said in sides]
    filled = table.with_labels(made_read_only(labels)).with_origins(_origins(table, deciders))
    marked = table.calibration or (False,) * len(table)
    marks = [
        mark or (image in complete and image in asked)
        for mark, image in zip(marked, table.images, strict=True)
    ]
    if any(marks) or table.calibration is not None:
        filled = filled.with_calibration(marks)
    present = filled.present - table.present
    absent = filled.known - table.known - present
    return Merged(filled, present, absent, disputes, elsewhere, other_parts, sum(marks))


def _origins(table: LabelTable, deciders: Mapping[tuple[int, int], str]) -> Origins | None:
    """The table's, and of each decision who made it; none where there is no decision."""
    if not deciders:
        return table.origins
    old = table.origins
    numbers = np.zeros(table.labels.shape, np.int64) if old is None else old.codes.astype(np.int64)
    names = list(("",) if old is None else old.names)
    for place, who in deciders.items():
        name = f"review:{who}"
        if name not in names:
            names.append(name)
        numbers[place] = names.index(name)
    return Origins.of_numbers(numbers, names)


def save_disputes(disputes: list[Said], path: Path) -> Path:
    """Write disagreements as CSV, a line a side."""
    columns = ["image", "class", *Said._fields[2:]]
    with atomic_write(path) as aside:
        pl.DataFrame(disputes, schema=dict.fromkeys(columns, pl.String), orient="row").write_csv(aside)
    return path
