"""Names of new classes, as people type them: what cannot be a class, and what repeats one.

A name becomes a column of a table, a word of `--classes a,b` and a label of other programs, so that it has no separator
of theirs, and is not a name by which readers recognise the images, the parts or the lists of labels of a table.
"""

import unicodedata
from collections.abc import Iterable

from partlabel.data.name_pairs import SAME_WORDS, repeated_class
from partlabel.data.readers import _roles
from partlabel.data.readers._cells import fault_of
from partlabel.data.tables.text_cells import COLUMNS
from partlabel.data.tables.validation import fault_of_class

LONGEST = 80
"""Maximum length of a name in characters."""
SEPARATORS = ",;|"
ROLES = frozenset(
    (
        *_roles.IMAGES,
        *_roles.LABELS,
        *_roles.SPLITS,
        *_roles.VALIDATION,
        *COLUMNS,
        "index",
        "idx",
        "present",
        "absent",
    )
)
"""Names of columns that are no classes, in lower case without spaces, `_` and `-`."""


class RepeatedName(ValueError):
    """A name that is another spelling of a class.

    Args:
        name: Name that was typed.
        instead: The class.
    """

    def __init__(self, name: str, instead: str) -> None:
        super().__init__(
            f"there is a class {instead!r} already"
            + ("" if name == instead else f", of which {name!r} is another spelling")
        )
        self.instead = instead


def checked_name(given: str, classes: Iterable[str]) -> str:
    """Clean the name of a new class: composed letters, single spaces.

    Args:
        given: Name as a person typed it.
        classes: Classes that there are.

    Raises:
        RepeatedName: It is a class, in this spelling or another one.
        ValueError: It cannot be the name of a class; the message says why.
    """
    name = " ".join(unicodedata.normalize("NFC", given).split())
    if fault := _fault_of(name):
        raise ValueError(fault)
    found = repeated_class(name, classes)
    if found is not None and found[1] == SAME_WORDS:
        raise RepeatedName(name, found[0])
    return name


def similar_class(name: str, classes: Iterable[str]) -> str:
    """Return the class of which a new name may be an inflection or a misspelling; empty if there is none."""
    found = repeated_class(name, classes)
    return "" if found is None else found[0]


def _fault_of(name: str) -> str:
    """Explain why a text cannot be the name of a class; return an empty string if it can."""
    shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
    if not name:
        return "a tag without a name: type what is in the photo"
    if len(name) > LONGEST:
        return f"{shown!r} has {len(name)} characters: a tag has {LONGEST} at most"
    if found := [mark for mark in SEPARATORS if mark in name]:
        return f"{shown!r} has a {found[0]!r}, which separates tags in tables: add one tag after the other"
    if _roles.plain(name) in ROLES:
        return f"{shown!r} is the name of another column of tables: type another name"
    if fault := fault_of_class(name) or fault_of(name):
        return f"{shown!r} {fault}: type another name"
    return ""
