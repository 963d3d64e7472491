"""FiftyOne's JSON (`samples.json` of a FiftyOneDataset, or `dataset.write_json`), read without FiftyOne.

Labels are in fields of type `Classifications`, `Classification` or `Detections`. A field of present labels may have a
companion field of absent labels, as in FiftyOne's Open Images: `positive_labels` and `negative_labels`. Fields of texts
(`text`, `caption`, ...) are kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers import _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._text_columns import texts_of
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, part_names

ABSENCE = {
    "unknown": "absent is what the field of absent labels lists, if there is one; a label in neither field is unknown",
    "negative": "absent is what the field of absent labels lists, and every label that a sample's field does not "
    "mention; labels below the confidence threshold, and all labels of a sample whose field is null, are unknown",
}
HUMAN, MACHINE = "human", "machine"
_LISTS = {"Classifications": "classifications", "Detections": "detections", "Polylines": "polylines"}


def recognises(path: Path) -> bool:
    """Return whether a file is JSON with `samples`."""
    return _json.kind(path) == "fiftyone"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    field: str | None = None,
    absent_field: str | None = None,
    confidence: float | None = None,
) -> LabelTable:
    """Read samples. If each sample has one of the tags train, val (or validation) and test, the tags are the split.

    Args:
        path: JSON file, or the folder of a FiftyOneDataset, which contains `samples.json`.
        images: Image folder; the longest tail of `filepath` that exists in it is used. By default paths are relative to
            the file's folder.
        absent: Meaning of a label in neither field; required unless there is a field of absent labels.
        classes: All labels in their order; by default those that occur, in alphabetical order.
        field: Field of present labels; by default `positive_labels`, or the only field with labels.
        absent_field: Field of absent labels; by default `negative_labels`, if it exists.
        confidence: Confidence threshold: labels below it are left out and stay unknown even if `absent` is `negative`.
            Labels without a confidence are human.

    Raises:
        ValueError: The file has no samples, or a field does not exist or has no labels.
    """
    file = path / "samples.json" if path.is_dir() else path
    samples = _json.keyed(file, "the file", _json.load(file), "samples", list)
    for position, sample in enumerate(samples):
        _json.keyed(file, f"samples[{position}]", sample, "filepath", str)
    fields = sorted({name for sample in samples for name, value in sample.items() if _kind(value)})
    present = _field(file, fields, field, absent_field)
    if absent_field is None and "negative_labels" in fields:
        absent_field = "negative_labels"
    elif absent_field is not None:
        _field(file, fields, absent_field, None)
    if absent_field is None:
        require_absent(file, absent, f"the field {present!r} lists only what is present")
    root = images or file.parent
    machine = _has_confidences(samples, [present, absent_field])
    found = []
    for position, sample in enumerate(samples):
        where = f"samples[{position}]"
        (yes, weak_yes), (no, weak_no) = (
            ({}, set()) if name is None else _labels(file, f"{where}: {name}", sample.get(name), confidence)
            for name in (present, absent_field)
        )
        image = sample["filepath"]
        origin = {**yes, **no} if machine else {}
        looked = sample.get(present) is not None
        texts, weak = texts_of(sample, [present, absent_field]), weak_yes | weak_no
        found.append(_names.Found(image, [*yes], [*no], looked, weak, where, origin or "", texts))
    return _names.table(file, found, classes, absent, root, _split(samples))


def _kind(value: Any) -> str | None:
    """Return the type of a label field, such as `Classifications`; None for other values."""
    kind = value.get("_cls") if isinstance(value, dict) else None
    return kind if kind in (*_LISTS, "Classification") else None


def _field(file: Path, fields: list[str], wanted: str | None, other: str | None) -> str:
    if wanted is None and "positive_labels" in fields:
        return "positive_labels"
    if wanted is not None and wanted not in fields:
        raise ValueError(
            f"{file}: no sample has labels in a field {wanted!r}{did_you_mean(wanted, fields)}; "
            f"there are: {some(map(repr, fields)) or 'none'}"
        )
    there = [name for name in fields if name not in (other, "negative_labels")]
    if wanted is None and len(there) != 1:
        raise InputError(
            f"{file}: {'several fields have labels: ' if there else 'no field has labels'}{some(map(repr, there))}; "
            "name the field of present classes with ",
            ReaderArgument("field", placeholder="NAME"),
        )
    return wanted or there[0]


def _has_confidences(samples: list[dict[str, Any]], fields: list[str | None]) -> bool:
    """Return whether some labels were made by a model."""
    values = (sample.get(name) for sample in samples for name in fields if name is not None)
    lists = (
        value.get(_LISTS.get(value["_cls"], "")) or [value]
        for value in values
        if isinstance(value, dict) and _kind(value)
    )
    return any(
        isinstance(each, dict) and each.get("confidence") is not None for some in lists for each in some
    )


def _labels(file: Path, where: str, value: Any, confidence: float | None) -> tuple[dict[str, str], set[str]]:
    """Return the names in a field with their origins, and the names below the confidence threshold."""
    if value is None:
        return {}, set()
    kind = _kind(value)
    if kind is None:
        raise ValueError(f"{file}: {where} is none of Classification, {', '.join(_LISTS)}")
    listed = [value] if kind == "Classification" else _json.keyed(file, where, value, _LISTS[kind], list)
    names: dict[str, str] = {}
    weak: set[str] = set()
    for position, each in enumerate(listed):
        name = _json.keyed(file, f"{where}[{position}]", each, "label", str).strip()
        sure = each.get("confidence")
        if not name:
            continue
        if confidence is None or sure is None or sure >= confidence:
            by = HUMAN if sure is None else next(iter(each.get("tags") or ()), MACHINE)
            names.setdefault(name, by)
        else:
            weak.add(name)
    return names, weak


def _split(samples: list[dict[str, Any]]) -> list[str] | None:
    tags = [part_names(sample.get("tags") or ()) for sample in samples]
    parts = [[tag for tag in of_sample if tag in PARTS] for of_sample in tags]
    return [of[0] for of in parts] if parts and all(len(of) == 1 for of in parts) else None
