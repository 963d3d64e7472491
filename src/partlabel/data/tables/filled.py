"""A label table with unknown labels filled by a model: label, probability and source of each cell.

On disk each class `c` has three columns: `c` (1 / 0 / empty), `c:p` (the probability; empty for human labels) and
`c:source` (`human`, `<model>@<run>`; empty for unknown labels). `LabelTable.read` reads only the first of them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Float32, Float64, Int16

from partlabel.core.files import atomic_write
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables import io
from partlabel.data.tables.label_table import LabelTable, Rows, read_only
from partlabel.data.tables.provenance import HUMAN, NOT_MENTIONED, Origins
from partlabel.data.tables.validation import SOURCE

NOBODY = ""


@dataclass(frozen=True, eq=False, repr=False)
class FilledTable:
    """A table after filling.

    Attributes:
        table: Labels: the known ones unchanged, and the confident predictions; once filled, with origins.
        probability: Probability that the class is present, in [0, 1]; NaN if the label is not from a model.
        source: Source of each label, as an index into `sources`.
        sources: `sources[0]` is no source (empty), `sources[1]` is `human`, models follow.
    """

    table: LabelTable
    probability: Float32[np.ndarray, "image class"]
    source: Int16[np.ndarray, "image class"]
    sources: tuple[str, ...] = (NOBODY, HUMAN)

    def __post_init__(self) -> None:
        for name in ("probability", "source"):
            matrix = getattr(self, name)
            if matrix.shape != self.table.labels.shape:
                raise ValueError(f"{name} is {matrix.shape} for a table of {self.table.labels.shape} labels")
            object.__setattr__(self, name, read_only(matrix))

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{int((self.source == number).sum())} by {name or 'no recorded source'}"
            for number, name in enumerate(self.sources)
        )
        return f"FilledTable({self.table!r}, labels {counts})"

    @classmethod
    def of(cls, table: LabelTable) -> "FilledTable":
        """Return a table before filling: known labels are human, unless they have another origin."""
        source = (table.labels != UNKNOWN).astype(np.int16)
        sources: tuple[str, ...] = (NOBODY, HUMAN)
        if table.origins is not None:
            sources += tuple(name for name in table.origins.names if name not in sources)
            number = np.array([sources.index(name) for name in table.origins.names], np.int16)
            recorded = number[table.origins.codes]
            source = np.where(recorded > 0, recorded, source)
        return cls(table, np.full(table.labels.shape, np.nan, np.float32), source, sources)

    def __getitem__(self, rows: Rows) -> "FilledTable":
        """Return some rows, as in `LabelTable`."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        table = self.table[rows]
        return FilledTable(table, self.probability[chosen], self.source[chosen], self.sources)

    def aligned(self, classes: Sequence[str]) -> "FilledTable":
        """Return the table with its columns in the order of a model's classes.

        Raises:
            ValueError: A class is in one and not in the other.
        """
        from partlabel.data.tables.splits import aligned

        table = aligned(self.table, classes)
        place = {name: at for at, name in enumerate(self.table.classes)}
        order = [place[name] for name in table.classes]
        return FilledTable(table, self.probability[:, order], self.source[:, order], self.sources)

    def source_of(self, row: int, column: int) -> str:
        """Return the source of a label."""
        return self.sources[self.source[row, column]]

    def save(self, path: str | Path, image_column: str = io.IMAGE) -> Path:
        """Write `.csv` or `.parquet`, which `load` reads, or `.jsonl`, one image per line, for other programs.

        Args:
            path: Target file.
            image_column: Name of the column or key of the images.

        Raises:
            ValueError: The suffix is another.
        """
        path = Path(path)
        if path.suffix.lower() != ".jsonl":
            return io.write_wide(self.frame().rename({io.IMAGE: image_column}), path)
        with atomic_write(path) as aside, aside.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines(image_column))
        return path

    @staticmethod
    def is_in(path: str | Path, separator: str | None = None) -> bool:
        """Return whether a file has the probability columns that `save` writes."""
        from partlabel.data.readers import _columns

        path = Path(path)
        if not _columns.is_table(path):
            return False
        names = set(_columns.header(path, separator))
        return any(f"{name}:p" in names for name in names)

    @classmethod
    def load(cls, path: str | Path, images: str | Path | None = None, **options: Any) -> "FilledTable":
        """Read the output of `save`; a wide table without probabilities and sources is read as one before filling.

        Args:
            path: `.csv`, `.tsv` or `.parquet`.
            images: Image folder.
            **options: Options of `LabelTable.read`.

        Raises:
            ValueError: A probability is not a number in [0, 1], or an image has two rows.
        """
        from partlabel.data.readers import _columns

        path = Path(path)
        table = LabelTable.read(path, images, format="wide_csv", **options)
        separator = options.get("separator")
        names = _columns.header(path, separator)
        extra = [at for at, name in enumerate(names) if at and name.endswith((":p", SOURCE))]
        found = _columns.columns(path, [0, *extra], names, separator)
        if len(found[0]) != len(table):
            raise ValueError(
                f"{path}: {len(found[0])} rows for {len(table)} images; a filled table has one row each"
            )
        blank = cls.of(table)
        probability, source, sources = blank.probability.copy(), blank.source.copy(), list(blank.sources)
        place = {names[at]: found_at for found_at, at in enumerate(extra, start=1)}
        for position, name in enumerate(table.classes):
            if f"{name}:p" in place:
                probability[:, position] = _probabilities(path, name, found[place[f"{name}:p"]])
            if f"{name}{SOURCE}" in place:
                written = _columns.strings(found[place[f"{name}{SOURCE}"]])
                source[:, position] = _numbered(written, sources, source[:, position])
        if NOT_MENTIONED in blank.sources:  # absent by the rule, whatever was said of the blank
            by_rule = blank.source == blank.sources.index(NOT_MENTIONED)
            probability[by_rule], source[by_rule] = np.nan, blank.source[by_rule]
        return cls(table, probability, source, tuple(sources))

    def frame(self) -> pl.DataFrame:
        """Return the data frame that `save` writes: three columns per class."""
        plain = io.frame(self.table.with_origins(None)).get_columns()
        head, classes = (
            plain[: -len(self.table.classes) or len(plain)],
            plain[len(plain) - len(self.table.classes) :],
        )
        sources = io.sources(self.table.classes, self.source, self.sources)
        columns = list(head)
        for position, (labels, from_) in enumerate(zip(classes, sources, strict=True)):
            p = pl.Series(
                f"{labels.name}:p", np.ascontiguousarray(self.probability[:, position]), nan_to_null=True
            )
            columns += [labels, p, from_]
        return pl.DataFrame(columns)

    def _lines(self, image_key: str) -> Iterator[dict[str, Any]]:
        words = {PRESENT: 1, ABSENT: 0, UNKNOWN: None}
        for row, image in enumerate(self.table.images):
            labels = {
                name: {
                    "label": words[int(self.table.labels[row, column])],
                    "p": _number(self.probability[row, column]),
                    "source": self.source_of(row, column) or None,
                }
                for column, name in enumerate(self.table.classes)
            }
            split = {} if self.table.split is None else {"split": self.table.split[row]}
            texts = {} if self.table.texts is None else {"text": list(self.table.texts[row])}
            yield {image_key: image, **split, "labels": labels, **texts}


