"""Proposed changes of a vocabulary as a YAML file, for a person to edit and accept.

`partlabel vocabulary --accept` reads it. What a person has to decide is a comment.
"""

from partlabel.audit.rule_proposals import quoted
from partlabel.audit.vocabulary import Vocabulary


def changes_as_yaml(found: Vocabulary, source: str) -> str:
    """Write proposals: pairs whose names say the same and whose labels agree; all others as comments.

    Args:
        found: What the vocabulary can be tidied by.
        source: Name of the table.
    """
    merged: dict[str, str] = {}
    because: dict[str, str] = {}
    for each in found.alike:
        one, other = (_last(name, merged) for name in (each.one, each.other))
        if each.is_sure and one != other:
            merged[one], because[one] = other, each.sentence
    lines = [
        f"# Changes that the classes of {source} suggest. Delete what is wrong, remove the # of what is right, then:",
        f"#   partlabel vocabulary {source} --accept vocabulary-proposed.yaml --out tidy.csv",
        "# Under merge are a class and the class that it becomes part of.",
        "merge:",
    ]
    for name, sentence in because.items():
        lines += [f"  # {sentence}", f"  {quoted(name)}: {quoted(_last(name, merged))}"]
    for each in found.alike:
        one, other = (_last(name, merged) for name in (each.one, each.other))
        if one != other:
            lines += [f"  # {each.sentence}", f"  # {quoted(one)}: {quoted(other)}"]
    for each in found.superfluous:
        lines += [f"  # a rule says that {each.one} implies {each.other}; {each.photos}"]
        lines += [f"  # {quoted(each.one)}: {quoted(each.other)}"]
    lines += ["drop:"]
    for rare in found.rare:
        lines += [f"  # {rare.sentence}", f"  # - {quoted(rare.name)}"]
    return "\n".join(lines) + "\n"


def _last(name: str, merged: dict[str, str]) -> str:
    """Return the class that a class is part of after the merges so far."""
    while name in merged:
        name = merged[name]
    return name
