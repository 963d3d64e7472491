"""Texts of photos in a label table: no class, read, cleaned, kept and written."""

from pathlib import Path

import numpy as np
import pytest

from partlabel.core.labels import UNKNOWN
from partlabel.data.readers import understood, wide_csv
from partlabel.data.tables.filled import FilledTable, fill
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import aligned
from partlabel.data.tables.text_cells import MOST_CHARACTERS, cleaned

IMAGES = ("a.jpg", "b.jpg", "c.jpg")
LABELS = np.array([[1, 0], [UNKNOWN, 1], [0, 0]], np.int8)
TEXTS = (('a dog, on a "mat"', "Rex"), (), ("zwei Katzen über Eck",))


def with_texts() -> LabelTable:
    return LabelTable(IMAGES, ("cat", "dog"), LABELS, ("train", "val", "train"), texts=TEXTS)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_saved_table_keeps_its_texts_and_takes_them_for_no_class(tmp_path: Path, suffix: str) -> None:
    read = LabelTable.read(with_texts().save(tmp_path / f"t{suffix}"))
    assert (read.classes, read.texts, read.split) == (("cat", "dog"), TEXTS, ("train", "val", "train"))
    assert (read.labels == LABELS).all()
    [first, second] = wide_csv.tables(tmp_path / f"t{suffix}", 2)
    assert (first.texts, second.texts) == (TEXTS[:2], TEXTS[2:])


def test_a_table_without_any_text_has_no_column_of_texts(tmp_path: Path) -> None:
    table = with_texts().with_texts([[], [], ["2041"]])
    assert table.texts == ((), (), ())
    assert LabelTable.read(table.save(tmp_path / "t.csv")).texts is None


def test_a_class_may_be_called_text_and_texts_are_then_in_a_column_of_another_name(tmp_path: Path) -> None:
    table = LabelTable(IMAGES, ("text", "title"), LABELS, texts=TEXTS)
    read = LabelTable.read(table.save(tmp_path / "t.csv"))
    assert (read.classes, read.texts) == (("text", "title"), TEXTS)
    everything = LabelTable(
        IMAGES, ("text", "caption", "description", "title", "alt"), np.ones((3, 5), np.int8)
    )
    with pytest.raises(ValueError, match="no name for their column"):
        everything.with_texts(TEXTS).save(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["text", "Caption", "captions", "DESCRIPTION", "title", "alt", "alt_text"])
def test_columns_with_usual_names_are_texts(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"image,{name},cat\na.jpg,a cat asleep,1\nb.jpg,,0\n")
    table = LabelTable.read(tmp_path / "t.csv")
    assert (table.classes, table.texts) == (("cat",), (("a cat asleep",), ()))
    told = understood("wide_csv", tmp_path / "t.csv", None, {})
    assert told is not None and (told.texts, told.left_out) == ((name,), [])


@pytest.mark.parametrize("cells", [("1", "0"), ("", ""), ("true", ""), ("NaN", "1.0")])
def test_a_column_called_title_with_labels_in_its_cells_is_a_class(
    tmp_path: Path, cells: tuple[str, ...]
) -> None:
    (tmp_path / "t.csv").write_text(f"image,title,cat\na.jpg,{cells[0]},1\nb.jpg,{cells[1]},0\n")
    table = LabelTable.read(tmp_path / "t.csv")
    assert (table.classes, table.texts) == (("title", "cat"), None)


@pytest.mark.parametrize(
    "cells", [("12.5", "7"), ("https://a.org/1", "www.a.org/2"), ("yes", "no"), ("1", "x")]
)
def test_numbers_addresses_and_words_for_labels_are_no_texts(tmp_path: Path, cells: tuple[str, ...]) -> None:
    (tmp_path / "t.csv").write_text(f"image,text,cat\na.jpg,{cells[0]},1\nb.jpg,{cells[1]},0\n")
    with pytest.raises(ValueError, match="'text'"):
        LabelTable.read(tmp_path / "t.csv")


