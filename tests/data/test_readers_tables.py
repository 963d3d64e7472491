"""Wide and long CSV: what each way of writing a label means, and the messages for what cannot be read."""

import re

import numpy as np
import polars as pl
import pytest

from partlabel import LabelTable
from partlabel.data import readers
from partlabel.data.readers import _columns, wide_csv

pytestmark = pytest.mark.filterwarnings("ignore:.*never present")


def file(folder, text, name="t.csv"):
    path = folder / name
    path.write_text(text)
    return path


def read(folder, text, **options):
    return LabelTable.read(file(folder, text), **options)


def test_every_way_to_write_a_label(tmp_path):
    cells = {
        1: ["1", "1.0", "true", "True", "TRUE", " 1 "],
        0: ["0", "0.0", "false", "False"],
        -1: ["", "nan", "NaN", "NA", "null", " "],
    }
    rows = [(code, cell) for code, ways in cells.items() for cell in ways]
    table = read(
        tmp_path, "image,dog\n" + "".join(f"{row}.jpg,{cell}\n" for row, (_, cell) in enumerate(rows))
    )
    assert table.labels[:, 0].tolist() == [code for code, _ in rows]


def test_other_columns_are_classes_in_their_order(tmp_path):
    table = read(tmp_path, "split,dog,image,cat\ntrain,1,a.jpg,\ntest,0,b.jpg,1\n")
    assert (table.images, table.classes, table.split) == (
        ("a.jpg", "b.jpg"),
        ("dog", "cat"),
        ("train", "test"),
    )
    assert table.labels.tolist() == [[1, -1], [0, 1]]
    assert table.root == tmp_path


