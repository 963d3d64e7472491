"""Rules in a filled table: what follows from known labels comes first, and new labels obey the rules."""

from dataclasses import replace

import numpy as np

from partlabel.core.column_rules import ColumnRules
from partlabel.core.labels import UNKNOWN
from partlabel.core.rules import Rules
from partlabel.data.tables.closure import close
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import made_read_only
from partlabel.data.tables.provenance import Origins, is_rules


def close_filled(before: FilledTable, rules: Rules) -> FilledTable:
    """Add all labels that follow from the known ones, as `closure.close`; other labels keep their probabilities."""
    recorded = before.table.with_origins(Origins.of_numbers(before.source, before.sources))
    closed = FilledTable.of(close(recorded, rules).table)
    probability = np.full(closed.table.labels.shape, np.nan, np.float32)
    probability[:, : before.probability.shape[1]] = before.probability
    by_rule = np.array([is_rules(name) for name in closed.sources])[closed.source]
    probability[by_rule] = np.nan
    there = np.zeros(probability.shape, bool)
    there[:, : before.source.shape[1]] = (before.table.labels == UNKNOWN) & (before.source > 0)
    left = there & (closed.table.labels == UNKNOWN)  # unknown labels with a probability of an earlier model
    numbers = np.array([_number(closed.sources, name) for name in before.sources], np.int16)
    source = closed.source.copy()
    source[left] = numbers[before.source[left[:, : before.source.shape[1]]]]
    return FilledTable(closed.table, probability, source, closed.sources)


def settle_labels(after: FilledTable, before: FilledTable, rules: Rules) -> FilledTable:
    """Make the new labels of a filled table obey rules.

    New labels that contradict others become unknown again, and what follows from the rest is added, with the model's
    probability and the source of a rule.

    Args:
        after: Table after filling.
        before: The same table before, closed under the rules.
        rules: Rules between its classes.
    """
    of = ColumnRules(rules, after.table.classes)
    new = before.table.labels == UNKNOWN
    labels = after.table.labels.copy()
    number = {name: at for at, name in enumerate(after.table.classes)}
    for conflict in of.conclude(labels).conflicts:
        for name, _ in conflict.labels:
            if name in number and new[conflict.row, number[name]]:
                labels[conflict.row, number[name]] = UNKNOWN
    kept = replace(after, table=after.table.with_labels(made_read_only(labels)))
    closed = close(kept.table, rules).table
    follows = (closed.labels != UNKNOWN) & (labels == UNKNOWN)
    found = FilledTable.of(closed)
    names = (*after.sources, *(name for name in found.sources if name not in after.sources))
    numbers = np.array([names.index(name) for name in found.sources], np.int16)
    source = np.where(follows, numbers[found.source], after.source).astype(np.int16)
    return FilledTable(closed, after.probability, source, names)


def _number(sources: tuple[str, ...], name: str) -> int:
    return sources.index(name) if name in sources else 0