def test_texts_of_several_columns_and_rows_of_an_image_are_united(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        'image,title,cat,caption\na.jpg,Tom,1,"asleep\n\nat home"\nb.jpg,,0,"a cup"\na.jpg,Tom,,asleep\n'
    )
    with pytest.warns(UserWarning, match="merged"):
        table = LabelTable.read(tmp_path / "t.csv")
    assert table.texts == (("Tom", "asleep", "at home"), ("a cup",))


def test_texts_go_with_their_images() -> None:
    table = with_texts()
    assert table[[2, 1]].texts == (TEXTS[2], ())
    assert table.part("train").texts == (TEXTS[0], TEXTS[2])
    assert table.with_labels(np.zeros((3, 2), np.int8)).texts == TEXTS
    assert table.with_split(None).texts == TEXTS
    assert table.hide("uniform", known=0.5).texts == TEXTS
    assert aligned(table, ("dog", "cat")).texts == TEXTS
    assert FilledTable.of(table)[1:].aligned(("dog", "cat")).table.texts == TEXTS[1:]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_filled_table_keeps_its_texts(tmp_path: Path, suffix: str) -> None:
    filled = fill(with_texts(), np.full((3, 2), 0.9, np.float32), accept=0.8)
    read = FilledTable.load(filled.save(tmp_path / f"t{suffix}"))
    assert read.table.texts == TEXTS
    assert np.isclose(read.probability[1, 0], 0.9)


def test_texts_are_cleaned() -> None:
    said = [
        " a\tdog\x00 \x85",
        "a dog",
        "12 34",
        "nan",
        "https://a.org/x",
        "",
        "two\r\nlines",
        "caf\udce9",
        "🐕",
    ]
    assert cleaned(said) == (("a dog", "two", "lines", "caf", "🐕"), 0)
    long, cut = cleaned(["word " * 3000])
    assert (len(long[0]), cut) == (MOST_CHARACTERS - 1, 1)
    with pytest.warns(UserWarning, match="1 text.*10,000 characters"):
        with_texts().with_texts([["word " * 3000], [], []])


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ((("a",), ()), "texts of 2 images for 3"),
        ((("two\nlines",), (), ()), "control characters"),
        ((("12",), (), ()), "no words"),
        ((("NaN",), (), ()), "no words"),
        ((("caf\udce9",), (), ()), "half of a character"),
    ],
)
def test_a_table_refuses_texts_that_its_file_cannot_hold(
    texts: tuple[tuple[str, ...], ...], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        LabelTable(IMAGES, ("cat", "dog"), LABELS, texts=texts)


def test_a_table_refuses_texts_that_are_not_tuples_of_strings() -> None:
    for texts in (["a", "b", "c"], ("a", "b", "c"), ((1,), (), ())):
        with pytest.raises(TypeError, match="text"):
            LabelTable(IMAGES, ("cat", "dog"), LABELS, texts=texts)  # type: ignore[arg-type]


def test_a_long_table_keeps_the_texts_of_all_rows_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "image,label,caption\na.jpg,cat,a cat\nb.jpg,dog,\na.jpg,dog,a cat\na.jpg,cup,tea\n"
    )
    table = LabelTable.read(tmp_path / "t.csv", absent="unknown")
    assert (table.classes, table.texts) == (("cat", "cup", "dog"), (("a cat", "tea"), ()))
    told = understood("long_csv", tmp_path / "t.csv", None, {})
    assert told is not None and (told.texts, told.left_out) == (("caption",), [])


def test_a_column_of_texts_does_not_decide_what_0_and_1_in_a_column_label_mean(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,label,caption\na.jpg,0,a cat\nb.jpg,1,a dog\n")
    with pytest.raises(ValueError, match="what do 0 and 1 in column 'label' mean"):
        LabelTable.read(tmp_path / "t.csv")
