"""JSON objects, one per image: lists of names, or one label per class; shared by `jsonl` and `records`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers import _image_column, _json, _names, _roles
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._cells import Names, Reading
from partlabel.data.readers._text_columns import strings_in, texts_of
from partlabel.data.tables.label_table import Absent, LabelTable

Entry = tuple[str, Any]
"""Position of an object in the file, and the object."""
_SPLIT, _SOURCE, _PRESENT = "split", "source", "present"
_HEAD = 50  # objects that are inspected to find the image


class _Keys(NamedTuple):
    """Keys of an object.

    Attributes:
        image: Key of the image path.
        present: Key of the present classes; None if each class has its own key.
        absent: Key of the absent classes.
        left_out: Keys that are not classes.
        texts: Keys of texts about the image.
    """

    image: str
    present: str | None
    absent: str
    left_out: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def no_classes(self) -> tuple[str, ...]:
        """Keys that are not classes."""
        return (self.image, self.absent, _SPLIT, _SOURCE, *self.left_out, *self.texts)


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
    """Build the label table of a list of objects.

    Args:
        path: Annotation file.
        entries: Objects, one per image.
        images: Image folder; by default paths are relative to the file's folder.
        absent: Meaning of a class that is not mentioned; required if no object lists absent classes.
        classes: All classes in their order; by default those that occur, in alphabetical order.
        image_key: Key of the image path; found by its name if None.
        present_key: Key of the present classes; found by its name if None.
        absent_key: Key of the absent classes.
        leave_out: Keys that are not classes, if each class has its own key.

    Raises:
        ValueError: An object has no image or no labels, or has a class both as present and as absent; some objects have
            a `split` and others do not.
    """
    keys = _keys(path, entries, images, image_key, present_key, absent_key, leave_out)
    names = _names_of_texts(path, entries, keys, classes)
    found = [_found(path, where, entry, keys, names) for where, entry in entries]
    if not any(each.looked or each.absent for each in found):
        raise InputError(
            f"{path}: no line has a list {present_key or _PRESENT!r}; give its name with ",
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
    """Find the keys of the image and of the labels: by usual names, or by values that are files of the image folder."""
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
    roles = (image, present, absent, *left_out)
    texts = [
        key for key in there if any(texts_of({key: entry.get(key)}, roles) for _, entry in _objects(entries))
    ]
    keys = _Keys(image, present, absent, tuple(left_out), tuple(texts))
    if present is None:
        classes = [key for key in there if key not in keys.no_classes]
        if not classes or absent in there:
            return keys._replace(present=_PRESENT)
        _refuse_no_classes(path, entries, keys, classes)
    return keys


def _objects(entries: Iterable[Entry]) -> Iterator[tuple[str, dict[str, Any]]]:
    return (entry for entry in entries if isinstance(entry[1], dict))


def _has_numbers(entries: Sequence[Entry], key: str) -> bool:
    """Return whether the values of a key are class ids rather than 0 and 1."""
    values = [entry.get(key) for _, entry in entries if isinstance(entry, dict)]
    return all(value is None or isinstance(value, int) for value in values) and any(
        value not in (0, 1, None) for value in values
    )


def _refuse_no_classes(path: Path, entries: Sequence[Entry], keys: _Keys, classes: Sequence[str]) -> None:
    """Refuse keys that are not classes, whose values are other than 1, 0 or null."""
    odd = [
        key
        for key in classes
        if any(_is_no_code(entry.get(key)) for _, entry in entries if isinstance(entry, dict))
    ]
    if odd:
        raise InputError(
            f"{path}: no line has a list {_PRESENT!r}; give its name with ",
            ReaderArgument("present_key", placeholder="NAME"),
            f". There are: {some(map(repr, classes))}. Or, if each class has its own key, leave out those that are "
            "not classes with ",
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
    """Return whether a value is none of 1, 0, true, false and null."""
    return isinstance(value, list | dict | str) or value not in (0, 1, None)


def _are_files(entries: Sequence[Entry], key: str, images: Path) -> bool:
    """Return whether the values of a key in the first objects are files of the image folder."""
    values = [entry.get(key) for _, entry in entries[:_HEAD] if isinstance(entry, dict)]
    return all(isinstance(value, str) and _image_column.is_image(images, value) for value in values)


def _is_labels(entries: Sequence[Entry], key: str) -> bool:
    """Return whether the values of a key are more than the label of one class."""
    values = (entry.get(key) for _, entry in entries if isinstance(entry, dict))
    return any(isinstance(value, list | dict | str) for value in values)


def _says_absent(entry: Any, keys: _Keys) -> bool:
    """Return whether an object can mark classes as absent."""
    return keys.present is None or keys.absent in entry or isinstance(entry.get(keys.present), dict)


def _found(path: Path, where: str, entry: Any, keys: _Keys, names: Mapping[str, Names]) -> _names.Found:
    """Read the labels of an object's image."""
    if isinstance(entry, dict) and keys.image not in entry:
        raise InputError(
            f"{path}: {where} has no {keys.image!r}{did_you_mean(keys.image, entry)}; it has: "
            f"{some(entry) or 'nothing'}. Give the key of the image with ",
            ReaderArgument("image_key", placeholder="NAME"),
        )
    image = _json.keyed(path, where, entry, keys.image, str)
    texts = [text for key in keys.texts for text in strings_in(entry.get(key))]
    if keys.present is None:
        labels: Any = {name: entry[name] for name in entry if name not in keys.no_classes}
    else:
        labels = entry.get(keys.present)
    if isinstance(labels, dict):
        parsed = _parsed(path, where, labels)
        yes, no, blank = ([name for name in parsed if parsed[name] is each] for each in (True, False, None))
        sources = _sources(path, where, labels)
        return _names.Found(image, yes, no, unsure=blank, where=where, origin=sources or "", texts=texts)
    looked = labels is not None
    if (text := _text(keys, labels)) is not None:
        of_text = names[text]
        present, looked = list(of_text or ()), of_text is not None
    else:
        present = _json.names_in(path, f"{where}: {keys.present!r}", labels or [])
    gone = _json.names_in(path, f"{where}: {keys.absent!r}", entry.get(keys.absent) or [])
    source = entry.get(_SOURCE) or ""
    if not isinstance(source, str):
        raise ValueError(f"{path}: {where}: 'source' is {source!r}, not the origin of the line's labels")
    return _names.Found(image, present, gone, looked, where=where, origin=source, texts=texts)


