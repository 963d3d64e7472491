"""JSON objects, one an image: lists of names, or a label for each class; what `jsonl` and `records` have in common."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers import _json, _names, _roles
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._cells import Names, Reading
from partlabel.data.tables.label_table import Absent, LabelTable

Entry = tuple[str, Any]
"""Where in the file an object is, and the object."""
_SPLIT, _SOURCE, _PRESENT = "split", "source", "present"
_HEAD = 50  # objects that are looked at to find the image


class _Keys(NamedTuple):
    """Where an object has what.

    Attributes:
        image: The path of the image.
        present: What is present; None where each class has a key of its own.
        absent: What is known to be absent.
        left_out: What is no class.
    """

    image: str
    present: str | None
    absent: str
    left_out: tuple[str, ...] = ()

    @property
    def no_classes(self) -> tuple[str, ...]:
        """The keys that are no classes of their own."""
        return (self.image, self.absent, _SPLIT, _SOURCE, *self.left_out)


def table(
    path: Path,
    entries: Sequence[Entry],
    images: Path | None,
    absent: Absent | None,
    classes: Sequence[str] | None,
    image_key: str | None,
    present_key: str | None,
    absent_key: str,
    leave_out: Sequence[str] = (),
) -> LabelTable:
    """Make the label table of what objects say.

    Args:
        path: The file.
        entries: One an image.
        images: The image folder; without it, paths start from the folder of the file.
        absent: What a class that is not mentioned means; required where no object says what is absent.
        classes: All classes in their order; without it, those that occur, in alphabetical order.
        image_key: Where an object has the path; found by its name if None.
        present_key: Where it lists what is present; found by its name if None.
        absent_key: Where it lists what is absent.
        leave_out: Keys that are no classes, where each class has a key of its own.

    Raises:
        ValueError: An object has no image or no labels, or has a class both as present and as absent; some have a
            `split` and others do not.
    """
    keys = _keys(path, entries, images, image_key, present_key, absent_key, leave_out)
    names = _names_of_texts(path, entries, keys, classes)
    found = [_found(path, where, entry, keys, names) for where, entry in entries]
    if not any(each.looked or each.absent for each in found):
        raise InputError(
            f"{path}: no line has a list {present_key or _PRESENT!r}; say what it is called with ",
            ReaderArgument("present_key", placeholder="NAME"),
        )
    if not any(_says_absent(entry, keys) for _, entry in entries):
        require_absent(path, absent, f"no line has a list {absent_key!r}")
    if classes is None:
        found = _names.plausible(path, found)
        classes = sorted({name for each in found for name in (*each.present, *each.absent, *each.unsure)})
    return _names.table(path, found, classes, absent, images or path.parent, _split(path, entries))


def _keys(
    path: Path,
    entries: Sequence[Entry],
    images: Path | None,
    image: str | None,
    present: str | None,
    absent: str,
    left_out: Sequence[str],
) -> _Keys:
    """Find where objects have their image and their labels: by the usual names of both, or by files that are there."""
    there = dict.fromkeys(key for _, entry in entries if isinstance(entry, dict) for key in entry)
    if image is None:
        usual = [key for name in _roles.IMAGES for key in there if _roles.plain(key) == name]
        usual += [
            key for key in there if not usual and images is not None and _are_files(entries, key, images)
        ]
        image = usual[0] if usual else "image"
    if present is None:
        usual = [key for name in (_PRESENT, *_roles.LABELS) for key in there if _roles.plain(key) == name]
        present = next((key for key in usual if _is_labels(entries, key)), None)
        numbered = [key for key in usual if _has_numbers(entries, key)]
        present = present or next(iter(numbered), None)
    keys = _Keys(image, present, absent, tuple(left_out))
    if present is None:
        classes = [key for key in there if key not in keys.no_classes]
        if not classes or absent in there:
            return keys._replace(present=_PRESENT)
        _refuse_no_classes(path, entries, keys, classes)
    return keys


def _has_numbers(entries: Sequence[Entry], key: str) -> bool:
    """Whether what objects have under a key are numbers of classes rather than 0 and 1."""
    values = [entry.get(key) for _, entry in entries if isinstance(entry, dict)]
    return all(value is None or isinstance(value, int) for value in values) and any(
        value not in (0, 1, None) for value in values
    )


def _refuse_no_classes(path: Path, entries: Sequence[Entry], keys: _Keys, classes: Sequence[str]) -> None:
    """See that all keys are classes of their own, with 1, 0 or null."""
    odd = [
        key
        for key in classes
        if any(_is_no_code(entry.get(key)) for _, entry in entries if isinstance(entry, dict))
    ]
    if odd:
        raise InputError(
            f"{path}: no line has a list {_PRESENT!r}; say what it is called with ",
            ReaderArgument("present_key", placeholder="NAME"),
            f". There are: {some(map(repr, classes))}. Or, if each class has a key of its own, leave out those that "
            "are no classes with ",
            ReaderArgument("leave_out", [*keys.left_out, *odd]),
        )
    name = classes[0]
    values = [entry.get(name) for _, entry in entries if isinstance(entry, dict)]
    if (
        len(classes) == 1
        and _roles.plain(name) in _roles.LABELS
        and not any(isinstance(v, bool) for v in values)
    ):
        raise InputError(
            f"{path}: what do 0 and 1 under {name!r} mean? If they are the numbers of classes, give ",
            ReaderArgument("present_key", name),
            " and ",
            ReaderArgument("classes", placeholder="'[FIRST,SECOND]'"),
            "; if it is a class, call the key by the name of the class",
        )


def _is_no_code(value: Any) -> bool:
    """Whether a value is none of 1, 0, true, false and null."""
    return isinstance(value, list | dict | str) or value not in (0, 1, None)


def _are_files(entries: Sequence[Entry], key: str, images: Path) -> bool:
    """Whether what the first objects have under a key are files of the image folder."""
    values = [entry.get(key) for _, entry in entries[:_HEAD] if isinstance(entry, dict)]
    return all(isinstance(value, str) and _roles.is_image(images, value) for value in values)


def _is_labels(entries: Sequence[Entry], key: str) -> bool:
    """Whether what objects have under a key is more than a label of one class."""
    values = (entry.get(key) for _, entry in entries if isinstance(entry, dict))
    return any(isinstance(value, list | dict | str) for value in values)


def _says_absent(entry: Any, keys: _Keys) -> bool:
    """Whether an object can say what is absent."""
    return keys.present is None or keys.absent in entry or isinstance(entry.get(keys.present), dict)


def _found(path: Path, where: str, entry: Any, keys: _Keys, names: Mapping[str, Names]) -> _names.Found:
    """What an object says of its image."""
    if isinstance(entry, dict) and keys.image not in entry:
        raise InputError(
            f"{path}: {where} has no {keys.image!r}{did_you_mean(keys.image, entry)}; it has: "
            f"{some(entry) or 'nothing'}. Say where the image is with ",
            ReaderArgument("image_key", placeholder="NAME"),
        )
    image = _json.keyed(path, where, entry, keys.image, str)
    if keys.present is None:
        labels: Any = {name: entry[name] for name in entry if name not in keys.no_classes}
    else:
        labels = entry.get(keys.present)
    if isinstance(labels, dict):
        told = _told(path, where, labels)
        yes, no, blank = ([name for name in told if told[name] is each] for each in (True, False, None))
        sources = _sources(path, where, labels)
        return _names.Found(image, yes, no, unsure=blank, where=where, origin=sources or "")
    looked = labels is not None
    if (text := _text(keys, labels)) is not None:
        of_text = names[text]
        present, looked = list(of_text or ()), of_text is not None
    else:
        present = _json.names_in(path, f"{where}: {keys.present!r}", labels or [])
    gone = _json.names_in(path, f"{where}: {keys.absent!r}", entry.get(keys.absent) or [])
    source = entry.get(_SOURCE) or ""
    if not isinstance(source, str):
        raise ValueError(f"{path}: {where}: 'source' is {source!r}, not where the line's labels come from")
    return _names.Found(image, present, gone, looked, where=where, origin=source)


def _text(keys: _Keys, labels: Any) -> str | None:
    """What has to be read like the cell of a table: a text, or numbers; `present`, our own key, has a list of names."""
    if keys.present == _PRESENT:
        return None
    if isinstance(labels, str):
        return labels
    numbers = labels if isinstance(labels, list) else [labels]
    if numbers and all(isinstance(each, int) and not isinstance(each, bool) for each in numbers):
        return json.dumps(numbers)
    return None


def _names_of_texts(
    path: Path, entries: Sequence[Entry], keys: _Keys, classes: Sequence[str] | None
) -> dict[str, Names]:
    """The class names in each text that stands for a list."""
    if keys.present is None:
        return {}
    places: dict[str, str] = {}
    for where, entry in entries:
        if isinstance(entry, dict) and (text := _text(keys, entry.get(keys.present))) is not None:
            places.setdefault(text, where)
    return Reading(path, keys.present, places.__getitem__, classes).names_of(places.keys())


def _split(path: Path, entries: Iterable[Entry]) -> list[str] | None:
    """The part of each object; None where there are no parts."""
    split = [entry.get(_SPLIT) for _, entry in entries]
    if any(part is None for part in split) and any(part is not None for part in split):
        where = list(entries)[split.index(None)][0]
        raise ValueError(f"{path}: {where} has no 'split' and others have; give each one or none")
    return None if None in split else [str(part) for part in split]


def _sources(path: Path, where: str, labels: Mapping[str, Any]) -> dict[str, str]:
    """Where an object has its labels from, of those of which it says so."""
    found = {name: value.get("source") for name, value in labels.items() if isinstance(value, dict)}
    for name, source in found.items():
        if source is not None and not isinstance(source, str):
            raise ValueError(f"{path}: {where}: class {name!r}: 'source' is {source!r}, not a name")
    return {name: source for name, source in found.items() if source}


def _told(path: Path, where: str, labels: Mapping[str, Any]) -> dict[str, bool | None]:
    """What an object says of each class: that it is there, that it is not, or nothing."""
    told: dict[str, bool | None] = {}
    for name, value in labels.items():
        label = value.get("label") if isinstance(value, dict) else value
        if label not in (0, 1, None):
            raise ValueError(
                f"{path}: {where}: class {name!r} is {label!r}; write 1 (present), 0 (absent) or null (unknown)"
            )
        told[name] = None if label is None else bool(label)
    return told