def fill(
    table: LabelTable | FilledTable,
    probability: Float[np.ndarray, "image class"],
    accept: float | Sequence[float] | None = None,
    reject: float | Sequence[float] | None = None,
    model: str = "model@run",
) -> FilledTable:
    """Assign every unknown label a probability, and a label if it passes a threshold. Known labels never change.

    Args:
        table: Known labels; in a table that was filled before, sources are kept, and its unknown labels are filled
            again.
        probability: The model's probability that the class is present; only those of unknown labels are used.
        accept: Unknown labels with at least this probability become PRESENT; one value, or one per class. None makes no
            label PRESENT, and infinity none of a class.
        reject: Unknown labels with at most this probability become ABSENT, as `accept`; None makes no label ABSENT.
        model: Source of the new labels: `<model>@<run>`.

    Raises:
        ValueError: A probability of an unknown label is not in [0, 1] (the message names image and class), the shape
            does not match, the thresholds are not 0 <= reject < accept <= 1, or the model's name is empty or `human`.
    """
    before = table if isinstance(table, FilledTable) else FilledTable.of(table)
    labels = before.table.labels
    blank = labels == UNKNOWN
    from_, up_to = _thresholds(before.table.classes, accept, reject)
    _check_probability(before.table, probability, blank)
    if not model.strip() or model == HUMAN:
        raise ValueError(
            f"model={model!r} does not tell a model's labels from a person's: name it <model>@<run>"
        )
    from_, up_to = from_.astype(probability.dtype), up_to.astype(probability.dtype)
    sure = np.where(blank & (probability >= from_), np.int8(PRESENT), labels)
    sure = np.where(blank & (probability <= up_to), np.int8(ABSENT), sure)
    sources = before.sources if model in before.sources else (*before.sources, model)
    source = np.where(blank, np.int16(sources.index(model)), before.source)
    return FilledTable(
        before.table.with_labels(sure).with_origins(Origins.of_numbers(source, sources)),
        np.where(blank, probability.astype(np.float32), before.probability),
        source,
        sources,
    )