def test_image_names_stay_text(tmp_path):
    assert read(tmp_path, "image,dog\n000005,1\nnan,0\nNULL,0\n").images == ("000005", "nan", "NULL")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_read_a_few_rows_at_a_time_is_the_same(tmp_path, monkeypatch, suffix):
    labels = np.random.RandomState(0).randint(-1, 2, (40, 3)).astype(np.int8)
    split = tuple("train" if row % 3 else "test" for row in range(40))
    whole = LabelTable(tuple(f"{row}.jpg" for row in range(40)), ("a", "b", "c"), labels, split)
    path = whole.save(tmp_path / f"t.{suffix}")
    monkeypatch.setattr(_columns, "_BYTES", 64)
    monkeypatch.setattr(_columns, "_CELLS", 20)
    assert len(list(_columns.blocks(path, [0], ["image", "split", *whole.classes]))) > 5
    for rows in (1, 7, 100):
        found = list(wide_csv.tables(path, rows))
        assert [len(table) for table in found] == [rows] * (40 // rows) + [40 % rows] * (40 % rows > 0)
        np.testing.assert_array_equal(np.concatenate([table.labels for table in found]), labels)
        assert sum((table.images for table in found), ()) == whole.images
        assert sum((table.split for table in found), ()) == split
    read = LabelTable.read(path)
    assert (read.images, read.classes, read.split) == (whole.images, whole.classes, split)
    np.testing.assert_array_equal(read.labels, labels)


def test_a_wrong_cell_far_down_is_named_by_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(_columns, "_BYTES", 64)
    text = "image,dog,cat\n" + "".join(f"{row}.jpg,1,{'?' if row in (20, 35) else ''}\n" for row in range(40))
    with pytest.raises(
        ValueError, match=r"class 'cat' has 2 cell\(s\).*row 21 \(20\.jpg\): '\?', row 36 \(35"
    ):
        read(tmp_path, text)


@pytest.mark.parametrize("header", ["path", "File", "filename", "Image"])
def test_the_image_column_has_several_names(tmp_path, header):
    assert read(tmp_path, f"{header},dog\na.jpg,1\n").classes == ("dog",)


def test_it_can_be_named(tmp_path):
    assert read(tmp_path, "photo,dog\na.jpg,1\n", image_column="photo").images == ("a.jpg",)


def test_excel_writes_a_mark_first_and_may_separate_by_semicolons(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfimage;dog\r\na.jpg;1\r\n")
    table = LabelTable.read(tmp_path / "t.csv", format="wide_csv", separator=";")
    assert (table.images, table.classes) == (("a.jpg",), ("dog",))


def test_blanks_are_absent_only_if_asked(tmp_path):
    assert read(tmp_path, "image,dog\na.jpg,\n").labels.tolist() == [[-1]]
    assert read(tmp_path, "image,dog\na.jpg,\n", absent="negative").labels.tolist() == [[0]]


@pytest.mark.parametrize("kind", [pl.Boolean, pl.Int64, pl.Float64, pl.String, pl.Categorical])
def test_parquet_of_any_type(tmp_path, kind):
    column = pl.Series("dog", [1, 0, None]).cast(pl.Int8)
    column = column.cast(pl.String).cast(kind) if kind in (pl.String, pl.Categorical) else column.cast(kind)
    pl.DataFrame([pl.Series("image", ["a", "b", "c"]), column]).write_parquet(tmp_path / "t.parquet")
    assert LabelTable.read(tmp_path / "t.parquet").labels[:, 0].tolist() == [1, 0, -1]


def test_nan_in_parquet_is_unknown(tmp_path):
    pl.DataFrame({"image": ["a", "b"], "dog": [1.0, float("nan")]}).write_parquet(tmp_path / "t.parquet")
    assert LabelTable.read(tmp_path / "t.parquet").labels[:, 0].tolist() == [1, -1]


@pytest.mark.parametrize("cell", ["2", "yes?", "-1", "0.5", "x"])
def test_unknown_codes_are_named_by_row_image_and_class(tmp_path, cell):
    said = rf"t.csv: class 'dog' has 1 cell\(s\) that are not labels: row 2 \(b.jpg\): {re.escape(repr(cell))}. Write"
    with pytest.raises(ValueError, match=said) as caught:
        read(tmp_path, f"image,cat,dog\na.jpg,1,1\nb.jpg,1,{cell}\n")
    assert ("-1 means absent in some tables and unknown in others" in str(caught.value)) == (cell == "-1")


def test_duplicates_that_disagree_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"t.csv: image 'a.jpg' is in rows 1, 3, which disagree on class 'dog'; keep one"
    ):
        read(tmp_path, "image,cat,dog\na.jpg,1,1\nb.jpg,1,1\na.jpg,,0\n")


def test_duplicates_that_agree_are_merged_with_a_warning(tmp_path):
    with pytest.warns(
        UserWarning, match=r"t.csv: 1 row\(s\) name an image again and agree with its first row; merged"
    ):
        table = read(tmp_path, "image,cat,dog\n./a.jpg,1,\nb.jpg,1,1\na.jpg,,0\n", absent="negative")
    assert (table.images, table.labels.tolist()) == (("a.jpg", "b.jpg"), [[1, 0], [1, 1]])


def test_an_image_is_in_one_part(tmp_path):
    with pytest.raises(
        ValueError, match=r"image 'a.jpg' is in rows 1, 2 with different splits \('train', 'test'\)"
    ):
        read(tmp_path, "image,split,dog\na.jpg,train,1\na.jpg,test,1\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.csv: the file is empty"),
        ("image,dog\n", "t.csv: a label table without images"),
        ("image,dog,dog\na.jpg,1,1\n", "t.csv: two columns have the same name: 'dog'"),
        ("image,,dog\na.jpg,1,1\n", "t.csv: class 0 of 2, '', is empty; rename it"),
        (
            "image,dog\n../a.jpg,1\n",
            r"t.csv: 1 image path\(s\) do not stay inside the image folder: '../a.jpg'",
        ),
        ("image,dog\n/etc/a.jpg,1\n", r"t.csv: 1 image path\(s\) do not stay inside"),
        ("image,dog\na.jpg,1\n,1\n", "t.csv: row 2 has no image"),
        ("image,dog\na.jpg,1,0\n", "t.csv: .*correct the file: every row has one cell per column"),
        ("image,dog\na.jpg\n", "t.csv: .*correct the file: every row has one cell per column"),
        ("shown,dog\n7,1\n", r"t.csv: no column has the image paths; .* There are: 'shown', 'dog'"),
        ("image;dog\na.jpg;1\n", "if the separator is another"),
        ("path,file,dog\na,b,1\n", "t.csv: both 'path' and 'file' may hold the image paths"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, text)


def test_files_in_other_encodings_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("image,dog\n\xe4.jpg,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"t.csv: .*UTF"):
        LabelTable.read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes("image,\xe4\na.jpg,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"t.csv: not UTF-8 at byte 6; save the file as UTF-8"):
        LabelTable.read(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["boxes", "image", "split"])
def test_a_column_of_lists_is_named_and_can_be_left_out(tmp_path, name):
    columns = {"image": ["a.jpg"], "dog": [1], "split": ["train"], name: [[1.0, 2.0]]}
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    said = (
        rf"t.parquet: column '{name}' has .*list<.*> in a cell, not one value; .*leave it out with leave_out="
    )
    with pytest.raises(ValueError, match=said):
        LabelTable.read(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=said):
        list(wide_csv.tables(tmp_path / "t.parquet", 10))
    if name == "boxes":
        assert LabelTable.read(tmp_path / "t.parquet", leave_out=["boxes"]).classes == ("dog",)


def test_lists_of_labels_are_of_the_hub_however_long_they_may_be(tmp_path):
    pl.DataFrame({"image": ["a.jpg"], "labels": [["dog"]]}).write_parquet(tmp_path / "t.parquet")
    assert readers.recognise(tmp_path / "t.parquet") == "hugging_face"
    with pytest.raises(ValueError, match=r"column 'labels' has .*list<.*> in a cell, not one value"):
        LabelTable.read(tmp_path / "t.parquet", format="long_csv", absent="unknown")


def test_a_quote_that_is_never_closed_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"t.csv: field larger than .*is a quote opened and not closed\?"):
        read(tmp_path, 'image,"dog\n' + "a.jpg,1\n" * 20_000)


@pytest.mark.parametrize("separator", [";;", '"', "é", "\n"])
def test_one_character_stands_between_cells(tmp_path, separator):
    with pytest.raises(
        ValueError, match=r"t.csv: .* cannot stand between cells; give one character, such as"
    ):
        read(tmp_path, "image;;dog\na.jpg;;1\n", separator=separator, format="wide_csv")


def test_a_csv_that_is_called_parquet_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"t.parquet: .*correct the file"):
        LabelTable.read(file(tmp_path, "image,dog\n", "t.parquet"))


def test_missing_files_are_counted_and_listed(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "b.jpg").touch()
    text = "image,dog\na.jpg,1\nb.jpg,1\nsub\\c.jpg,1\n"
    said = r"t.csv: 2 of 3 images are not in .*photos: a.jpg, sub\\c.jpg; check the image folder; paths have / .*not \\"
    with pytest.raises(FileNotFoundError, match=said):
        read(tmp_path, text, images=tmp_path / "photos")
    kept = read(tmp_path, text, images=tmp_path / "photos", missing="keep")
    assert kept.missing() == ("a.jpg", "sub\\c.jpg")
    with pytest.raises(FileNotFoundError, match=r"there is no image folder .*fotos"):
        read(tmp_path, text, images=tmp_path / "fotos")


def test_absolute_paths_inside_the_image_folder_become_relative(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    table = read(tmp_path, f"image,dog\n{tmp_path}/photos/a.jpg,1\n", images=tmp_path / "photos")
    assert table.images == ("a.jpg",)


def test_classes_that_are_never_present_are_a_warning(tmp_path):
    with pytest.warns(
        UserWarning, match=r"t.csv: 1 of 2 classes are never present: 'dog'; they cannot be learned"
    ):
        read(tmp_path, "image,cat,dog\na.jpg,1,0\n")


def test_formats_and_options_are_checked_by_name(tmp_path):
    path = file(tmp_path, "image,dog\na.jpg,1\n")
    with pytest.raises(
        ValueError, match=r"no format 'wide_cvs' \(did you mean 'wide_csv'\?\); there are: celeba"
    ):
        LabelTable.read(path, format="wide_cvs")
    with pytest.raises(
        ValueError, match=r"wide_csv reader takes no option 'seperator' \(did you mean 'separator'\?\)"
    ):
        LabelTable.read(path, seperator=";")
    with pytest.raises(FileNotFoundError, match=r"there is no .*u.csv"):
        LabelTable.read(tmp_path / "u.csv")
    with pytest.raises(ValueError, match=r"t.xlsx has no known format; choose one with format=: celeba"):
        LabelTable.read(file(tmp_path, "", "t.xlsx"))
    with pytest.raises(ValueError, match=r"image 'a.jpg'|image path"):
        LabelTable.read(file(tmp_path, "..\n", "list.txt"))


def test_every_reader_has_the_same_first_arguments():
    import inspect

    assert {"coco", "folder", "long_csv", "visual_genome", "voc", "wide_csv"} <= set(readers.names())
    for name in readers.names():
        parameters = list(inspect.signature(readers.get(name)).parameters.values())
        assert [each.name for each in parameters[:3]] == ["path", "images", "absent"]
        assert readers.absence(name, "unknown") != readers.absence(name, "negative")
        assert readers.absence(name, None) == readers.absence(name, "unknown")
        assert all(
            each.kind is each.KEYWORD_ONLY and each.default is not each.empty for each in parameters[3:]
        )


def test_long_rows_list_what_is_present(tmp_path):
    table = read(tmp_path, "image,labels\na.jpg,dog|traffic light\nb.jpg,\nc.jpg,cat\n", absent="unknown")
    assert table.classes == ("cat", "dog", "traffic light")
    assert table.labels.tolist() == [[-1, 1, 1], [-1, -1, -1], [1, -1, -1]]
    table = LabelTable.read(tmp_path / "t.csv", absent="negative")
    np.testing.assert_array_equal(table.labels, [[0, 1, 1], [0, 0, 0], [1, 0, 0]])


def test_a_column_lists_what_is_known_to_be_absent(tmp_path):
    table = read(
        tmp_path, "image,labels,absent\na.jpg,dog;cat,bird\nb.jpg,,dog\n", classes=["bird", "cat", "dog"]
    )
    assert table.labels.tolist() == [[0, 1, 1], [-1, -1, 0]]
    table = LabelTable.read(tmp_path / "t.csv", absent="negative")
    assert table.labels.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_null_labels_in_parquet_are_of_images_nobody_looked_at(tmp_path):
    columns = {"image": ["a", "b", "./b", "c", "c"], "labels": ["dog", None, None, None, "cat"]}
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    with pytest.warns(UserWarning, match="name an image again"):
        table = LabelTable.read(tmp_path / "t.parquet", absent="negative")
    assert table.images == ("a", "b", "c")
    assert table.labels.tolist() == [[0, 1], [-1, -1], [1, 0]]
    pl.DataFrame(columns | {"absent": ["", "", "dog", "", ""]}).write_parquet(tmp_path / "t.parquet")
    with pytest.warns(UserWarning, match="name an image again"):
        assert LabelTable.read(tmp_path / "t.parquet", absent="negative").labels[1].tolist() == [-1, 0]


def test_a_row_for_every_label_is_put_together(tmp_path):
    text = "image,split,labels,other\na.jpg,train,dog,x\nb.jpg,test,cat,y\na.jpg,train,cat,z\n"
    table = read(tmp_path, text, absent="negative")
    assert (table.images, table.split) == (("a.jpg", "b.jpg"), ("train", "test"))
    assert table.labels.tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (
            "image,labels\na,dog\n",
            {},
            r"t.csv: the file lists only what is present.*absent='unknown' \(not annotated\) or",
        ),
        (
            "image,labels\na,dgo\n",
            {"absent": "negative", "classes": ["dog"]},
            r"1 name\(s\) are not among the classes: 'dgo' \(did you mean 'dog'\?\)",
        ),
        ("image,labels,absent\na,dog,dog\n", {}, "image 'a' has class 'dog' both as present and as absent"),
        (
            "image,labels\na,dog|cat\nb,dog;cat\n",
            {"absent": "negative"},
            r"separated by '\|' or ';'; select one with delimiter=",
        ),
        (
            "image,split,labels\na,x,dog\na,y,dog\n",
            {"absent": "negative"},
            "image 'a' is both in split 'x' and 'y'",
        ),
        (
            "image,words\na,dog\n",
            {"absent": "negative", "format": "long_csv"},
            r"no column is named labels, label.*there are: 'image', 'words'. Name the column .* with labels_column=",
        ),
        ("image,labels\n", {"absent": "negative"}, "t.csv: a label table without images"),
    ],
)
def test_what_is_wrong_with_a_long_table_is_said(tmp_path, text, options, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, text, **{"format": "long_csv", **options})


def test_long_columns_can_be_named(tmp_path):
    options = {
        "labels_column": "tags",
        "absent_column": "not",
        "delimiter": " ",
        "image_column": "x",
        "format": "long_csv",
    }
    table = read(tmp_path, "x,tags,not\na,dog cat,bird\n", **options)
    assert (table.classes, table.labels.tolist()) == (("bird", "cat", "dog"), [[0, 1, 1]])


@pytest.mark.parametrize("name", ["gone.parquet", "gone.csv"])
def test_a_table_that_is_gone_is_an_error_of_the_disk_and_no_damaged_table(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        wide_csv.read(tmp_path / name)
