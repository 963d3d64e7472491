"""Open Images image-level labels (Kuznetsova et al., 2020): one row per label, verified by people or made by a machine.

`ImageID,Source,LabelName,Confidence`. People verified a few labels per image as 1 (present) or 0 (absent); a label
without a row is unknown. Machine rows have a confidence in between and are ignored unless `machine_from` gives the
threshold from which they are present; they never mark a class as absent.
"""

import csv
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.core.text_files import lines_of
from partlabel.data.readers import _columns
from partlabel.data.readers._build import build_table
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.provenance import Origins

HEADER = ("ImageID", "Source", "LabelName", "Confidence")
ABSENCE = {
    "unknown": "absent is what people verified as absent (Confidence 0); a label without a row is unknown",
    "negative": "absent is what people verified as absent (Confidence 0), and every label without a row, "
    "although it was not verified; "
    "labels on which people disagree, and machine labels below the confidence threshold, are unknown",
}
_PARTS = {"train": "train", "validation": "val", "test": "test"}


def recognises(path: Path) -> bool:
    """Return whether a file is CSV with the columns ImageID, LabelName and Confidence."""
    return _columns.is_open_images(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    descriptions: str | Path | None = None,
    machine: str | Path | None = None,
    machine_from: float | None = None,
) -> LabelTable:
    """Read the labels of one part, or of a folder with several.

    Args:
        path: Label file, such as `train-annotations-human-imagelabels.csv`; or the folder of several, which become the
            parts `train`, `val` and `test`.
        images: Image folder; images are named `<ImageID>.jpg`.
        absent: `negative` makes a label without a row absent. In Open Images it is unknown.
        classes: Names or ids (`/m/0bt9lr`) of the classes, in their order; by default all that occur, sorted by name.
            Recommended for many classes: a table of all 20,000 is large.
        descriptions: File that maps ids to names; by default `*class-descriptions*.csv` beside the labels. Without one,
            classes are named by their ids.
        machine: Additional file of machine labels. Human labels take precedence.
        machine_from: Confidence from which machine labels are present; they are left out by default.

    Raises:
        ValueError: A human row has a confidence other than 0 or 1, a confidence is not a number from 0 to 1, a class
            does not exist, `machine` is given without `machine_from`, or a part of a folder has two files.

    Warns:
        UserWarning: Human labels disagree; these stay unknown.
    """
    if machine is not None and machine_from is None:
        raise InputError(
            f"{path}: machine labels need a confidence threshold; give it with ",
            ReaderArgument("machine_from", 0.8),
        )
    names = _names(path, descriptions)
    wanted = None if classes is None else {*classes, *(mid for mid, name in names.items() if name in classes)}
    rows, weak = _all_rows(path, machine, machine_from, wanted, keep_weak=absent == "negative")
    column_of, columns = _columns_of(path, rows["label"].unique().to_list(), names, classes)
    listed = (
        rows.unique("image", keep="first", maintain_order=True).select("image", "part").with_row_index("row")
    )
    labels = np.full((len(listed), len(columns)), UNKNOWN, np.int8)
    joined, row, column = _cells(rows, listed, column_of)
    human = joined["human"].to_numpy()
    unsure = _mark(path, labels, row, column, joined["confidence"].to_numpy(), human)
    unsure[_cells(weak, listed, column_of)[1:]] = True
    origins = None if machine_from is None else _origins(labels.shape, row, column, human)
    split = listed["part"].to_list() if path.is_dir() else None
    return build_table(
        path,
        listed["image"].to_list(),
        columns,
        labels,
        absent=absent,
        split=split,
        root=images,
        origins=origins,
        unsure=unsure,
        suffix=".jpg",
    )


