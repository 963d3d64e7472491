"""Indented text: a line per class, and below it, further to the right, the classes that imply it."""

from pathlib import Path

from partlabel.core.rules import ClassRule, Rules
from partlabel.core.text_files import lines_of


def recognises(path: Path) -> bool:
    """Return whether the file ends in .txt."""
    return path.is_file() and path.suffix.lower() == ".txt"


def read(path: Path) -> Rules:
    """Read a text such as `animal`, and in the next line `dog` after two spaces; lines that begin with # are comments.

    Raises:
        ValueError: A line is indented less than the line above, and like no other line before.
    """
    rules: list[ClassRule] = []
    above: list[tuple[int, str]] = []
    for number, line in enumerate(lines_of(path), start=1):
        text = line.expandtabs(8)
        name = text.strip()
        if not name or name.startswith("#"):
            continue
        depth = len(text) - len(text.lstrip())
        was_deeper = bool(above) and above[-1][0] > depth
        above = [each for each in above if each[0] <= depth]
        if was_deeper and (not above or above[-1][0] != depth):
            raise ValueError(
                f"{path}, line {number}: {name!r} is indented by {depth} spaces, like no class above it; indent it "
                "like one of them"
            )
        if above and above[-1][0] == depth:
            above.pop()
        if above:
            rules.append(ClassRule("implies", (name, above[-1][1]), number))
        above.append((depth, name))
    return Rules(tuple(rules), (), str(path), names_all=False)
