"""Reading `--prevalence`: the mean number of present classes per image, or a CSV file with a share for each class."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from partlabel.core.messages import did_you_mean

Prevalence = Float[np.ndarray, " class"] | float
COLUMNS = ("class", "share")


def read(given: str | Path | float | int, classes: Sequence[str]) -> Prevalence:
    """Read a prevalence.

    Args:
        given: Mean number of present classes per image; or a CSV file with the columns `class` and `share`, the share
            of all images, in (0, 1), that show the class; classes may be left out.
        classes: Class names of the model.

    Returns:
        The number, or a share for each class, NaN for classes that are left out.

    Raises:
        ValueError: The number does not lie between 0 and the number of classes; the file lacks a column, has an unknown
            class, a class twice, or a share outside (0, 1): the message names file and row.
        FileNotFoundError: There is no such file.
    """
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return _of_file(Path(str(given)), classes)
    if not 0 < number < len(classes):
        raise ValueError(
            f"--prevalence {given}: the mean number of present classes per image lies between 0 and {len(classes)}, "
            "the number of classes"
        )
    return number


def _of_file(path: Path, classes: Sequence[str]) -> Float[np.ndarray, " class"]:
    if not path.exists():
        raise FileNotFoundError(
            f"--prevalence {path}: there is no such file; give a number (present classes per image) or a CSV file with "
            "the columns class,share"
        )
    shares = np.full(len(classes), np.nan)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if lacking := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise ValueError(
                f"{path}: there is no column {lacking[0]!r} in its header ({', '.join(rows.fieldnames or ())}); a "
                "prevalence file has the columns class,share"
            )
        for number, row in enumerate(rows, start=1):
            name = row["class"]
            if name not in classes:
                raise ValueError(
                    f"{path}, row {number}: the model has no class {name!r}{did_you_mean(name or '', classes)}"
                )
            at = classes.index(name)
            if not np.isnan(shares[at]):
                raise ValueError(f"{path}, row {number}: class {name!r} has two rows; keep one")
            shares[at] = _share(row["share"], path, number, name)
    if np.isnan(shares).all():
        raise ValueError(f"{path} has no row; a prevalence file has a row for each class: class,share")
    return shares


def _share(word: str | None, path: Path, number: int, name: str) -> float:
    try:
        share = float(word or "")
    except ValueError:
        share = np.nan
    if not 0 < share < 1:
        raise ValueError(
            f"{path}, row {number}: the share of class {name!r} is {word!r}; it is a number between 0 and 1, the share "
            "of all images that show the class"
        )
    return share
