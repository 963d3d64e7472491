"""The label table: images, classes, and the label of each class in each image.

Immutable: every change returns a new table. On disk it is a wide table, one row per image and one column per class, as
CSV (1 / 0 / empty) or parquet (nullable booleans), which spreadsheets, pandas and SQL can read directly.
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
from partlabel.core.messages import some
from partlabel.data.images.paths import similar_names
from partlabel.data.tables import text_cells, validation
from partlabel.data.tables.part_names import MOST_SHOWN, in_part
from partlabel.data.tables.provenance import Origins
from partlabel.data.tables.text_cells import Texts

__all__ = ["Absent", "LabelTable", "Rows", "made_read_only", "read_only"]
MOST_ALIKE = 1000
Rows = slice | Sequence[int] | np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class LabelTable:
    """Known and unknown labels of every class in every image.

    Attributes:
        images: Paths relative to `root`, unique, with `/` between folders.
        classes: Unique names, in the order of the columns. May be empty: images to predict.
        labels: int8, (image, class): PRESENT, ABSENT or UNKNOWN; read-only.
        split: Name of each image's part (`train`, `test`); None if there are no parts.
        root: Folder to which paths are relative; None if only labels are available. Not stored in files, because it
            depends on the machine: give `images=` when reading.
        origins: Origin of each known label; None if not recorded.
        calibration: Whether each image is in the calibration set: drawn at random and labelled completely; None if
            there is no such set.
        texts: Texts of each image (captions, titles, tags): none, one or several; None if the table has none.

    Raises:
        ValueError: No images, a path outside the folder, duplicate images or classes, an empty class name, a label that
            is not one of the three values, or shapes that do not match. The message names the value and the fix.
        TypeError: Labels are not int8 (floats and NaN among them).
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray  # Int8 "image class": `validation.py` checks it
    split: tuple[str, ...] | None = None
    root: Path | None = None
    origins: Origins | None = None
    calibration: tuple[bool, ...] | None = None
    texts: Texts | None = None

    def __post_init__(self) -> None:
        validation.check_images(self.images)
        validation.check_classes(self.classes)
        validation.check_labels(self.labels, self.images, self.classes)
        if self.split is not None:
            validation.check_split(self.split, self.images)
        if self.calibration is not None and len(self.calibration) != len(self.images):
            raise ValueError(f"{len(self.calibration)} calibration marks for {len(self.images)} images")
        if self.texts is not None:
            validation.check_texts(self.texts, self.images)
        if self.origins is not None and self.origins.codes.shape != self.labels.shape:
            raise ValueError(f"origins are {self.origins.codes.shape} for {self.labels.shape} labels")
        object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        known = f"{self.known / max(self.labels.size, 1):.1%} known"
        sizes = list(self.part_sizes.items())
        parts = "".join(f", {name} {size}" for name, size in sizes[:MOST_SHOWN])
        parts += f" and {len(sizes) - MOST_SHOWN} more parts" if len(sizes) > MOST_SHOWN else ""
        return f"LabelTable({len(self)} images, {len(self.classes)} classes, {known}{parts})"

    def __getitem__(self, rows: Rows) -> "LabelTable":
        """Return the rows of a slice, of row numbers or of a mask, as a table."""
        chosen = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)]
        if chosen.ndim != 1:
            raise TypeError(
                "choose rows by a slice, a list of row numbers or a mask, such as table[5:6] for one row"
            )
        split = None if self.split is None else tuple(self.split[row] for row in chosen)
        images = tuple(self.images[row] for row in chosen)
        origins = None if self.origins is None else self.origins.rows(chosen)
        marks = None if self.calibration is None else tuple(self.calibration[row] for row in chosen)
        texts = None if self.texts is None else tuple(self.texts[row] for row in chosen)
        return replace(
            self,
            images=images,
            labels=made_read_only(self.labels[chosen]),
            split=split,
            origins=origins,
            calibration=marks,
            texts=texts,
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """Part names in order of first appearance; empty if there is no split."""
        return tuple(dict.fromkeys(self.split or ()))

    @property
    def part_sizes(self) -> dict[str, int]:
        """Number of images of each part, in the order of `parts`."""
        return dict(Counter(self.split or ()))

    def part(self, name: str) -> "LabelTable":
        """Return the images whose part is `name`, or the part that `part_name` takes it for.

        Raises:
            ValueError: There is no split, or no such part; the message names the parts.
        """
        return self[in_part(self.split, name)]

    def path(self, row: int) -> Path:
        """Return the path of a row's image.

        Raises:
            ValueError: The table has no root.
        """
        if self.root is None:
            raise InputError(
                f"where is {self.images[row]!r}? The table has no image folder: give it with ",
                Argument("images", placeholder="FOLDER"),
            )
        return self.root / self.images[row]

    def missing(self) -> tuple[str, ...]:
        """Return the images that are not in the image folder."""
        self.path(0)  # sees that there is a root; a Path for every image would be slow
        return tuple(image for image in self.images if not os.path.isfile(f"{self.root}/{image}"))

    @property
    def known(self) -> int:
        """Number of known labels."""
        return int(np.count_nonzero(self.labels != UNKNOWN))

    @property
    def present(self) -> int:
        """Number of PRESENT labels."""
        return int(np.count_nonzero(self.labels == PRESENT))

    @property
    def absent(self) -> int:
        """Number of ABSENT labels."""
        return int(np.count_nonzero(self.labels == ABSENT))

    @property
    def unknown(self) -> int:
        """Number of UNKNOWN labels."""
        return int(np.count_nonzero(self.labels == UNKNOWN))

    def never_present(self) -> tuple[str, ...]:
        """Return the classes without a PRESENT label, which cannot be learned."""
        ever = (self.labels == PRESENT).any(axis=0)
        return tuple(name for name, is_ever in zip(self.classes, ever, strict=True) if not is_ever)

    def with_labels(self, labels: Int8[np.ndarray, "image class"]) -> "LabelTable":
        """Return the table with other labels; the origin of a changed label is unknown."""
        if self.origins is None or labels.shape != self.labels.shape:
            return replace(self, labels=labels)
        return replace(self, labels=labels, origins=self.origins.only(labels == self.labels))

    def with_origins(self, origins: Origins | None) -> "LabelTable":
        """Return the table with other origins of its labels; unknown labels have none."""
        return replace(self, origins=None if origins is None else origins.only(self.labels != UNKNOWN))

    def with_split(self, split: Sequence[str] | None) -> "LabelTable":
        """Return the table with its images in other parts."""
        return replace(self, split=None if split is None else tuple(split))

    def with_calibration(self, marks: Sequence[bool] | None) -> "LabelTable":
        """Return the table with another calibration set."""
        return replace(self, calibration=None if marks is None else tuple(map(bool, marks)))

    def with_texts(self, texts: Sequence[Sequence[str]] | None) -> "LabelTable":
        """Return the table with other texts, cleaned (`text_cells.py`); one sequence of texts per image."""
        return replace(self, texts=None if texts is None else text_cells.clean("texts", texts))

    def hide(
        self, scheme: str = "uniform", *, part: str | None = None, seed: int = 0, **options: Any
    ) -> "LabelTable":
        """Return a table with labels hidden as in a benchmark; this table is unchanged and remains the ground truth.

        Args:
            scheme: One of `hiding.SCHEMES`.
            part: Part of the split in which to hide labels; None for all. The authors hide in train and keep test
                complete.
            seed: Random seed.
            **options: Options of the scheme: `known=0.1` for uniform, `rates=` for per_class.

        Raises:
            ValueError: The scheme or part does not exist, or an option is missing or not accepted by the scheme.
        """
        from partlabel.data.tables.hiding import hide_labels

        if part is None:
            return self.with_labels(made_read_only(hide_labels(self.labels, scheme, seed=seed, **options)))
        rows = in_part(self.split, part)
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
        """Read a table from a file or folder of any supported format.

        Args:
            path: Annotation file or folder.
            images: Image folder. If given, every image must exist in it.
            format: One of `readers.names()`; `auto` detects the format.
            absent: Meaning of a class that is not mentioned: `unknown` (not annotated) or `negative` (annotated as
                absent). Required by formats that list only present classes.
            missing: `keep` skips the check that the images exist.
            **options: Options of the reader.

        Raises:
            ValueError: The file cannot be parsed; the message names file, row or key, class and fix.
            FileNotFoundError: The file, the image folder or images in it do not exist.
        """
        from partlabel.data import readers

        table = readers.read(Path(path), _folder(images), format, absent, options)
        if images is not None and missing == "refuse":
            table.check_files(path)
        return table

    def check_files(self, source: str | Path = "the label table") -> None:
        """Check that every image exists.

        Raises:
            FileNotFoundError: Images are missing; the message gives their number, the first few, and the folder
                searched.
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
        """Write the table as `.csv` (1 / 0 / empty) or `.parquet` (nullable booleans); `read` returns the same table.

        If origins are recorded, each class is followed by a column `<class>:source`; if there is a calibration set, the
        column `calibration` is 1 for its images and 0 for the others; texts of an image are lines of a cell
        of the column `text`.

        The file is written under a temporary name and renamed, so that readers never see an incomplete file.

        Raises:
            ValueError: The suffix is another.
        """
        from partlabel.data.tables import io

        return io.write_wide(io.frame(self), Path(path))


def read_only(matrix: np.ndarray) -> np.ndarray:
    """Return the matrix itself if it cannot be modified, else a copy."""
    if matrix.flags.writeable or matrix.base is not None or not matrix.flags.c_contiguous:
        matrix = np.array(matrix, order="C")
        matrix.flags.writeable = False
    return matrix


def made_read_only(matrix: np.ndarray) -> np.ndarray:
    """Make a matrix without other references read-only, so that a table need not copy it."""
    matrix.flags.writeable = False
    return matrix


def _folder(images: str | Path | None) -> Path | None:
    if images is None:
        return None
    if not Path(images).is_dir():
        raise FileNotFoundError(f"there is no image folder {images}; give another one: images= (--images)")
    return Path(images)
