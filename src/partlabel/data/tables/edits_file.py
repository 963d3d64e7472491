"""A file of changes of a vocabulary, as `inspect --vocabulary` proposes it: YAML with rename, merge, drop and split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from partlabel.core.errors import first_line
from partlabel.core.messages import did_you_mean
from partlabel.core.text_files import lines_of
from partlabel.data.tables.vocabulary import Edits

FORM = "rename: {cab: taxi}, merge: {cab: taxi}, drop: [old], split: {vehicle: [car, bus]}"
KEYS = ("rename", "merge", "drop", "split")


def read_edits(path: Path) -> Edits:
    """Read changes from a file; keys may be empty.

    Raises:
        ValueError: It is not YAML, a key does not exist, or a value has another form.
    """
    try:
        content = yaml.safe_load("\n".join(lines_of(path))) or {}
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {first_line(error)}; its form is {FORM}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} has no keys; its form is {FORM}")
    for key in content:
        if key not in KEYS:
            raise ValueError(
                f"{path}: there is no key {key!r}{did_you_mean(str(key), KEYS)}; keys: {', '.join(KEYS)}"
            )
    pairs = {key: _pairs(path, key, content.get(key)) for key in ("rename", "merge", "split")}
    return Edits(
        tuple((name, _texts(path, "rename", [new])[0]) for name, new in pairs["rename"].items()),
        tuple((name, _texts(path, "merge", [into])[0]) for name, into in pairs["merge"].items()),
        tuple(_texts(path, "drop", content.get("drop") or [])),
        tuple((name, tuple(_texts(path, "split", into))) for name, into in pairs["split"].items()),
    )


def _pairs(path: Path, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value or {}, dict):
        raise ValueError(f"{path}: {key} has another form than in {FORM}")
    _texts(path, key, list(value or {}))
    return value or {}


def _texts(path: Path, key: str, value: Any) -> list[str]:
    """Check that a value is a list of names."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{path}: {key} has another form than in {FORM}; names such as yes or 7 need quotes")
    return value