def _all_rows(
    path: Path,
    machine: str | Path | None,
    machine_from: float | None,
    wanted: Collection[str] | None,
    keep_weak: bool,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that count from all files, and the machine rows below the threshold, if requested."""
    rows = pl.concat(
        [_rows(file, part, machine_from, wanted, keep_weak) for part, file in _files(path).items()]
    )
    if machine is not None:
        more = _rows(Path(machine), "", machine_from, wanted, keep_weak)
        rows = pl.concat([rows, more.join(rows.filter("counts"), on="image", how="semi")])
    return rows.filter("counts"), rows.filter(~pl.col("counts"))


def _cells(
    rows: pl.DataFrame, listed: pl.DataFrame, column_of: dict[str, int]
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Return the rows of the listed images and classes, with the table row and column of each."""
    joined = rows.filter(pl.col("label").is_in(list(column_of))).join(
        listed.select("image", "row"), on="image"
    )
    column = joined["label"].replace_strict(column_of, return_dtype=pl.Int64)
    return joined, joined["row"].cast(pl.Int64).to_numpy(), column.to_numpy()


def _origins(shape: tuple[int, ...], row: np.ndarray, column: np.ndarray, human: np.ndarray) -> Origins:
    """Return the origins of labels, human or machine; human labels take precedence."""
    codes = np.zeros(shape, np.uint8)
    codes[row[~human], column[~human]] = 1
    codes[row[human], column[human]] = 2
    return Origins(codes, ("", "open_images:machine", "open_images:human"))


def _files(path: Path) -> dict[str, Path]:
    """Return the label file of each part."""
    if path.is_file():
        return {"": path}
    found = {
        part: sorted(path.glob(f"*{name}-annotations-human-imagelabels.csv")) for name, part in _PARTS.items()
    }
    if not any(found.values()):
        raise ValueError(
            f"{path}: no file in this folder is named train-annotations-human-imagelabels.csv or similar"
        )
    for part, files in found.items():
        if len(files) > 1:
            listed = some(file.name for file in files)
            raise ValueError(f"{path}: part {part!r} has several files: {listed}; keep one in this folder")
    return {part: files[0] for part, files in found.items() if files}


def _rows(
    file: Path, part: str, machine_from: float | None, wanted: Collection[str] | None, keep_weak: bool
) -> pl.DataFrame:
    """Return image, part, label, human or machine, confidence, and whether the row counts.

    Of labels that are not wanted, one row per image is kept, so that the image is. The largest file has 57 million
    rows: they are processed in blocks, and never as Python strings.
    """
    header = _columns.header(file)
    at = [_columns.column_at(file, header, name) for name in HEADER]
    kept, line = [], 2
    for columns in _columns.blocks(file, at, header):
        words = [pl.Series(column).str.strip_chars() for column in columns]
        rows = pl.DataFrame(dict(zip(("image", "source", "label", "written"), words, strict=True)))
        rows = rows.with_columns(
            human=pl.col("source") != "machine", confidence=pl.col("written").cast(pl.Float32, strict=False)
        )
        _refuse(file, line, rows)
        line += len(rows)
        counts = pl.col("human") | (
            pl.lit(False) if machine_from is None else pl.col("confidence") >= machine_from
        )
        rows = rows.select("image", "label", "human", "confidence", counts=counts)
        rows = rows if keep_weak else rows.filter("counts")
        if wanted is not None:
            first = pl.col("image").is_first_distinct().over("counts")
            rows = rows.filter(pl.col("label").is_in(list(wanted)) | first)
        kept.append(rows)
    if not kept:
        raise ValueError(f"{file}: no rows")
    return pl.concat(kept).with_columns(part=pl.lit(part, pl.Categorical))


def _refuse(file: Path, line: int, rows: pl.DataFrame) -> None:
    """Check that confidences are numbers, 0 or 1 if human, and that no cell is empty."""
    number = pl.col("confidence")
    wrong = rows.with_row_index("line", offset=line).filter(
        (pl.col("image") == "")
        | (pl.col("label") == "")
        | number.is_null()
        | ~number.is_between(0, 1)
        | (pl.col("human") & ~number.is_in([0.0, 1.0]))
    )
    if len(wrong):
        first = wrong.row(0, named=True)
        raise ValueError(
            f"{file}, line {first['line']}: image {first['image']!r}, label {first['label']!r}, confidence "
            f"{first['written']!r}: a human confidence is 1 or 0, a machine's (Source 'machine') a number from 0 to 1"
            f"{f'; {len(wrong) - 1} more rows are wrong' if len(wrong) > 1 else ''}"
        )


def _mark(
    path: Path,
    labels: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    confidence: np.ndarray,
    human: np.ndarray,
) -> np.ndarray:
    """Write machine labels, then human labels; return the cells with contradicting human labels, which stay unknown."""
    labels[row[~human], column[~human]] = PRESENT
    yes, no = human & (confidence == 1), human & (confidence == 0)
    labels[row[no], column[no]] = ABSENT
    labels[row[yes], column[yes]] = PRESENT
    disputed = np.zeros(labels.shape, bool)
    both = np.intersect1d(*(row[those] * labels.shape[1] + column[those] for those in (yes, no)))
    if len(both):
        labels.flat[both] = UNKNOWN
        disputed.flat[both] = True
        warnings.warn(f"{path}: people disagree on {len(both)} label(s); they stay unknown", stacklevel=5)
    return disputed


def _names(path: Path, descriptions: str | Path | None) -> dict[str, str]:
    """Return the name of each id; ids with the same name have the id appended."""
    file = None if descriptions is None else Path(descriptions)
    if file is None:
        folder = path if path.is_dir() else path.parent
        beside = sorted(folder.glob("*class-descriptions*.csv"))
        if len(beside) > 1:
            raise InputError(
                f"{path}: several files give names to classes: {some(each.name for each in beside)}; select one with ",
                ReaderArgument("descriptions", placeholder="FILE"),
            )
        file = beside[0] if beside else None
    if file is None:
        return {}
    lines = _columns.guarded(
        file, lambda: list(csv.reader(lines_of(file)))
    )  # some names have commas, in quotes
    pairs = [line for line in lines if line]
    for number, line in enumerate(pairs, start=1):
        if len(line) != 2 or not line[0].strip() or not line[1].strip():
            raise ValueError(
                f"{file}, line {number}: {','.join(line)!r} is not an id and a name, such as /m/0bt9lr,Dog"
            )
    named = {mid.strip(): name.strip() for mid, name in pairs if mid.strip() != "LabelName"}
    often = Counter(named.values())
    return {mid: name if often[name] == 1 else f"{name} ({mid})" for mid, name in named.items()}


def _columns_of(
    path: Path, occur: Sequence[str], names: dict[str, str], classes: Sequence[str] | None
) -> tuple[dict[str, int], list[str]]:
    """Return the column of each id, and the names of the columns."""
    if classes is None:
        ids = sorted(occur, key=lambda mid: (names.get(mid, mid), mid))
    else:
        id_of = {mid: mid for mid in (*occur, *names)} | {name: mid for mid, name in names.items()}
        for name in classes:
            if name not in id_of:
                raise ValueError(f"{path}: there is no class {name!r}{did_you_mean(name, id_of)}")
        ids = [id_of[name] for name in classes]
    return {mid: position for position, mid in enumerate(ids)}, [names.get(mid, mid) for mid in ids]
