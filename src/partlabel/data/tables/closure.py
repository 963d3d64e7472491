"""Closure of known labels under rules between classes: what follows from them becomes known, with a source of its own.

A label that follows has the source `rule:implies`, `rule:excludes` or `rule:one_of`, after the rule that decides it,
and `without_rule_labels` takes it back. Labels that were known never change: where they contradict a rule, they are
listed, and nothing follows from them in that image.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from partlabel.core.column_rules import ColumnRules, Conflict
from partlabel.core.labels import UNKNOWN
from partlabel.core.rules import KINDS, Rules
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.data.tables.provenance import RULE, Origins, is_rules
from partlabel.data.tables.vocabulary import with_blank_classes


class Closure(NamedTuple):
    """A table closed under rules.

    Attributes:
        table: Label table with what follows.
        added: Number of labels that follow, by kind of rule.
        conflicts: Contradictions between known labels; rows are those of the table.
    """

    table: LabelTable
    added: Mapping[str, int]
    conflicts: tuple[Conflict, ...]

    @property
    def sentence(self) -> str:
        """What follows and what contradicts, in one sentence."""
        total = sum(self.added.values())
        by = ", ".join(f"{count:,} by {kind}" for kind, count in self.added.items() if count)
        text = f"rules: {total:,} unknown labels follow from known ones" + (f" ({by})" if by else "")
        return text + f"; {self.images_in_conflict:,} images have labels that contradict rules"

    @property
    def images_in_conflict(self) -> int:
        """Number of images whose known labels contradict rules."""
        return len({conflict.row for conflict in self.conflicts})

    def lines(self, most: int = 20) -> list[str]:
        """Describe the first contradictions, each with its image, its labels and their sources."""
        shown = [
            f"  {self.table.images[each.row]}: {each.sentence}{self._sources(each)}"
            for each in self.conflicts[:most]
        ]
        more = len(self.conflicts) - most
        return [*shown, f"  and {more:,} more"] if more > 0 else shown

    def _sources(self, conflict: Conflict) -> str:
        """Name the recorded sources of contradicting labels."""
        origins = self.table.origins
        if origins is None:
            return ""
        found = [origins.of(conflict.row, self.table.classes.index(name)) for name, _ in conflict.labels
                 if name in self.table.classes]  # fmt: skip
        return f"; from {' and '.join(dict.fromkeys(each or 'an unknown source' for each in found))}"


def close(table: LabelTable, rules: Rules) -> Closure:
    """Add all labels that follow from the known ones; labels from rules that were there are derived again.

    Args:
        table: Label table.
        rules: Rules between its classes; classes that they add become columns without labels.

    Raises:
        ValueError: The table lacks a class of the rules, or a class can never be present.
    """
    table = with_added(without_rule_labels(table), rules)
    found = ColumnRules(rules, table.classes).conclude(table.labels)
    added: dict[str, int] = {
        kind: int((found.kinds == number).sum()) for number, kind in enumerate(KINDS, start=1)
    }
    if not found.kinds.any():
        return Closure(table, added, found.conflicts)
    origins = _origins(table, found.kinds)
    closed = replace(table, labels=made_read_only(found.labels), origins=origins)
    return Closure(closed, added, found.conflicts)


def with_added(table: LabelTable, rules: Rules | None) -> LabelTable:
    """Add the classes that rules add, without labels, after those of the table."""
    return with_blank_classes(table, rules.adds if rules else ())


def without_rule_labels(table: LabelTable) -> LabelTable:
    """Return the table without the labels that followed from rules."""
    if table.origins is None or not any(map(is_rules, table.origins.names)):
        return table
    by_rule = np.array([is_rules(name) for name in table.origins.names])[table.origins.codes]
    kept = np.where(by_rule, np.int8(UNKNOWN), table.labels)
    numbers = np.where(by_rule, 0, table.origins.codes)
    names = table.origins.names
    origins = Origins.of_numbers(numbers, names)
    return replace(table, labels=made_read_only(kept), origins=None if origins.names == ("",) else origins)


def _origins(table: LabelTable, kinds: np.ndarray) -> Origins:
    """Combine the table's origins with the kinds of rules."""
    old = table.origins
    names = list(("",) if old is None else old.names)
    numbers = np.zeros(kinds.shape, np.int64) if old is None else old.codes.astype(np.int64)
    for number, kind in enumerate(KINDS, start=1):
        numbers[kinds == number] = len(names)
        names.append(f"{RULE}{kind}")
    return Origins.of_numbers(numbers, names)


def count_conflicts(conflicts: tuple[Conflict, ...]) -> list[tuple[str, int]]:
    """Count contradictions by the rules that they contradict, most frequent first."""
    counts = Counter(", ".join(map(str, conflict.rules)) for conflict in conflicts)
    return counts.most_common()
