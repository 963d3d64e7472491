"""Conclusions from rules between classes, for the columns of a table.

A *literal* is a class with one of two values: present or absent. Every rule is a set of implications between literals
(`dog => animal` also says: animal absent => dog absent); their transitive closure answers what follows from a label.
`one_of` with more than two classes says one thing more: if all others are absent, the last one is present.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, UInt8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import KINDS, ClassRule, Rules

ROWS = 4096
"""Images that are concluded about together."""
Literals = Bool[np.ndarray, "*image literal"]
Reach = Bool[np.ndarray, "literal literal"]


class Conflict(NamedTuple):
    """Labels of an image that contradict rules.

    Attributes:
        row: Row of the image.
        labels: Names of the classes, each with its label.
        rules: Rules that they contradict, as a chain.
    """

    row: int
    labels: tuple[tuple[str, int], ...]
    rules: tuple[ClassRule, ...]

    @property
    def sentence(self) -> str:
        """The labels and the rules, such as `dog present, animal absent (dog => animal)`."""
        words = {PRESENT: "present", ABSENT: "absent"}
        labels = ", ".join(f"{name} {words[label]}" for name, label in self.labels)
        return f"{labels} ({', '.join(map(str, self.rules))})"


class Conclusions(NamedTuple):
    """What follows from known labels.

    Attributes:
        labels: Known labels unchanged, and unknown ones where a rule decides them.
        kinds: 0 for labels that were there or are unknown, else 1 and the index in `KINDS` of the rule.
        conflicts: Contradictions between known labels.
    """

    labels: Int8[np.ndarray, "image class"]
    kinds: UInt8[np.ndarray, "image class"]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, eq=False)
class ColumnRules:
    """Rules for the columns of a table; classes that only the rules name take part without labels.

    Attributes:
        rules: The rules.
        columns: Classes of the table.

    Raises:
        ValueError: The table lacks a class, or a class can never be present; the message names the chain.
    """

    rules: Rules
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        self.rules.check_names(self.columns)
        count = len(self.names)
        never = np.flatnonzero(np.diagonal(self._reach[-1][:count, count:]))
        if len(never):
            at = int(never[0])
            chain = self._chain(at, count + at)
            lines = sorted({rule.line for rule in chain if rule.line is not None})
            where = f", line{'s' * (len(lines) > 1)} {' and '.join(map(str, lines))}" if lines else ""
            raise ValueError(
                f"{self.rules.source}{where}: {self.names[at]!r} can never be present: {', '.join(map(str, chain))}; "
                "remove one of these rules"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Classes in rules, those of the table first."""
        mentioned = set(self.rules.classes)
        inside = [name for name in self.columns if name in mentioned]
        return (*inside, *(name for name in self.rules.classes if name not in set(self.columns)))

    @cached_property
    def places(self) -> np.ndarray:
        """Column of each of the first `names`, those that the table has."""
        number = {name: at for at, name in enumerate(self.columns)}
        return np.array([number[name] for name in self.names if name in number], np.int64)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.names)}

    def _edges(self) -> Iterator[tuple[int, int, ClassRule]]:
        """Yield implications between literals: present classes come first, then absent ones."""
        count, number = len(self.names), self._number
        for rule in self.rules.rules:
            at = [number[name] for name in rule.classes]
            if rule.kind == "implies":
                yield at[0], at[1], rule
                yield count + at[1], count + at[0], rule
                continue
            for one in at:
                yield from ((one, count + other, rule) for other in at if other != one)
            if rule.kind == "one_of" and len(at) == 2:
                yield from ((count + at[0], at[1], rule), (count + at[1], at[0], rule))

    @cached_property
    def _reach(self) -> tuple[Reach, ...]:
        """What follows from each literal by `implies` alone, with `excludes`, and by all rules."""
        size = 2 * len(self.names)
        found, so_far = [], np.zeros((size, size), bool)
        for kind in KINDS:
            for one, other, rule in self._edges():
                if rule.kind == kind:
                    so_far[one, other] = True
            so_far = _transitive(so_far)
            found.append(so_far.copy())
        return tuple(found)

    def _chain(self, start: int, end: int) -> tuple[ClassRule, ...]:
        """Return the rules by which one literal follows from another, by the fewest steps."""
        after: dict[int, list[tuple[int, ClassRule]]] = {}
        for one, other, rule in self._edges():
            after.setdefault(one, []).append((other, rule))
        came: dict[int, tuple[int, ClassRule]] = {}
        ahead = deque([start])
        while ahead and end not in came:
            here = ahead.popleft()
            for other, rule in after.get(here, ()):
                if other not in came:
                    came[other] = here, rule
                    ahead.append(other)
        chain: list[ClassRule] = []
        at = end
        while end in came and (not chain or at != start):
            at, rule = came[at]
            chain.append(rule)
        return tuple(dict.fromkeys(reversed(chain)))

    @cached_property
    def implied(self) -> Bool[np.ndarray, "class class"]:
        """Whether the class of the row implies that of the column, of the table's classes; each implies itself."""
        found, here = np.eye(len(self.columns), dtype=bool), len(self.places)
        found[np.ix_(self.places, self.places)] |= self._reach[0][:here, :here]
        return found

    def groups(self, kind: str) -> list[tuple[int, ...]]:
        """Return the columns of each list of a kind; of `one_of` without its lists that the table has only in part.

        These are under `excludes`, and so are pairs whose exclusion follows from several rules.
        """
        number = {name: at for at, name in enumerate(self.columns)}
        lists = [(rule.kind, [number[name] for name in rule.classes if name in number], rule)
                 for rule in self.rules.rules if rule.kind != "implies"]  # fmt: skip
        whole = [tuple(at) for of, at, rule in lists if of == "one_of" and len(at) == len(rule.classes)]
        if kind == "one_of":
            return whole
        found = [tuple(at) for _, at, _ in lists if len(at) > 1 and tuple(at) not in whole]
        listed = {
            pair for group in [*found, *whole] for one in group for pair in ((one, other) for other in group)
        }
        count, here = len(self.names), len(self.places)
        apart = np.argwhere(np.triu(self._reach[-1][:here, count : count + here], 1))
        pairs = [(int(self.places[one]), int(self.places[other])) for one, other in apart]
        return found + [pair for pair in pairs if pair not in listed and not self._inherited(pair, listed)]

    def _inherited(self, pair: tuple[int, int], listed: set[tuple[int, int]]) -> bool:
        """Return whether two classes are apart because classes that they imply are listed together."""
        above = [np.flatnonzero(self.implied[each]).tolist() for each in pair]
        return any((one, other) in listed for one in above[0] for other in above[1] if one != other)

    def conclude(self, labels: Int8[np.ndarray, "image class"]) -> Conclusions:
        """Draw all conclusions from known labels; labels that contradict each other conclude nothing.

        Args:
            labels: PRESENT, ABSENT or UNKNOWN, in the order of `columns`.
        """
        found, kinds = labels.copy(), np.zeros(labels.shape, np.uint8)
        conflicts: list[Conflict] = []
        here, count = len(self.places), len(self.names)
        for start in range(0, len(labels) if here else 0, ROWS):
            part = labels[start : start + ROWS][:, self.places]
            known = np.zeros((len(part), 2 * count), bool)
            known[:, :here], known[:, count : count + here] = part == PRESENT, part == ABSENT
            sure, rows = self._without_conflicts(known, start)
            conflicts += rows
            after = [_follows(sure, reach) for reach in self._reach]
            settled, more = self._last_of_lists(sure | after[-1], start)
            conflicts += more
            new = np.where(
                settled[:, :here], PRESENT, np.where(settled[:, count : count + here], ABSENT, UNKNOWN)
            )
            by = np.full(part.shape, len(KINDS), np.uint8)
            for number in (1, 0):
                by[after[number][:, :here] | after[number][:, count : count + here]] = number + 1
            blank = (part == UNKNOWN) & (new != UNKNOWN)
            rows_at = slice(start, start + ROWS)
            found[rows_at, self.places] = np.where(blank, new, part)
            kinds[rows_at, self.places] = np.where(blank, by, 0)
        return Conclusions(found, kinds, tuple(sorted(conflicts, key=lambda each: each.row)))

    def _without_conflicts(self, known: Literals, start: int) -> tuple[Literals, list[Conflict]]:
        """Return the literals that contradict no other of their image, and the contradictions."""
        reach, found = self._reach[-1], []
        against = known & _negated(_follows(known, reach))
        for row in np.flatnonzero(against.any(1)).tolist():
            at = np.flatnonzero(against[row])
            apart = np.triu(_negated(reach[at])[:, at])
            for one, other in np.argwhere(apart):
                chain = self._chain(int(at[one]), self._negation(int(at[other])))
                labels = dict.fromkeys(self._label(int(at[each])) for each in (one, other))
                found.append(Conflict(start + row, tuple(labels), chain))
        return known & ~against, found

    def _last_of_lists(self, settled: Literals, start: int) -> tuple[Literals, list[Conflict]]:
        """Conclude that the last class of a list of `one_of` is present where all others are absent."""
        count, reach = len(self.names), self._reach[-1]
        lists = [rule for rule in self.rules.of_kind("one_of") if len(rule.classes) > 2]
        conflicts: dict[tuple[int, ClassRule], Conflict] = {}
        changed = True
        while changed:
            changed = False
            for rule in lists:
                at = np.array([self._number[name] for name in rule.classes])
                absent = settled[:, count + at]
                open_ = absent.sum(1) == len(at) - 1
                open_ &= ~settled[:, at].any(1)
                for row in np.flatnonzero(absent.all(1)).tolist():
                    labels = tuple((name, ABSENT) for name in rule.classes)
                    conflicts[row, rule] = Conflict(start + row, labels, (rule,))
                for row in np.flatnonzero(open_).tolist():
                    last = at[~absent[row]][0]
                    new = reach[last].copy()
                    new[last] = True
                    if not (settled[row] & _negated(new)).any():
                        settled[row] |= new
                        changed = True
        return settled, list(conflicts.values())

    def _negation(self, literal: int) -> int:
        return (literal + len(self.names)) % (2 * len(self.names))

    def _label(self, literal: int) -> tuple[str, int]:
        count = len(self.names)
        return self.names[literal % count], PRESENT if literal < count else ABSENT


def column_rules(rules: Rules | None, columns: Sequence[str]) -> ColumnRules | None:
    """Return the rules for the columns of a table; None without rules."""
    return ColumnRules(rules, tuple(columns)) if rules else None


def _transitive(reach: Reach) -> Reach:
    """Compute the transitive closure by squaring."""
    while True:
        longer = reach | _follows(reach, reach)
        if (longer == reach).all():
            return reach
        reach = longer


def _follows(literals: Literals, reach: Reach) -> Literals:
    """Return the literals that follow from some."""
    return (literals.astype(np.float32) @ reach.astype(np.float32)) > 0


def _negated(literals: Literals) -> Literals:
    """Return whether the opposite of each literal is among some."""
    half = literals.shape[-1] // 2
    return np.concatenate([literals[..., half:], literals[..., :half]], -1)
