"""Plausible class names, and the class names in a cell of a table.

Tables of many tools have cells that are not class names: lists as pandas and JSON write them, words for a missing
value, rows of numbers, vectors of zeros and ones. Unambiguous cells are read; all others are refused with a reason.
"""

import ast
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from partlabel.core.fixes import InputError, ReaderArgument

NULLS = ("nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null", "nil", "-")
"""Words for a missing value, in lower case."""
NOTHING = ("no finding",)
"""Words that mean the image was examined and none of the classes was found, in lower case (ChestX-ray14)."""
_DELIMITERS = ("|", ";", ",")
_QUOTED = r"""(?:u?'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_GAP = r"(?:\s*,\s*|\s+)"  # numpy writes no commas
_LIST_OF_NAMES = re.compile(rf"[\[({{]\s*(?:{_QUOTED}(?:{_GAP}{_QUOTED})*)?\s*,?\s*[\])}}]", re.DOTALL)
_LIST_OF_NUMBERS = re.compile(r"[\[(]\s*[-+\d.eE]+(?:[\s,]+[-+\d.eE]+)*\s*,?\s*[\])]")
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(rf"{_NUMBER}(?:[\s,;]+{_NUMBER})+")
_WHOLE = re.compile(r"\d+")
_WHOLES = re.compile(r"\d+(?:\s+\d+)*")
_BRACKETS = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
_CODE = re.compile(r"""^[\[{]\s*(?:['"\d\]}\[{(]|$)|['"\[{)][\]}]$|^(['"]).*\1$|^[\[{].*[\]}]$""", re.DOTALL)

Names = tuple[str, ...] | None
"""Class names in a cell; None for a missing value."""


def is_null(text: str) -> bool:
    """Return whether a text is a word for a missing value, such as NaN."""
    return text.strip().lower() in NULLS


def fault_of(name: str) -> str:
    """Explain why a text is not a plausible class name; return an empty string if it may be one."""
    if is_null(name):
        return "is a word for a missing value"
    if _CODE.search(name):
        return "is a list or an object of a programming language"
    if _NUMBERS.fullmatch(name):
        return "is a row of numbers, as in box files (YOLO)"
    if re.fullmatch(_NUMBER, name) and not _WHOLE.fullmatch(name):
        return "is a number"
    return ""


def refuse_implausible(source: Path, places: Mapping[str, str]) -> None:
    """Refuse names found in a file that are not plausible class names; names listed by the user are not checked.

    Args:
        source: Annotation file.
        places: Position in the file where each name first occurs.

    Raises:
        ValueError: A name is not plausible; the message gives the name, its position and the fix.
    """
    wrong = {name: fault for name in places if (fault := fault_of(name))}
    if wrong:
        name = min(wrong)
        raise InputError(
            f"{source}: {places[name]}: {name!r} {wrong[name]}, not a class name"
            f"{f' ({len(wrong)} such names)' if len(wrong) > 1 else ''}. Correct the file, or name all classes with ",
            ReaderArgument("classes", placeholder="'[...]'"),
        )


class Reading(NamedTuple):
    """Settings for reading the cells of a column.

    Attributes:
        path: Annotation file.
        column: Name of the column, for messages.
        place: Function that returns where a cell first occurs, for messages.
        classes: All classes, if given.
        delimiter: Delimiter between names, if given.
    """

    path: Path
    column: str
    place: Callable[[str], str]
    classes: Sequence[str] | None = None
    delimiter: str | None = None

    def names_of(self, cells: Collection[str]) -> dict[str, Names]:
        """Find the class names in each cell.

        Args:
            cells: All distinct cells of the column.

        Raises:
            ValueError: Cells are ambiguous or are not lists of class names; the message gives the fix.
        """
        known = set(self.classes or ())
        parsed: dict[str, Names] = {cell: () for cell in cells if _is_nothing(cell, known)}
        parsed |= {cell: None for cell in cells if is_null(cell) and cell.strip() not in known}
        rest = [cell for cell in cells if cell not in parsed]
        found = self._listed(rest)
        if found is None:
            found = self._split(rest)
        numbered = [name for names in found.values() for name in names]
        if numbered and all(map(_WHOLE.fullmatch, numbered)) and not known & set(numbered):
            found = self._numbers(found)
        if self.classes is None:
            first = {name: self.place(cell) for cell, names in reversed(found.items()) for name in names}
            refuse_implausible(self.path, first)
        return parsed | found

    def _listed(self, cells: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
        """Return the names of cells that are lists in brackets; None if no cell is one."""
        if self.delimiter is not None:
            return None
        found = {cell: _names_in_brackets(cell) for cell in cells}
        known = set(self.classes or ())
        for cell, names in found.items():
            text = cell.strip()
            if names is None and text not in known and _BRACKETS.fullmatch(text):
                raise InputError(
                    f"{self.path}: {self.place(cell)}: column {self.column!r} has {cell!r}, a list or an object, but "
                    "not a list of names in quotes; write names with a delimiter between them, such as dog|cat"
                )
        if all(names is None for names in found.values()):
            return None
        lists = {cell: names for cell, names in found.items() if names is not None}
        if len(lists) < len(found):
            other = next(cell for cell, names in found.items() if names is None)
            raise InputError(
                f"{self.path}: {self.place(other)}: column {self.column!r} has {other!r}, and others of its cells are "
                f"lists such as {next(iter(lists))!r}; write all cells in one way"
            )
        return lists

    def _split(self, cells: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Split cells at the delimiter."""
        mark = self.delimiter or self._delimiter(cells)
        return {cell: tuple(name for piece in cell.split(mark) if (name := piece.strip())) for cell in cells}

    def _delimiter(self, cells: Sequence[str]) -> str:
        """Detect the delimiter: the one of `|`, `;` and `,` that occurs; a space if that is certain."""
        known = set(self.classes or ())
        names = [cell.strip() for cell in cells if cell.strip() not in known]
        occurs = [mark for mark in _DELIMITERS if any(mark in name for name in names)]
        if len(occurs) > 1:
            raise InputError(
                f"{self.path}: class names may be separated by {' or '.join(map(repr, occurs))}; select one with ",
                ReaderArgument("delimiter", placeholder="'|'"),
            )
        if occurs:
            return occurs[0]
        spaced = [name for name in names if len(name.split()) > 1]
        if not spaced:
            return _DELIMITERS[0]
        if all(map(_WHOLES.fullmatch, names)) or (
            known and all(set(name.split()) <= known for name in names)
        ):
            return " "
        if any(map(_NUMBERS.fullmatch, spaced)):
            cell = next(name for name in spaced if _NUMBERS.fullmatch(name))
            raise InputError(
                f"{self.path}: {self.place(cell)}: column {self.column!r} has {cell!r}, a row of numbers, not a "
                "class name. Boxes are not read from a table; give a column of names"
            )
        raise InputError(
            f"{self.path}: {self.place(spaced[0])}: {spaced[0]!r} in column {self.column!r} is one name or several: "
            "cells have spaces, and no other delimiter occurs. If spaces separate names, give ",
            ReaderArgument("delimiter", " ", format="long_csv"),
            "; if they belong to names, give a delimiter that does not occur: ",
            ReaderArgument("delimiter", "|", format="long_csv"),
        )

    def _numbers(self, found: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Interpret numbers as positions in the list of classes, or as vectors with one value per class."""
        lists = [tuple(map(int, names)) for names in found.values() if names]
        if looks_multi_hot(lists):
            return self._vectors(found, len(lists[0]))
        if self.classes is None:
            return dict(found)
        highest = max(max(numbers) for numbers in lists)
        if highest >= len(self.classes):
            raise InputError(
                f"{self.path}: column {self.column!r} has the number {highest}, but there are {len(self.classes)} "
                "classes, counted from 0; name all of them with ",
                ReaderArgument("classes", placeholder="'[...]'"),
            )
        return {cell: tuple(self.classes[int(name)] for name in names) for cell, names in found.items()}

    def _vectors(self, found: Mapping[str, tuple[str, ...]], length: int) -> dict[str, tuple[str, ...]]:
        """Return the classes with a 1 in vectors of zeros and ones."""
        if self.classes is None or len(self.classes) != length or length < 3:
            cell = next(cell for cell, names in found.items() if names)
            raise InputError(
                f"{self.path}: {self.place(cell)}: column {self.column!r} has {cell!r}: all its cells are {length} "
                "zeros and ones, which is a vector with a number for each class (multi-hot) and not a list of names. "
                f"Write a column for each class, or name the {length} classes in their order with ",
                ReaderArgument("classes", placeholder="'[...]'", format="long_csv"),
                " (3 or more)" if length < 3 else "",
            )
        return {
            cell: tuple(name for name, code in zip(self.classes, names, strict=True) if code == "1")
            if names
            else ()
            for cell, names in found.items()
        }


def looks_multi_hot(lists: Sequence[Sequence[object]]) -> bool:
    """Return whether lists of numbers are multi-hot vectors, one value per class, rather than lists of class ids.

    All lists then have the same length above one and contain only 0, 1 and null (unknown). Lists of ids rarely do.
    """
    lengths = {len(each) for each in lists}
    return (
        len(lengths) == 1
        and lengths.pop() > 1
        and all(code in (0, 1, None) for each in lists for code in each)
    )


def _is_nothing(cell: str, known: Collection[str]) -> bool:
    """Return whether a cell means that none of the classes is present."""
    return not cell.strip() or (cell.strip().lower() in NOTHING and cell.strip() not in known)


def _names_in_brackets(cell: str) -> tuple[str, ...] | None:
    """Parse a list of Python, numpy, JSON or Label Studio (`{"choices": [...]}`); return None for other text."""
    text = cell.strip()
    if found := re.fullmatch(r'\{\s*"choices"\s*:\s*(\[.*\])\s*\}', text, re.DOTALL):
        text = found[1]
    if text in ("{}", "set()"):
        return ()
    if _LIST_OF_NAMES.fullmatch(text):
        items = (_unquoted(each) for each in re.findall(_QUOTED, text))
        return tuple(name for item in items if (name := item.strip()))
    if _LIST_OF_NUMBERS.fullmatch(text):
        return tuple(_whole(number) for number in re.findall(_NUMBER, text))
    return None


def _unquoted(word: str) -> str:
    """Decode a quoted string of JSON or Python."""
    if word.startswith('"'):
        try:
            return str(json.loads(word))
        except ValueError:
            pass
    try:
        return str(ast.literal_eval(word))
    except (ValueError, SyntaxError):
        return word.lstrip("u")[1:-1]


def _whole(number: str) -> str:
    """Remove `.0` from a number."""
    return re.sub(r"\.0*$", "", number)
