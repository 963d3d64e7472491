"""Recipes and files of `--config`."""

from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from partlabel.core.errors import UsageError
from partlabel.core.messages import did_you_mean


def recipes() -> list[str]:
    """List the names of the recipes in the package."""
    names = (path.name for path in files("partlabel").joinpath("recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def read_configuration(name: str) -> dict[str, Any]:
    """Read a configuration file or a recipe.

    Raises:
        UsageError: There is no such file or recipe, or it is not a mapping of options to values.
    """
    if Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    elif name in recipes():
        text = files("partlabel").joinpath(f"recipes/{name}.yaml").read_text(encoding="utf-8")
    else:
        raise UsageError(
            f"--config {name}: there is no such file and no such recipe{did_you_mean(name, recipes())}; "
            f"recipes: {', '.join(recipes())}"
        )
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{name} has to map options to values, as in 'epochs: 20'")
    return {str(key).replace("-", "_"): value for key, value in content.items()}


def leaves(content: dict[str, Any], choices: Collection[str]) -> Iterator[str]:
    """Yield the options that a configuration sets."""
    for key, value in content.items():
        if key in choices and isinstance(value, dict):
            yield from (f"{key}.{argument}" for argument in value)
        else:
            yield key
