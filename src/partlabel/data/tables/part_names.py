"""Names of the parts of a table: train, val and test under the names that other tools give them.

The names are those of the Hugging Face hub (https://huggingface.co/docs/hub/datasets-file-names-and-splits), Roboflow,
Keras and Kaggle.
"""

import re
import warnings
from collections.abc import Iterable, Sequence

from partlabel.core.messages import some

TRAIN, VAL, TEST = "train", "val", "test"
PARTS = (TRAIN, VAL, TEST)
_MEANING = {
    **dict.fromkeys(("train", "training", "trainval", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), VAL),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), TEST),
}
_FILLERS = {"", "set", "split", "part", "data", "images"}


def part_name(name: str) -> str:
    """Return `train`, `val` or `test` for a name that means one of them, and any other name unchanged.

    Upper and lower case, digits (`val2017`) and the words set, split, part, data and images do not matter.

    Args:
        name: Name of a part, as a file, a folder or a column `split` has it.
    """
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word not in _FILLERS]
    return _MEANING.get(words[0], name) if len(words) == 1 else name


def part_names(names: Iterable[str]) -> list[str]:
    """Apply `part_name` to many names, each distinct one once."""
    known: dict[str, str] = {}
    return [known[name] if name in known else known.setdefault(name, part_name(name)) for name in names]


def part_of_path(path: str) -> str:
    """Return the part that the folders of a path name, the nearest folder first; empty where none does.

    Args:
        path: Path of a file, with `/` between folders.
    """
    meant = (part_name(folder) for folder in reversed(path.split("/")[:-1]))
    return next((part for part in meant if part in PARTS), "")


def warn_of_other_parts(split: Sequence[str]) -> None:
    """Warn of parts that nothing uses.

    Args:
        split: One part name for each image.

    Warns:
        UserWarning: A part is none of train, val and test.
    """
    others = [name for name in dict.fromkeys(split) if part_name(name) not in PARTS]
    if others:
        counts = {name: split.count(name) for name in others}
        shown = some(f"{name!r} ({n:,} image{'s' if n > 1 else ''})" for name, n in counts.items())
        warnings.warn(
            f"part {shown} is not used: its images are neither trained on (train), nor do they choose the epoch (val), "
            "nor are they tested on (test); rename it to use it",
            stacklevel=1,  # the same text is then shown once, whoever asks
        )