def _thresholds(
    classes: Sequence[str], accept: float | Sequence[float] | None, reject: float | Sequence[float] | None
) -> tuple[Float64[np.ndarray, " class"], Float64[np.ndarray, " class"]]:
    """Return the accept and reject thresholds of each class; 2 and -1 if there are none."""
    highest, lowest = (1 if accept is None else accept), (0 if reject is None else reject)
    high, low = (np.broadcast_to(np.asarray(each, np.float64), len(classes)) for each in (highest, lowest))
    wrong = ~((low >= 0) & (low < high) & ((high <= 1) | np.isinf(high)))
    if wrong.any():
        first = int(wrong.argmax())
        listed = [
            None if given is None else float(each[first]) for given, each in ((accept, high), (reject, low))
        ]
        of = f" for class {classes[first]!r}" if np.ndim(highest) or np.ndim(lowest) else ""
        raise ValueError(
            f"accept={listed[0]} and reject={listed[1]}{of}: thresholds are 0 <= reject < accept <= 1"
        )
    return (high if accept is not None else high + 1), (low if reject is not None else low - 1)


def _check_probability(table: LabelTable, probability: np.ndarray, blank: np.ndarray) -> None:
    if probability.shape != blank.shape:
        raise ValueError(f"probabilities are {probability.shape} for a table of {blank.shape} labels")
    wrong = blank & ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"{int(wrong.sum())} probabilities are not in [0, 1]; the first is {probability[row, column]} for image "
            f"{table.images[row]!r}, class {table.classes[column]!r}; give probabilities, not logits"
        )


def _probabilities(path: Path, name: str, column: Any) -> Float32[np.ndarray, "image"]:
    words = pl.Series(column.cast("string").fill_null(""))
    numbers = words.replace("", None).cast(pl.Float32, strict=False)
    wrong = ((words != "") & (numbers.is_null() | ~numbers.is_between(0, 1))).arg_true().to_list()
    if wrong:
        raise ValueError(
            f"{path}: column '{name}:p', row {wrong[0] + 1}: {words[wrong[0]]!r} is not a probability in [0, 1]"
        )
    return numbers.fill_null(np.nan).to_numpy()


def _numbered(written: list[str], sources: list[str], default: np.ndarray) -> np.ndarray:
    """Convert names to indices into `sources`, appending new ones; known labels without a name are human."""
    sources += sorted(set(written) - set(sources))
    number = {name: position for position, name in enumerate(sources)}
    numbers = np.fromiter((number[name] for name in written), np.int16, len(written))
    return np.where(numbers == 0, default, numbers)


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(str(value))
