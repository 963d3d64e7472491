"""FiftyOne's JSON (`samples.json` of a FiftyOneDataset, or `dataset.write_json`), without FiftyOne.

Labels are in fields of `Classifications`, `Classification` or `Detections`. A field of what is present may have a
companion of what is known to be absent, as FiftyOne has Open Images: `positive_labels` and `negative_labels`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers import _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, part_names

ABSENCE = {
    "unknown": "absent is what the field of absent labels lists, if there is one; a label in neither field is unknown",
    "negative": "absent is what the field of absent labels lists, and every label that a sample's field does not "
    "mention; what has less than the confidence asked for, and all of a sample whose field is empty (null), is unknown",
}
HUMAN, MACHINE = "human", "machine"
_LISTS = {"Classifications": "classifications", "Detections": "detections", "Polylines": "polylines"}


def recognises(path: Path) -> bool:
    """A JSON file with `samples`."""
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
    """Read samples. Where each has one of the tags train, val (or validation) and test, that is the split.

    Args:
        path: The file; or the folder of a FiftyOneDataset, which has `samples.json`.
        images: The image folder; the longest tail of `filepath` that is there counts. Without it, paths start from
            the folder of the file.
        absent: What a label in neither field means; required unless there is a field of absent ones.
        classes: All labels in their order; without it, those that occur, in alphabetical order.
        field: What lists the present labels; `positive_labels`, or the only field with labels.
        absent_field: What lists the absent ones; `negative_labels` if there is one.
        confidence: Labels with less are left out, and are unknown even if `absent` is `negative`. Labels without any
            are people's.

    Raises:
        ValueError: The file has no samples, a field is not there, or has no labels.
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
        found.append(_names.Found(image, [*yes], [*no], looked, weak_yes | weak_no, where, origin or ""))
    return _names.table(file, found, classes, absent, root, _split(samples))


def _kind(value: Any) -> str | None:
    """`Classifications` and the like, or None for what is no label."""
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
            "say with ",
            ReaderArgument("field", placeholder="NAME"),
            " which lists what is present",
        )
    return wanted or there[0]


def _has_confidences(samples: list[dict[str, Any]], fields: list[str | None]) -> bool:
    """Whether some labels are a machine's."""
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
    """The names in a field and who says so, and the names that have too little confidence."""
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
