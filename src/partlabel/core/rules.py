"""Rules between classes: one implies another, classes exclude each other, exactly one of some is present.

A rule is over names; `column_rules.py` draws conclusions from it for the columns of a table. Three kinds:

=========  ======================================================
implies    `dog => animal`: where dog is present, animal is
excludes   `day, night`: at most one of them is present
one_of     `indoor, outdoor`: exactly one of them is present
=========  ======================================================
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from partlabel.core.messages import did_you_mean, some

RuleKind = Literal["implies", "excludes", "one_of"]
KINDS: tuple[RuleKind, ...] = ("implies", "excludes", "one_of")


class ClassRule(NamedTuple):
    """A rule between classes.

    Attributes:
        kind: Kind of the rule.
        classes: Names of the classes; of `implies`, the class and the one that it implies.
        line: Line in the file that it was read from, from 1; None if there is none.
    """

    kind: RuleKind
    classes: tuple[str, ...]
    line: int | None = None

    def __str__(self) -> str:
        if self.kind == "implies":
            return " => ".join(self.classes)
        if self.kind == "excludes":
            return " excludes ".join(self.classes)
        return f"one of {', '.join(self.classes)}"


@dataclass(frozen=True)
class Rules:
    """The rules of a collection.

    Attributes:
        rules: The rules, in their order.
        adds: Classes to add to a table, as columns without labels.
        source: File that they were read from, for messages.
        names_all: Whether a class that a table lacks is an error; false for vocabularies larger than a table.

    Raises:
        ValueError: A list has too few classes or names a class twice, a class is in two lists of `one_of`, or rules go
            in a circle; the message names the file, the line and the chain.
    """

    rules: tuple[ClassRule, ...]
    adds: tuple[str, ...] = ()
    source: str = "the rules"
    names_all: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "rules", tuple({(rule.kind, rule.classes): rule for rule in self.rules}.values())
        )
        for rule in self.rules:
            self._check_list(rule)
        self._check_disjoint()
        if circle := _circle(self.parents()):
            line = next(
                rule.line
                for rule in self.rules
                if rule.kind == "implies" and rule.classes == (circle[0], circle[1])
            )
            raise ValueError(
                f"{self._place(line)}: rules go in a circle: {' => '.join(circle)}; remove one of them"
            )

    def _place(self, line: int | None) -> str:
        """Return the file, and the line where there is one."""
        return self.source if line is None else f"{self.source}, line {line}"

    def _check_list(self, rule: ClassRule) -> None:
        """Check that a rule is about two classes or more, each once."""
        if len(rule.classes) < 2:
            raise ValueError(
                f"{self._place(rule.line)}: {rule.kind} has the single class {some(map(repr, rule.classes))}; list two "
                "classes or more, or remove the rule"
            )
        twice = [name for name, count in Counter(rule.classes).items() if count > 1]
        if twice:
            raise ValueError(
                f"{self._place(rule.line)}: {rule.kind} names the class {twice[0]!r} twice ({rule}); name it once"
            )

    def _check_disjoint(self) -> None:
        """Check that no class is in two lists of `one_of`."""
        before: dict[str, ClassRule] = {}
        for rule in self.of_kind("one_of"):
            for name in rule.classes:
                if (other := before.setdefault(name, rule)) is not rule:
                    raise ValueError(
                        f"{self._place(rule.line)}: {name!r} is in two lists of one_of ({rule}; and {other}); leave it "
                        "in one of them, and write the other under excludes"
                    )

    def __bool__(self) -> bool:
        return bool(self.rules or self.adds)

    def of_kind(self, kind: RuleKind) -> tuple[ClassRule, ...]:
        """Return the rules of a kind."""
        return tuple(rule for rule in self.rules if rule.kind == kind)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes in rules, in the order of their first mention."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.classes))

    def parents(self) -> dict[str, list[str]]:
        """Return the classes that each class implies by one rule."""
        found: dict[str, list[str]] = {}
        for rule in self.of_kind("implies"):
            found.setdefault(rule.classes[0], []).append(rule.classes[1])
        return found

    def check_names(self, known: Iterable[str]) -> None:
        """Check that a table has the classes of the rules.

        Args:
            known: Classes of the table.

        Raises:
            ValueError: It lacks one; the message suggests the most similar name.
        """
        has = {*known, *self.adds}
        for rule in self.rules if self.names_all else ():
            for name in rule.classes:
                if name not in has:
                    raise ValueError(
                        f"{self._place(rule.line)}: {rule}: the table has no class {name!r}{did_you_mean(name, has)}; "
                        f"correct the name, or add it to the table as a new class: adds: [{name}]"
                    )

    def joined(self, more: "Rules") -> "Rules":
        """Return these rules and more of them; messages name the source of the latter.

        Raises:
            ValueError: They contradict each other, as in the constructor.
        """
        return replace(more, rules=(*self.rules, *more.rules), adds=(*self.adds, *more.adds), names_all=False)

    def without_lines(self) -> "Rules":
        """Return the rules without lines, as a saved tagger has them."""
        plain = tuple(rule._replace(line=None) for rule in self.rules)
        return replace(self, rules=plain, source="the rules of the model")

    def to_json(self) -> dict[str, Any]:
        """Convert to lists and objects, in the form of `rules.yaml`."""
        found: dict[str, Any] = {"implies": self.parents()}
        found |= {
            kind: [list(rule.classes) for rule in self.of_kind(kind)] for kind in ("excludes", "one_of")
        }
        found["adds"] = list(self.adds)
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], source: str = "the rules of the model") -> "Rules":
        """Parse the output of `to_json`.

        Raises:
            ValueError: It has another form, or an error of `Rules`.
        """
        try:
            rules = [
                ClassRule("implies", (name, each))
                for name, of in content.get("implies", {}).items()
                for each in of
            ]
            rules += [ClassRule("excludes", tuple(names)) for names in content.get("excludes", ())]
            rules += [ClassRule("one_of", tuple(names)) for names in content.get("one_of", ())]
            if not all(isinstance(name, str) for rule in rules for name in rule.classes):
                raise TypeError("a class is not a text")
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{source}: not rules of classes ({error}); train again") from error
        return cls(tuple(rules), tuple(content.get("adds", ())), source, names_all=False)


def _circle(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names along a circle of implications, the first one again at the end; empty if there is none."""
    done: set[str] = set()
    for start in parents:
        path, ahead = [start], [iter(parents[start])]
        while path and start not in done:
            name = next(ahead[-1], None)
            if name is None:
                done.add(path.pop())
                ahead.pop()
                if not path:
                    break
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                ahead.append(iter(parents.get(name, ())))
    return []
