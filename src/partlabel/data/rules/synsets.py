"""Parents of WordNet synsets, as LVIS and ImageNet have them: a CSV file with `synset`, `parent` and `name`."""

import csv
from pathlib import Path

from partlabel.core.messages import did_you_mean
from partlabel.core.rules import ClassRule, Rules
from partlabel.core.text_files import lines_of

COLUMNS = ("synset", "parent", "name")


def recognises(path: Path) -> bool:
    """Return whether the file is .csv or .tsv."""
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv")


def read(path: Path) -> Rules:
    """Read a row per synset and parent.

    The class of a synset is its `name`, the class name of the collection; without one it is the first word of the
    synset: `dog` for `dog.n.01`. The column `name` may be left out. A row without a parent only names a synset.

    Raises:
        ValueError: A column is missing.
    """
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = list(csv.reader(lines_of(path), delimiter=separator))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    for column in COLUMNS[:2]:
        if column not in header:
            raise ValueError(
                f"{path}, line 1: there is no column {column!r}{did_you_mean(column, header)}; columns of parents of "
                f"synsets: {', '.join(COLUMNS)}"
            )
    numbered = [
        (number, dict(zip(header, row, strict=False))) for number, row in enumerate(rows[1:], start=2)
    ]
    numbered = [(number, row) for number, row in numbered if row.get("synset", "").strip()]
    names = {row["synset"].strip(): row["name"].strip() for _, row in numbered if row.get("name", "").strip()}
    rules = [
        ClassRule("implies", (_named(row["synset"], names), _named(row["parent"], names)), number)
        for number, row in numbered
        if row.get("parent", "").strip()
    ]
    return Rules(
        tuple(rule for rule in rules if rule.classes[0] != rule.classes[1]), (), str(path), names_all=False
    )


def _named(synset: str, names: dict[str, str]) -> str:
    """Return the class of a synset."""
    synset = synset.strip()
    parts = synset.rsplit(".", 2)
    return names.get(synset, parts[0] if len(parts) == 3 else synset)
