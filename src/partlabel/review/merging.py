"""Decisions put back into a label table, and what people disagree about.

A decision fills a blank; a label that the table knows stays. Where people say different things, who said it last
stands, or the blank stays blank, as is asked for; either way the disagreement is listed.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from partlabel.codes import UNKNOWN
from partlabel.data.aside import written_aside
from partlabel.data.table import LabelTable, frozen
from partlabel.review.decisions import CODES, Tally

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
    """

    table: LabelTable
    present: int
    absent: int
    disputes: list[Said]
    elsewhere: int

    @property
    def disputed(self) -> int:
        """Labels that people disagree about."""
        return len({(said.image, said.cls) for said in self.disputes})


def merge(table: LabelTable, tally: Tally, disputed: Disputed = "later") -> Merged:
    """Fill the blanks of a table with what was decided.

    Args:
        table: What is known besides.
        tally: What people said.
        disputed: What becomes of a blank that people disagree about: who said it last stands, or it stays blank.
    """
    row = {image: number for number, image in enumerate(table.images)}
    column = {name: number for number, name in enumerate(table.classes)}
    labels = table.labels.copy()
    disputes: list[Said] = []
    elsewhere = 0
    for cell in tally.answers:
        if cell.image not in row or cell.cls not in column:
            elsewhere += 1
            continue
        place = row[cell.image], column[cell.cls]
        label = tally.label(cell)
        if table.labels[place] == UNKNOWN and not (disputed == "blank" and tally.disagrees(cell)):
            labels[place] = label
        before, stands = WORDS[int(table.labels[place])], WORDS[int(labels[place])]
        sides = [said for said in tally.standing(cell).values() if said.what != "skip"]
        if tally.disagrees(cell) or (before != "unknown" and any(said.what != before for said in sides)):
            if before != "unknown":
                disputes.append(Said(*cell, THE_TABLE, before, "", stands))
            disputes += [Said(*cell, said.who, said.what, said.at, stands) for said in sides]
    filled = table.with_labels(frozen(labels))
    present = filled.present - table.present
    return Merged(filled, present, filled.known - table.known - present, disputes, elsewhere)


def save_disputes(disputes: list[Said], path: Path) -> Path:
    """Write disagreements as CSV, a line a side."""
    columns = ["image", "class", *Said._fields[2:]]
    with written_aside(path) as aside:
        pl.DataFrame(disputes, schema=dict.fromkeys(columns, pl.String), orient="row").write_csv(aside)
    return path
