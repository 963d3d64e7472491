"""The label table: images, classes, and what is known of each class in each image.

Immutable: every change is a new table. On disk it is a wide table, one row an image and one column a class, as CSV
(1 / 0 / blank) or parquet (nullable booleans), so that spreadsheets, pandas and SQL read it as it is.
"""

import os.path
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int8

from partlabel.core.fixes import Argument, InputError
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN, Absent
from partlabel.core.messages import did_you_mean, some
from partlabel.data.images.paths import similar_names
from partlabel.data.tables import validation
from partlabel.data.tables.part_names import part_name
from partlabel.data.tables.provenance import Origins

__all__ = ["Absent", "LabelTable", "Rows", "made_read_only", "read_only"]
MOST_ALIKE = 1000
Rows = slice | Sequence[int] | np.ndarray
MOST_PARTS = 20
"""Parts that are named in a message."""


@dataclass(frozen=True, eq=False, repr=False)
class LabelTable:
    """What is known of every class in every image.

    Attributes:
        images: Paths relative to `root`, unique, with `/` between folders.
        classes: Unique names, in the order of the columns. May be empty: images to predict.
        labels: int8, (image, class): PRESENT, ABSENT or UNKNOWN; read-only.
        split: The name of the part each image is in (`train`, `test`); None where there are no parts.
        root: The folder that the paths start from; None where only labels are at hand. Not kept in files, since
            it is a fact about a machine: give `images=` when reading.
        origins: Where each known label comes from; None where that was not kept.
        calibration: Whether each image is of the calibration set: drawn at random and labelled completely; None where
            there is no such set.

    Raises:
        ValueError: No images, a path that leaves the folder, images or classes named twice, an empty class name,
            a label that is none of the three, shapes that do not fit. The message names it and the mend.
        TypeError: Labels that are not int8 (floats and NaN among them).
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray  # Int8 "image class": checks.py checks it, with a message that tells of the codes
    split: tuple[str, ...] | None = None
    root: Path | None = None
    origins: Origins | None = None
    calibration: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        validation.check_images(self.images)
        validation.check_classes(self.classes)
        validation.check_labels(self.labels, self.images, self.classes)
        if self.split is not None:
            validation.check_split(self.split, self.images)
        if self.calibration is not None and len(self.calibration) != len(self.images):
            raise ValueError(f"{len(self.calibration)} calibration marks for {len(self.images)} images")
        if self.origins is not None and self.origins.codes.shape != self.labels.shape:
            raise ValueError(f"origins are {self.origins.codes.shape} for {self.labels.shape} labels")
        object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        known = f"{self.known / max(self.labels.size, 1):.1%} known"
        sizes = list(self.part_sizes.items())
        parts = "".join(f", {name} {size}" for name, size in sizes[:MOST_PARTS])
        parts += f" and {len(sizes) - MOST_PARTS} more parts" if len(sizes) > MOST_PARTS else ""
        return f"LabelTable({len(self)} images, {len(self.classes)} classes, {known}{parts})"

    def __getitem__(self, rows: Rows) -> "LabelTable":
        """The rows of a slice, of row numbers or of a mask, as a table."""
        chosen = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)]
        if chosen.ndim != 1:
            raise TypeError(
                "choose rows by a slice, a list of row numbers or a mask, such as table[5:6] for one row"
            )
        split = None if self.split is None else tuple(self.split[row] for row in chosen)
        images = tuple(self.images[row] for row in chosen)
        origins = None if self.origins is None else self.origins.rows(chosen)
        marks = None if self.calibration is None else tuple(self.calibration[row] for row in chosen)
        labels = made_read_only(self.labels[chosen])
        return replace(self, images=images, labels=labels, split=split, origins=origins, calibration=marks)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names in `split`, in the order they first appear; none where there is no split."""
        return tuple(dict.fromkeys(self.split or ()))

    @property
    def part_sizes(self) -> dict[str, int]:
        """How many images each part has, in the order of `parts`."""
        return dict(Counter(self.split or ()))

    def part(self, name: str) -> "LabelTable":
        """The images whose split is `name`, or what `part_name` takes it for.

        Raises:
            ValueError: There is no split, or no such part; the message names the parts.
        """
        return self[self._in_part(name)]

    def path(self, row: int) -> Path:
        """Where the image of a row is.

        Raises:
            ValueError: The table has no root.
        """
        if self.root is None:
            raise InputError(
                f"where is {self.images[row]!r}? The table has no image folder: give it by ",
                Argument("images", placeholder="FOLDER"),
            )
        return self.root / self.images[row]

    def missing(self) -> tuple[str, ...]:
        """The images that are not in the image folder."""
        self.path(0)  # sees that there is a root; a Path for every image would be slow
        return tuple(image for image in self.images if not os.path.isfile(f"{self.root}/{image}"))

    @property
    def known(self) -> int:
        """How many labels are known."""
        return int(np.count_nonzero(self.labels != UNKNOWN))

    @property
    def present(self) -> int:
        """How many labels are PRESENT."""
        return int(np.count_nonzero(self.labels == PRESENT))

    @property
    def absent(self) -> int:
        """How many labels are ABSENT."""
        return int(np.count_nonzero(self.labels == ABSENT))

    @property
    def unknown(self) -> int:
        """How many labels are UNKNOWN."""
        return int(np.count_nonzero(self.labels == UNKNOWN))

    def never_present(self) -> tuple[str, ...]:
        """The classes without a single PRESENT label: nothing can be learned of them."""
        ever = (self.labels == PRESENT).any(axis=0)
        return tuple(name for name, is_ever in zip(self.classes, ever, strict=True) if not is_ever)

    def with_labels(self, labels: Int8[np.ndarray, "image class"]) -> "LabelTable":
        """The same images and classes with other labels; where one is another, its origin is not known."""
        if self.origins is None or labels.shape != self.labels.shape:
            return replace(self, labels=labels)
        return replace(self, labels=labels, origins=self.origins.only(labels == self.labels))

    def with_origins(self, origins: Origins | None) -> "LabelTable":
        """The same table with its labels from elsewhere; blanks come from nowhere."""
        return replace(self, origins=None if origins is None else origins.only(self.labels != UNKNOWN))

    def with_split(self, split: Sequence[str] | None) -> "LabelTable":
        """The same table with its images in other parts."""
        return replace(self, split=None if split is None else tuple(split))

    def with_calibration(self, marks: Sequence[bool] | None) -> "LabelTable":
        """The same table with other images as its calibration set."""
        return replace(self, calibration=None if marks is None else tuple(map(bool, marks)))

    def hide(
        self, scheme: str = "uniform", *, part: str | None = None, seed: int = 0, **options: Any
    ) -> "LabelTable":
        """The table with labels hidden as a benchmark does; this one stays as it is, and holds the truth.

        Args:
            scheme: One of `hiding.SCHEMES`.
            part: Hide in this part of the split alone; the authors hide in train and keep test whole.
            seed: Of the draw.
            **options: What the scheme takes: `known=0.1` for uniform, `rates=` for per_class.

        Raises:
            ValueError: An unknown scheme or part, an option the scheme does not take or lacks.
        """
        from partlabel.data.tables.hiding import hide_labels

        if part is None:
            return self.with_labels(made_read_only(hide_labels(self.labels, scheme, seed=seed, **options)))
        rows = self._in_part(part)
        hidden = hide_labels(self.labels[rows], scheme, seed=seed, **options)
        labels = self.labels.copy()
        labels[rows] = hidden
        return self.with_labels(made_read_only(labels))

    @classmethod
    def read(
        cls,
        path: str | Path,
        images: str | Path | None = None,
        format: str = "auto",
        absent: Absent | None = None,
        missing: Literal["refuse", "keep"] = "refuse",
        **options: Any,
    ) -> "LabelTable":
        """The table in a file or folder of any format that a reader knows.

        Args:
            path: The annotation file, or the folder of them.
            images: The image folder. Where it is given, every image must be there.
            format: A name in `readers.names()`; `auto` asks each reader whether it knows the file.
            absent: What a class that is not mentioned means: `unknown` (nobody said) or `negative` (looked, and it
                is not there). Formats that list only what is there require it.
            missing: `keep` leaves out the check that the images are there.
            **options: What the reader takes besides.

        Raises:
            ValueError: The file cannot be understood; the message names file, row or key, class and the mend.
            FileNotFoundError: The file, the image folder or images in it are not there.
        """
        from partlabel.data import readers

        table = readers.read(Path(path), _folder(images), format, absent, options)
        if images is not None and missing == "refuse":
            table.check_files(path)
        return table

    def check_files(self, source: str | Path = "the label table") -> None:
        """See that every image is there.

        Raises:
            FileNotFoundError: With the count, the first few, and where they were looked for.
        """
        gone = self.missing()
        if gone:
            hint = "; paths have / between folders, not \\" if any("\\" in name for name in gone) else ""
            hint += similar_names(self.root, gone[:MOST_ALIKE]) if self.root else ""
            raise FileNotFoundError(
                f"{source}: {len(gone)} of {len(self)} images are not in {self.root}: {some(gone)}; "
                f"check the image folder{hint}"
            )

    def save(self, path: str | Path) -> Path:
        """Write the table as `.csv` (1 / 0 / blank) or `.parquet` (nullable booleans); `read` gives the same back.

        Where origins were kept, each class has a column `<class>:source` after its own; where there is a calibration
        set, the column `calibration` is 1 for its images and 0 for the others.

        The file is written aside and renamed, so that readers never meet half of one.

        Raises:
            ValueError: Another suffix.
        """
        from partlabel.data.tables import io

        return io.write_wide(io.frame(self), Path(path))

    def _in_part(self, name: str) -> np.ndarray:
        if self.split is None:
            raise ValueError(
                f"there is no part {name!r}: the table has no split column; with_split() adds one"
            )
        name = name if name in self.parts else part_name(name)
        if name not in self.parts:
            hint = did_you_mean(name, self.parts)
            raise ValueError(
                f"there is no part {name!r}{hint}; there are: {some(map(repr, self.parts), MOST_PARTS)}"
            )
        return np.fromiter((part == name for part in self.split), dtype=bool, count=len(self))


def read_only(matrix: np.ndarray) -> np.ndarray:
    """The matrix itself where nobody can write to it, else a copy."""
    if matrix.flags.writeable or matrix.base is not None or not matrix.flags.c_contiguous:
        matrix = np.array(matrix, order="C")
        matrix.flags.writeable = False
    return matrix


def made_read_only(matrix: np.ndarray) -> np.ndarray:
    """A matrix that nobody else holds, made read-only, so that a table need not copy it."""
    matrix.flags.writeable = False
    return matrix


def _folder(images: str | Path | None) -> Path | None:
    if images is None:
        return None
    if not Path(images).is_dir():
        raise FileNotFoundError(f"there is no image folder {images}")
    return Path(images)
