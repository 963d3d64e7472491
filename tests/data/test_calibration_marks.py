"""The column `calibration` of a wide table: no class, read, kept and written."""

from pathlib import Path

import numpy as np
import pytest

from partlabel.core.labels import UNKNOWN
from partlabel.data.readers import wide_csv
from partlabel.data.tables.filled import FilledTable, fill
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.provenance import Origins

IMAGES = ("a.jpg", "b.jpg", "c.jpg")
LABELS = np.array([[1, 0], [UNKNOWN, 1], [0, 0]], np.int8)
MARKS = (True, False, True)


def marked() -> LabelTable:
    codes = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)
    origins = Origins(codes, ("", "human"))
    return LabelTable(
        IMAGES, ("cat", "dog"), LABELS, ("train", "val", "train"), origins=origins, calibration=MARKS
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_saved_table_keeps_its_calibration_set_and_takes_it_for_no_class(
    tmp_path: Path, suffix: str
) -> None:
    read = LabelTable.read(marked().save(tmp_path / f"t{suffix}"))
    assert read.classes == ("cat", "dog")
    assert read.calibration == MARKS
    assert read.split == ("train", "val", "train")
    assert (read.labels == LABELS).all()
    assert read.origins is not None
    assert (read.origins.of(0, 0), read.origins.of(0, 1), read.origins.of(1, 1)) == ("human", "", "human")


def test_blank_zero_and_false_are_no_marks_and_rows_of_one_image_are_taken_together(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,cat,calibration\na.jpg,1,1\nb.jpg,0,\nc.jpg,,false\na.jpg,,\n")
    table = LabelTable.read(tmp_path / "t.csv")
    assert (table.images, table.classes, table.calibration) == (IMAGES, ("cat",), (True, False, False))
    negative = LabelTable.read(tmp_path / "t.csv", absent="negative")
    assert negative.calibration == (True, False, False)
    [first, second] = wide_csv.tables(tmp_path / "t.csv", 2)
    assert (first.calibration, second.calibration) == ((True, False), (False, False))


def test_a_mark_that_is_none_is_refused_by_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,cat,calibration\na.jpg,1,yes\n")
    with pytest.raises(ValueError, match=r"'calibration' marks .* 'yes' in row 1 \(a.jpg\)"):
        LabelTable.read(tmp_path / "t.csv")


def test_marks_go_with_their_images() -> None:
    table = marked()
    assert table[[2, 1]].calibration == (True, False)
    assert table.part("train").calibration == (True, True)
    assert table.with_labels(np.zeros((3, 2), np.int8)).calibration == MARKS
    assert table.hide(known=0.5).calibration == MARKS
    assert table.with_calibration(None).calibration is None
    with pytest.raises(ValueError, match="2 calibration marks for 3 images"):
        table.with_calibration([True, False])


def test_a_filled_table_keeps_them(tmp_path: Path) -> None:
    filled = fill(marked(), np.full((3, 2), 0.7, np.float32), accept=0.5)
    read = FilledTable.load(filled.save(tmp_path / "f.csv"))
    assert read.table.calibration == MARKS
    assert read.probability[1, 0] == pytest.approx(0.7)
    assert LabelTable.read(tmp_path / "f.csv").classes == ("cat", "dog")


def test_no_class_can_be_called_calibration() -> None:
    with pytest.raises(
        ValueError, match="'calibration', is the name of a column that is reserved in the table's file"
    ):
        LabelTable(("a.jpg",), ("calibration",), np.zeros((1, 1), np.int8))
