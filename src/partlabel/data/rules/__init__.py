"""Files of rules between classes: each file of this folder reads one form (docs/rules.md).

Every public module has two functions:

- `recognises(path) -> bool`: whether a file or folder has this form;
- `read(path) -> Rules`: the rules in it.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from partlabel.core import registry
from partlabel.core.errors import naming
from partlabel.core.messages import did_you_mean
from partlabel.core.rules import Rules

__all__ = ["BESIDE", "NONE", "beside", "names", "read"]

BESIDE = "rules.yaml"
"""Name of the file of rules beside a table."""
NONE = "none"
"""Value of `--rules` that leaves out the rules beside a table."""


def names() -> list[str]:
    """Return the names of all forms in alphabetical order."""
    return registry.names(__name__)


def read(path: str | Path) -> Rules:
    """Read a file or folder of rules, of any form.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no known form, or an error; the message names the file, the line, the class and the fix.
    """
    path = Path(path)
    if not path.exists():
        near = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise FileNotFoundError(f"there is no file of rules {path}{did_you_mean(path.name, near)}")
    with naming(path):
        for name in names():
            module = _module(name)
            if module.recognises(path):
                return module.read(path)
    raise ValueError(
        f"{path} has no known form of rules; write them as YAML, such as implies: {{dog: [animal]}}, in a file that "
        f"ends in .yaml (forms: {', '.join(names())})"
    )


def beside(table: Path, given: str | None = None) -> Rules | None:
    """Return the rules for a table: those of a given file, else of `rules.yaml` beside it; None without rules.

    Args:
        table: File or folder of labels.
        given: File of rules; `none` for no rules.
    """
    if given == NONE:
        return None
    if given is not None:
        return read(given)
    path = (table if table.is_dir() else table.parent) / BESIDE
    return read(path) if path.is_file() else None


def _module(name: str) -> Any:
    if name in registry.plugins(__name__):
        return registry.load_plugin(__name__, name)
    return import_module(f"{__name__}.{name}")