def _text(keys: _Keys, labels: Any) -> str | None:
    """Return a value to be read like a table cell; None for lists of names, as in partlabel's own key `present`."""
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
    """Find the class names in each text that represents a list."""
    if keys.present is None:
        return {}
    places: dict[str, str] = {}
    for where, entry in entries:
        if isinstance(entry, dict) and (text := _text(keys, entry.get(keys.present))) is not None:
            places.setdefault(text, where)
    return Reading(path, keys.present, places.__getitem__, classes).names_of(places.keys())


def _split(path: Path, entries: Iterable[Entry]) -> list[str] | None:
    """Return the part of each object; None if there are no parts."""
    split = [entry.get(_SPLIT) for _, entry in entries]
    if any(part is None for part in split) and any(part is not None for part in split):
        where = list(entries)[split.index(None)][0]
        raise ValueError(f"{path}: {where} has no 'split' but others do; give one to every entry or to none")
    return None if None in split else [str(part) for part in split]


def _sources(path: Path, where: str, labels: Mapping[str, Any]) -> dict[str, str]:
    """Return the origins of an object's labels, for those that have one."""
    found = {name: value.get("source") for name, value in labels.items() if isinstance(value, dict)}
    for name, source in found.items():
        if source is not None and not isinstance(source, str):
            raise ValueError(f"{path}: {where}: class {name!r}: 'source' is {source!r}, not a name")
    return {name: source for name, source in found.items() if source}


def _parsed(path: Path, where: str, labels: Mapping[str, Any]) -> dict[str, bool | None]:
    """Return the label of each class in an object: True (present), False (absent) or None (unknown)."""
    parsed: dict[str, bool | None] = {}
    for name, value in labels.items():
        label = value.get("label") if isinstance(value, dict) else value
        if label not in (0, 1, None):
            raise ValueError(
                f"{path}: {where}: class {name!r} is {label!r}; write 1 (present), 0 (absent) or null (unknown)"
            )
        parsed[name] = None if label is None else bool(label)
    return parsed
