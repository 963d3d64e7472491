"""Validation of a tagger's `config.json`, which may come from anyone, before a tagger is created from it."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from partlabel.core.files import read_json
from partlabel.core.messages import did_you_mean, some

MOST_PIXELS = 4096
"""Maximum side of an image in a valid description."""
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
_TYPE_NAMES = {str: "a text", dict: "an object", list: "a list", int: "an integer", type(None): "null"}


def read_description(file: Path, tagger: Callable[..., Any]) -> dict[str, Any]:
    """Return the content of a `config.json`, if a tagger can be created from it.

    Args:
        file: Path of the file.
        tagger: Tagger class; its arguments are the valid keys of `tagger`.

    Raises:
        ValueError: It is not JSON, or a key is missing or of the wrong type; the message names the file and the key.
    """
    content = read_json(file)
    _expect(file, "the file", content, dict)
    for key, kind in (("classes", list), ("tagger", dict), ("name", str)):
        if key not in content:
            raise ValueError(
                f"{file} does not describe a tagger: {key!r} is missing; it has: {some(content) or 'nothing'}"
            )
        _expect(file, key, content[key], kind)
    _expect(file, "word_dim", content.get("word_dim"), (int, type(None)))
    _expect(file, "rules", content.get("rules"), (dict, type(None)))
    _check_composition(file, content.get("composition"))
    for at, name in enumerate(content["classes"]):
        _expect(file, f"classes[{at}]", name, str)
    if not content["classes"] or len(set(content["classes"])) < len(content["classes"]):
        raise ValueError(f"{file}: 'classes' has to name each class once, and at least one")
    _check_settings(file, content["tagger"], tagger)
    return {"word_dim": None, **content}


def _check_composition(file: Path, composition: Any) -> None:
    """Check the description of the parts of a tagger that was extended or edited."""
    if composition is None:
        return
    _expect(file, "composition", composition, dict)
    _expect(file, "composition.parts", composition.get("parts"), list)
    for at, part in enumerate(composition["parts"]):
        _expect(file, f"composition.parts[{at}]", part, dict)
        for key in ("method", "method_args", "head", "head_args"):
            _expect(file, f"composition.parts[{at}].{key}", part.get(key), _KINDS[key])


def _check_settings(file: Path, settings: Mapping[str, Any], tagger: Callable[..., Any]) -> None:
    here = ("classes", "pretrained", "weights")  # the weights are in the file beside
    known = [name for name in inspect.signature(tagger).parameters if name not in here]
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{file}: 'tagger' has the unknown key {key!r}{did_you_mean(key, known)}")
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
        wanted = " or ".join(_TYPE_NAMES[each] for each in kinds)
        raise ValueError(
            f"{file}: {key} is {_shown(value)}, not {wanted}; copy the file again, or train again"
        )


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
