"""Part of `inspect`: describe the rules between classes and the vocabulary, and propose changes of both."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from partlabel.cli.commands._saying import MOST_CLASSES, say_closure
from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    from partlabel.audit.rule_proposals import Proposal
    from partlabel.audit.vocabulary import Vocabulary
    from partlabel.core.rules import Rules
    from partlabel.data.tables.label_table import LabelTable

AUTO_RULES = "auto"
PROPOSED_RULES, PROPOSED_CHANGES = Path("rules-proposed.yaml"), Path("vocabulary-proposed.yaml")


class RulesReport(NamedTuple):
    """What is said about rules.

    Attributes:
        sentence: What follows from them and what contradicts them, or how many are proposed.
        against: Rules that known labels contradict, and how often.
        images: First images with such labels.
        proposals: Proposed rules.
    """

    sentence: str
    against: tuple[tuple[str, int], ...] = ()
    images: tuple[str, ...] = ()
    proposals: tuple["Proposal", ...] = ()


def obeyed_rules(given: "LabelTable", rules: "Rules | None") -> RulesReport | None:
    """Print and return what follows from rules, and which labels contradict them; None without rules."""
    from partlabel.data.tables.closure import close, count_conflicts

    if not rules:
        return None
    closure = close(given, rules)
    say_closure(closure)
    against = count_conflicts(closure.conflicts)[:MOST_CLASSES]
    for name, count in against:
        print(f"  {count:,} times against: {name}")
    sentence = closure.sentence.removeprefix("rules: ")
    return RulesReport(sentence, tuple(against), tuple(map(str.strip, closure.lines(MOST_CLASSES))))


def proposed_rules(given: "LabelTable", source: str) -> RulesReport:
    """Propose rules in a file; print and return them."""
    from partlabel.audit import rule_proposals

    _refuse(PROPOSED_RULES, "--rules auto", "rename it to rules.yaml")
    found = rule_proposals.propose(given)
    _write(PROPOSED_RULES, rule_proposals.as_yaml(found, source))
    sentence = f"{len(found):,} rules proposed, in {PROPOSED_RULES}"
    print("\n".join([f"{sentence}:", *(f"  {each.sentence}" for each in found)]))
    return RulesReport(sentence, proposals=tuple(found))


def proposed_vocabulary(given: "LabelTable", rules: "Rules | None", table: Path) -> "Vocabulary":
    """Propose changes of a vocabulary in a file; print and return what they are based on."""
    from partlabel.audit.vocabulary import vocabulary
    from partlabel.audit.vocabulary_file import changes_as_yaml

    _refuse(PROPOSED_CHANGES, "--vocabulary", "accept it")
    found = vocabulary(given, rules)
    _write(PROPOSED_CHANGES, changes_as_yaml(found, table.name))
    for heading, lines in found.sections.items():
        more = [f"  and {len(lines) - MOST_CLASSES:,} more"] if len(lines) > MOST_CLASSES else []
        print(
            "\n".join([f"{heading}: {len(lines):,}", *(f"  {line}" for line in lines[:MOST_CLASSES]), *more])
        )
    command = f"partlabel vocabulary {shlex.quote(str(table))} --accept {PROPOSED_CHANGES} --out tidy.csv"
    print(f"changes proposed in {PROPOSED_CHANGES}; when you have edited it: {command}")
    return found


def _refuse(file: Path, option: str, use: str) -> None:
    if file.exists():
        raise UsageError(f"{option} writes {file}, which exists: {use}, or remove it")


def _write(file: Path, text: str) -> None:
    from partlabel.core.files import atomic_write

    with atomic_write(file) as aside:
        aside.write_text(text, encoding="utf-8")
