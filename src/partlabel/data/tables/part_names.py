"""Names of the parts of a table: train, val and test under the names that other tools use.

The names are those of the Hugging Face hub (https://huggingface.co/docs/hub/datasets-file-names-and-splits), Roboflow,
Keras and Kaggle.
"""

import re
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from partlabel.core.messages import did_you_mean, some

TRAIN, VAL, TEST = "train", "val", "test"
PARTS = (TRAIN, VAL, TEST)
_MEANING = {
    **dict.fromkeys(("train", "training", "trainval", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), VAL),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), TEST),
}
MOST_SHOWN = 20
"""Maximum number of parts that a message names."""
_FILLERS = {"", "set", "split", "part", "data", "images"}


def part_name(name: str) -> str:
    """Return `train`, `val` or `test` for a name that means one of them, and any other name unchanged.

    Case, digits (`val2017`) and the words set, split, part, data and images are ignored.

    Args:
        name: Part name, from a file, a folder or a column `split`.
    """
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word not in _FILLERS]
    return _MEANING.get(words[0], name) if len(words) == 1 else name


def part_names(names: Iterable[str]) -> list[str]:
    """Apply `part_name` to many names, once per distinct name."""
    known: dict[str, str] = {}
    return [known[name] if name in known else known.setdefault(name, part_name(name)) for name in names]


def part_of_path(path: str) -> str:
    """Return the part named by the folders of a path, nearest folder first; empty if there is none.

    Args:
        path: File path with `/` between folders.
    """
    meant = (part_name(folder) for folder in reversed(path.split("/")[:-1]))
    return next((part for part in meant if part in PARTS), "")


def in_part(split: Sequence[str] | None, name: str) -> np.ndarray:
    """Return which images are in the part `name`, or in the part that `part_name` takes it for.

    Args:
        split: One part name per image; None if there are no parts.
        name: Part name.

    Raises:
        ValueError: There is no split, or no such part; the message names the parts.
    """
    if split is None:
        raise ValueError(f"there is no part {name!r}: the table has no split column; with_split() adds one")
    parts = tuple(dict.fromkeys(split))
    name = name if name in parts else part_name(name)
    if name not in parts:
        raise ValueError(
            f"there is no part {name!r}{did_you_mean(name, parts)}; there are: {some(map(repr, parts), MOST_SHOWN)}"
        )
    return np.fromiter((part == name for part in split), dtype=bool, count=len(split))


def warn_of_other_parts(split: Sequence[str]) -> None:
    """Warn about parts that are not used.

    Args:
        split: One part name per image.

    Warns:
        UserWarning: A part is not train, val or test.
    """
    others = [name for name in dict.fromkeys(split) if part_name(name) not in PARTS]
    if others:
        counts = {name: split.count(name) for name in others}
        shown = some(f"{name!r} ({n:,} image{'s' if n > 1 else ''})" for name, n in counts.items())
        warnings.warn(
            f"part {shown} is not used: its images are used neither for training (train) nor for validation (val) "
            "nor for testing (test); rename it to use it",
            stacklevel=1,  # the same text is then shown once, for all callers
        )
