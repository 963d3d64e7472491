"""What `config.json` says of a tagger, checked before anything is made of it: the file may come from anybody."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from partlabel.core.files import read_json
from partlabel.core.messages import did_you_mean, some

MOST_PIXELS = 4096
"""Side of an image beyond which a description is taken to be wrong."""
_KINDS: dict[str, type | tuple[type, ...]] = {
    "method": str,
    "method_args": dict,
    "head": str,
    "head_args": dict,
    "backbone": str,
    "trainable": str,
    "image_size": int,
    "pool": int,
    "words": (str, type(None)),
}
_SAID = {str: "a text", dict: "an object", list: "a list", int: "a whole number", type(None): "null"}


def read_description(file: Path, tagger: Callable[..., Any]) -> dict[str, Any]:
    """Return what a `config.json` says, if a tagger can be made of it.

    Args:
        file: The file.
        tagger: The class; its arguments are what `tagger` may name.

    Raises:
        ValueError: It is not JSON, something is missing or of another kind; the message names file and key.
    """
    said = read_json(file)
    _expect(file, "the file", said, dict)
    for key, kind in (("classes", list), ("tagger", dict), ("name", str)):
        if key not in said:
            raise ValueError(
                f"{file} describes no tagger: it has no {key!r}; it has: {some(said) or 'nothing'}"
            )
        _expect(file, key, said[key], kind)
    _expect(file, "word_dim", said.get("word_dim"), (int, type(None)))
    for at, name in enumerate(said["classes"]):
        _expect(file, f"classes[{at}]", name, str)
    if not said["classes"] or len(set(said["classes"])) < len(said["classes"]):
        raise ValueError(f"{file}: 'classes' has to name each class once, and at least one")
    _check_settings(file, said["tagger"], tagger)
    return {"word_dim": None, **said}


def _check_settings(file: Path, settings: Mapping[str, Any], tagger: Callable[..., Any]) -> None:
    known = [name for name in inspect.signature(tagger).parameters if name not in ("classes", "pretrained")]
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{file}: 'tagger' has {key!r}, which no tagger has{did_you_mean(key, known)}")
        if key in _KINDS:
            _expect(file, f"tagger.{key}", value, _KINDS[key])
    if "backbone" not in settings or "method" not in settings:
        raise ValueError(f"{file}: 'tagger' has to name its 'method' and its 'backbone'")
    for key, most in (("image_size", MOST_PIXELS), ("pool", MOST_PIXELS)):
        if not 0 < settings.get(key, 1) <= most:
            raise ValueError(f"{file}: tagger.{key} is {settings[key]}; it has to lie between 1 and {most}")


def _expect(file: Path, key: str, value: Any, kind: type | tuple[type, ...]) -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or isinstance(value, bool):
        wanted = " or ".join(_SAID[each] for each in kinds)
        raise ValueError(
            f"{file}: {key} is {_shown(value)}, not {wanted}; copy the file again, or train again"
        )


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
