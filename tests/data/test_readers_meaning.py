"""Tables of the shapes that people have: read as what they mean, or refused with a fix that can be typed."""

import json
import re

import polars as pl
import pytest
from PIL import Image

from partlabel import LabelTable
from partlabel.cli.main import main
from partlabel.core.fixes import typed
from partlabel.data import readers
from partlabel.data.readers import _cells

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*never present"),
    pytest.mark.filterwarnings("ignore:.*images? (was|were) found in"),
    pytest.mark.filterwarnings("ignore:.*name an image again"),
]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("x1.jpg", "x2.jpg", "x3.jpg"):
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def read(folder, text, name="t.csv", **options):
    (folder / name).write_text(text, encoding="utf-8")
    return LabelTable.read(folder / name, **options)


def present(table):
    """Return the names of the classes that are present in each image."""
    return [
        {name for name, code in zip(table.classes, row, strict=True) if code == 1} for row in table.labels
    ]


def refused(folder, text, name="t.csv", **options):
    """Return the message of a refusal, as the command line prints it."""
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        read(folder, text, name, **options)
    return typed(caught.value)


# Text that is no class name


@pytest.mark.parametrize(
    "cells",
    [
        ["['owl', 'fox']", "['owl']", "[]"],
        ['["owl","fox"]', '["owl"]', "[]"],
        ["['owl' 'fox']", "['owl']", "[]"],  # as numpy writes it
        ["('owl', 'fox')", "('owl',)", "()"],
        ['{"choices":["owl","fox"]}', '["owl"]', ""],  # as Label Studio's CSV has it
        ["{'owl', 'fox'}", "{'owl'}", "set()"],
    ],
)
def test_a_list_in_a_cell_is_read_as_its_names(tmp_path, cells):
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    rows = "".join(f"{row}.jpg,{cell}\n" for row, cell in enumerate(quoted))
    table = read(tmp_path, "image,labels\n" + rows, absent="negative")
    assert table.classes == ("fox", "owl")
    assert present(table) == [{"owl", "fox"}, {"owl"}, set()]
    assert table.unknown == 0


def test_names_in_a_list_keep_their_commas_quotes_and_letters(tmp_path):
    text = 'image,labels\na.jpg,"[\'owl, barn\', \'it\\\'s\']"\nb.jpg,"[""caf\\u00e9""]"\n'
    assert read(tmp_path, text, absent="unknown").classes == ("café", "it's", "owl, barn")


def test_lists_beside_plain_names_are_refused_by_their_row(tmp_path):
    said = refused(tmp_path, "image,labels\na.jpg,\"['owl']\"\nb.jpg,fox\n", absent="unknown")
    assert "row 2 (b.jpg): column 'labels' has 'fox', and others of its cells are lists" in said


@pytest.mark.parametrize("word", ["NaN", "nan", "N/A", "NA", "none", "None", "null", "<NA>", "-"])
def test_a_word_for_a_missing_value_is_unknown_and_no_class(tmp_path, word):
    with pytest.warns(UserWarning, match="in place of names: their labels stay unknown"):
        table = read(tmp_path, f"image,labels\na.jpg,owl\nb.jpg,{word}\nc.jpg,\n", absent="negative")
    assert table.classes == ("owl",)
    assert table.labels[:, 0].tolist() == [1, -1, 0]
    named = read(
        tmp_path, f"image,labels\na.jpg,owl\nb.jpg,{word}\n", absent="negative", classes=["owl", word]
    )
    assert named.labels.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("word", ["NaN", "N/A", "none", "null"])
@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_a_missing_value_among_the_names_of_json_is_no_class(tmp_path, word, name):
    lines = [{"image": "a.jpg", "tags": ["owl"]}, {"image": "b.jpg", "tags": [word]}]
    text = json.dumps(lines) if name == "t.json" else "\n".join(map(json.dumps, lines))
    with pytest.warns(UserWarning, match=f"'{word}' is read as a missing value, 1 time"):
        table = read(tmp_path, text, name, absent="negative")
    assert table.classes == ("owl",)
    assert table.labels[:, 0].tolist() == [1, -1]


def test_a_missing_value_in_files_beside_images_is_no_class(tmp_path, photos):
    (photos / "x1.txt").write_text("owl\n")
    (photos / "x2.txt").write_text("none\n")
    with pytest.warns(UserWarning, match="'none' is read as a missing value"):
        table = LabelTable.read(photos, format="sidecar", absent="negative")
    assert table.classes == ("owl",)
    assert table.labels[:, 0].tolist() == [1, -1, -1]


def test_names_between_spaces_are_asked_about(tmp_path):
    text = "image,labels\na.jpg,sea cliff\nb.jpg,sea\n"
    said = refused(tmp_path, text, absent="negative")
    assert "'sea cliff' in column 'labels' is one name or several" in said
    assert (
        "--format long_csv --format.delimiter ' '" in said
        and "--format long_csv --format.delimiter '|'" in said
    )
    assert read(tmp_path, text, absent="negative", delimiter=" ").classes == ("cliff", "sea")
    assert read(tmp_path, text, absent="negative", delimiter="|").classes == ("sea", "sea cliff")
    assert present(read(tmp_path, text, absent="negative", classes=["sea", "cliff"])) == [
        {"sea", "cliff"},
        {"sea"},
    ]
    assert present(read(tmp_path, text, absent="negative", classes=["sea", "sea cliff"])) == [
        {"sea cliff"},
        {"sea"},
    ]


def test_spaces_within_names_are_no_question_where_another_mark_occurs(tmp_path):
    text = "image,labels\na.jpg,sea cliff|sea\nb.jpg,sea cliff\n"
    assert read(tmp_path, text, absent="negative").classes == ("sea", "sea cliff")


def test_ids_between_spaces_are_read(tmp_path):
    table = read(tmp_path, "Id,Target\na,7 1\nb,12\n", absent="negative", format="long_csv")
    assert table.classes == ("1", "12", "7") and present(table) == [{"1", "7"}, {"12"}]
    named = read(tmp_path, "image,labels\na,2 1\nb,0\n", absent="negative", classes=["ant", "bee", "cod"])
    assert present(named) == [{"cod", "bee"}, {"ant"}]
    said = refused(tmp_path, "image,labels\na,2 1\nb,3\n", absent="negative", classes=["ant", "bee", "cod"])
    assert "has the number 3, but there are 3 classes, counted from 0" in said


def test_boxes_are_no_class_names(tmp_path, photos):
    said = refused(tmp_path, "image,labels\na.jpg,1 0.5 0.25 0.1 0.1\nb.jpg,owl\n", absent="negative")
    assert "row 1 (a.jpg)" in said and "a row of numbers, not a class name" in said
    (photos / "x1.txt").write_text("3 0.5 0.25 0.1 0.1\n0 0.1 0.2 0.3 0.4\n")
    with pytest.raises(
        ValueError, match=r"x1.txt, line 1: '3 0\.5 0\.25 0\.1 0\.1' is a box of YOLO, not a name"
    ):
        LabelTable.read(photos, format="sidecar", absent="negative")
    (photos / "x1.txt").write_text("10.5 20.5 30 40\n")
    with pytest.raises(ValueError, match=r"x1.*'10\.5 20\.5 30 40' is a row of numbers"):
        LabelTable.read(photos, format="sidecar", absent="negative")


@pytest.mark.parametrize("cells", [["[0, 1, 1]", "[1, 0, 0]"], ["0 1 1", "1 0 0"], ["0|1|1", "1|0|0"]])
def test_a_vector_of_zeros_and_ones_is_named_and_read_with_classes(tmp_path, cells):
    text = "image,labels\n" + "".join(f'{row}.jpg,"{cell}"\n' for row, cell in enumerate(cells))
    said = refused(tmp_path, text, absent="negative")
    assert (
        "all its cells are 3 zeros and ones" in said and "--format long_csv --format.classes '[...]'" in said
    )
    table = read(tmp_path, text, absent="negative", classes=["ant", "bee", "cod"])
    assert present(table) == [{"bee", "cod"}, {"ant"}]


def test_vectors_in_json_are_named_too(tmp_path):
    text = '[{"image": "a.jpg", "labels": [0, 1, 1]}, {"image": "b.jpg", "labels": [1, 0, 0]}]'
    assert "--format.classes '[...]'" in refused(tmp_path, text, "t.json", absent="negative")
    table = read(tmp_path, text, "t.json", absent="negative", classes=["ant", "bee", "cod"])
    assert present(table) == [{"bee", "cod"}, {"ant"}]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("['owl'", "list or an object"),
        ("'fox']", "list or an object"),
        ('{"a": 1}', "list or an object"),
        ("[", "list or an object"),
        ("'owl'", "list or an object"),
        ("0 0.5 0.5", "row of numbers"),
        ("0.5", "is a number"),
        ("NaN", "missing value"),
        ("owl", ""),
        ("[b]owl", ""),
        ("12", ""),
        ("traffic light", ""),
        ("3D model (2)", ""),
        ("n/a-free", ""),
    ],
)
def test_what_is_no_class_name(name, fault):
    assert (fault in _cells.fault_of(name)) if fault else _cells.fault_of(name) == ""


def test_no_finding_says_that_none_of_the_classes_is_there(tmp_path):
    text = "Image Index,Finding Labels,Patient Age\na.png,Edema|Mass,60\nb.png,No Finding,51\n"
    table = read(tmp_path, text, absent="negative")
    assert table.classes == ("Edema", "Mass") and present(table) == [{"Edema", "Mass"}, set()]
    assert table.unknown == 0


@pytest.mark.parametrize("cell", ["[owl]", "{'owl': 1}", "[('owl', 0.9)]", '[{"name": "owl"}]', "[[1, 2]]"])
def test_a_list_or_an_object_of_anything_else_is_refused(tmp_path, cell):
    quoted = '"' + cell.replace('"', '""') + '"'
    said = refused(tmp_path, f"image,labels\na.jpg,{quoted}\n", absent="negative")
    assert (
        "row 1 (a.jpg): column 'labels' has" in said
        and "a list or an object, but not a list of names" in said
    )


def test_a_column_of_missing_values_is_no_class(tmp_path):
    with pytest.warns(UserWarning, match="in place of names"):
        assert read(tmp_path, "image,labels\na.jpg,NaN\n", absent="negative").classes == ()


# Which columns are what


def test_a_table_with_names_and_classes_is_asked_about(tmp_path):
    text = "image,category,owl,fox\na.jpg,wild,1,0\nb.jpg,tame,0,1\n"
    said = refused(tmp_path, text, absent="negative")
    assert "column 'category' has names, and 'owl', 'fox' have 1 and 0" in said
    assert "--format wide_csv --format.leave_out '[category]'" in said
    assert "--format long_csv --format.labels_column category" in said
    assert read(tmp_path, text, format="wide_csv", leave_out=["category"]).classes == ("owl", "fox")
    assert read(tmp_path, text, format="long_csv", absent="unknown").classes == ("tame", "wild")


def test_boxes_with_a_class_in_a_row_each_are_a_long_table(tmp_path):
    text = "filename,width,class,xmin,ymin,difficult\na.jpg,64,owl,0,1,0\na.jpg,64,fox,1,0,1\nb.jpg,64,owl,0,0,0\n"
    assert present(read(tmp_path, text, absent="negative")) == [{"owl", "fox"}, {"owl"}]


def test_a_class_may_have_the_name_of_a_file(tmp_path):
    assert read(tmp_path, "image,logo.png\na.jpg,1\nb.jpg,\n").classes == ("logo.png",)


def test_a_table_without_a_header_is_refused(tmp_path):
    said = refused(tmp_path, "a.jpg,owl\nb.jpg,fox\n", absent="negative")
    assert "the first line has 'a.jpg' where the name of a column is expected" in said


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("image;labels\na.jpg;owl\n", "--format long_csv --format.separator ';'"),
        ("image;owl\na.jpg;1\n", "--format wide_csv --format.separator ';'"),
        ("image\towl\na.jpg\t1\n", "--format wide_csv --format.separator $'\\t'"),
    ],
)
def test_another_separator_is_named_as_it_is_typed(tmp_path, text, option):
    assert option in refused(tmp_path, text, absent="negative")


def test_columns_called_like_metadata_are_left_out_by_name(tmp_path):
    said = refused(tmp_path, "image,fold,owl\na.jpg,1,1\nb.jpg,2,0\n")
    assert "--format wide_csv --format.leave_out '[fold]'" in said


@pytest.mark.parametrize(
    "column",
    [
        "file_name",
        "image_id",
        "Image_Name",
        "image name",
        "fname",
        "filepath",
        "img",
        "img_path",
        "Image Index",
        "id",
    ],
)
def test_usual_image_columns_are_found(tmp_path, photos, column):
    table = read(tmp_path, f"owl,{column},fox\n1,x1.jpg,0\n0,x2.jpg,1\n", images=photos)
    assert table.images == ("x1.jpg", "x2.jpg") and table.classes == ("owl", "fox")


def test_the_column_whose_cells_are_files_is_the_image_column(tmp_path, photos):
    table = read(tmp_path, "what,owl\nx1.jpg,1\nx2.jpg,0\n", images=photos)
    assert table.images == ("x1.jpg", "x2.jpg")
    table = read(tmp_path, "path,file,owl\nx9,x1.jpg,1\nx8,x2.jpg,0\n", images=photos, leave_out=["path"])
    assert table.images == ("x1.jpg", "x2.jpg")


def test_ids_without_a_suffix_are_found_by_their_stem(tmp_path, photos):
    assert read(tmp_path, "image_id,owl\nx1,1\nx2,0\n", images=photos).images == ("x1.jpg", "x2.jpg")
    assert read(tmp_path, "id,owl\na,1\nb,0\n", suffix=".png").images == ("a.png", "b.png")


@pytest.mark.parametrize(
    "column", ["Labels", "label", "tags", "Tags", "class", "categories", "Finding Labels"]
)
def test_a_column_of_names_makes_a_long_table(tmp_path, column):
    table = read(tmp_path, f"image,{column}\na.jpg,owl|fox\nb.jpg,owl\n", absent="negative")
    assert present(table) == [{"owl", "fox"}, {"owl"}]


def test_a_column_of_names_that_is_called_anything_names_its_option(tmp_path):
    said = refused(tmp_path, "image,seen\na.jpg,owl|fox\nb.jpg,owl\n")
    assert "--format long_csv --format.labels_column seen" in said


def test_numbered_label_columns_are_put_together(tmp_path):
    text = "image,label1,label2,label3\na.jpg,owl,fox,\nb.jpg,owl,,\n"
    assert present(read(tmp_path, text, absent="negative")) == [{"owl", "fox"}, {"owl"}]
    assert present(read(tmp_path, text, absent="negative", labels_column=["label1", "label3"])) == [
        {"owl"},
        {"owl"},
    ]


def test_two_columns_of_names_are_asked_about(tmp_path):
    said = refused(tmp_path, "image,tag,category\na.jpg,owl,bird\n", absent="negative")
    assert "both 'tag' and 'category'" in said or "both 'category' and 'tag'" in said
    assert "--format long_csv --format.labels_column" in said


def test_zeros_and_ones_called_label_are_asked_about(tmp_path):
    text = "image,label\na.jpg,0\nb.jpg,1\n"
    said = refused(tmp_path, text)
    assert "what do 0 and 1 in column 'label' mean?" in said
    assert "--format wide_csv" in said and "--format long_csv --format.labels_column label" in said
    assert read(tmp_path, text, format="wide_csv").labels.tolist() == [[0], [1]]
    numbers = read(tmp_path, text, format="long_csv", absent="negative", classes=["ant", "bee"])
    assert present(numbers) == [{"ant"}, {"bee"}]
    json_text = '[{"image": "a.jpg", "label": 0}, {"image": "b.jpg", "label": 1}]'
    assert "what do 0 and 1 under 'label' mean?" in refused(tmp_path, json_text, "t.json")


def test_all_columns_that_are_no_classes_are_named_at_once(tmp_path):
    text = "image,width,owl,Unnamed: 7,source of it\na.jpg,640,1,z,web\nb.jpg,480,0,y,web\n"
    said = refused(tmp_path, text)
    assert (
        "columns 'width', 'Unnamed: 7' and" in said
        or "columns 'width' and 'Unnamed: 7' and 'source of it'" in said
    )
    assert """--format wide_csv --format.leave_out '[width,"Unnamed: 7",source of it]'""" in said
    table = read(tmp_path, text, leave_out=["width", "Unnamed: 7", "source of it"])
    assert table.classes == ("owl",)


def test_the_fix_keeps_what_was_left_out_already(tmp_path):
    said = refused(tmp_path, "image,w,h,owl\na.jpg,64,48,1\nb.jpg,64,48,0\n", leave_out=["w"])
    assert "--format.leave_out '[w,h]'" in said


def test_a_few_wrong_cells_are_no_reason_to_leave_a_column_out(tmp_path):
    said = refused(tmp_path, "image,owl\na.jpg,1\nb.jpg,0\nc.jpg,yes?\n")
    assert "class 'owl' has 1 cell(s) that are not labels: row 3 (c.jpg): 'yes?'" in said
    assert "leave_out" not in said


def test_blank_columns_without_a_name_are_left_out(tmp_path):
    with pytest.warns(UserWarning, match="column 'Unnamed: 3' only numbers the rows or is empty"):
        assert read(tmp_path, "image,owl,fox,Unnamed: 3\na.jpg,1,0,\nb.jpg,0,1,\n").classes == ("owl", "fox")


def test_yes_and_no_are_cells_to_be_written_otherwise(tmp_path):
    said = refused(tmp_path, "image,owl\na.jpg,yes\nb.jpg,no\n")
    assert "class 'owl' has 2 cell(s) that are not labels" in said and "leave_out" not in said


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("numbers", [(0, 1), (0, 1, 2), (5, 3, 9)])
def test_row_numbers_are_left_out_with_a_warning(tmp_path, name, numbers):
    rows = "".join(f"{number},{row}.jpg,1\n" for row, number in enumerate(numbers))
    with pytest.warns(
        UserWarning, match=f"column '{name}' only numbers the rows or is empty, so it is left out"
    ):
        table = read(tmp_path, f"{name},image,owl\n{rows}")
    assert table.classes == ("owl",)


def test_a_class_with_the_name_of_something_else_is_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"column 'fold'\. If it is not a class, give leave_out=\['fold'\]"):
        assert read(tmp_path, "image,fold,owl\na.jpg,0,1\nb.jpg,1,0\n").classes == ("fold", "owl")


def test_parts_are_found_under_other_names(tmp_path):
    table = read(tmp_path, "image,subset,owl\na.jpg,train,1\nb.jpg,valid,0\n")
    assert table.split == ("train", "val") and table.classes == ("owl",)
    table = read(
        tmp_path,
        "fname,labels,is_valid\na.jpg,owl,True\nb.jpg,owl fox,False\n",
        absent="negative",
        delimiter=" ",
    )
    assert table.split == ("val", "train") and present(table) == [{"owl"}, {"owl", "fox"}]
    table = read(tmp_path, "image,when,owl\na.jpg,train,1\nb.jpg,test,0\n", split_column="when")
    assert table.split == ("train", "test")


# Codes


def test_minus_one_is_asked_about_and_read_as_told(tmp_path):
    text = "Path,Edema,Mass\na.jpg,1.0,-1.0\nb.jpg,,0.0\n"
    said = refused(tmp_path, text)
    assert "--format wide_csv --format.minus_one unknown" in said and "--format.minus_one absent" in said
    assert read(tmp_path, text, minus_one="unknown").labels.tolist() == [[1, -1], [-1, 0]]
    assert read(tmp_path, text, minus_one="absent").labels.tolist() == [[1, 0], [-1, 0]]
    assert read(tmp_path, "image,a\nx,-1\ny,1\n", minus_one="absent").labels.tolist() == [[0], [1]]


def test_minus_one_and_columns_that_are_no_classes_are_said_together(tmp_path):
    said = refused(tmp_path, "Path,Sex,Edema\na.jpg,Male,-1\nb.jpg,Female,1\n")
    assert "'Sex'" in said and "--format.leave_out '[Sex]'" in said and "--format.minus_one unknown" in said


def test_the_list_of_celeba_is_read(tmp_path):
    text = "2\nBald Smiling\na b.jpg -1  1\nc.jpg  1 -1\n"
    table = read(tmp_path, text, "list_attr.txt")
    assert table.images == ("a b.jpg", "c.jpg") and table.classes == ("Bald", "Smiling")
    assert table.labels.tolist() == [[0, 1], [1, 0]]
    assert readers.recognise(tmp_path / "list_attr.txt") == "celeba"
    assert read(tmp_path, text, "list_attr.txt", minus_one="unknown").labels.tolist() == [[-1, 1], [1, -1]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3\nBald\na.jpg 1\n", "line 1 announces 3 images, but 1 follow"),
        ("1\nBald Old\na.jpg 1\n", "line 3 has 1 labels for 2 names"),
        ("2\nBald\na.jpg 1\nb.jpg 7\n", r"line 4 \(b.jpg\): '7' is not 1, 0 or -1"),
    ],
)
def test_a_broken_list_of_celeba_is_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, text, "list_attr.txt", format="celeba")


def test_a_list_of_images_stays_a_list(tmp_path):
    assert read(tmp_path, "10\n20.jpg\n30.jpg\n", "list.txt").images == ("10", "20.jpg", "30.jpg")


# JSON


@pytest.mark.parametrize(
    "entries",
    [
        [{"image": "a.jpg", "labels": ["owl", "fox"]}, {"image": "b.jpg", "labels": []}],
        [{"file_name": "a.jpg", "tags": "owl|fox"}, {"file_name": "b.jpg", "tags": ""}],
        {"a.jpg": ["owl", "fox"], "b.jpg": []},
    ],
)
def test_records_are_read(tmp_path, entries):
    table = read(tmp_path, json.dumps(entries), "t.json", absent="negative")
    assert table.images == ("a.jpg", "b.jpg") and present(table) == [{"owl", "fox"}, set()]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "lines.json"])
def test_a_key_for_each_class_is_a_wide_table(tmp_path, name):
    entries = [{"image": "a.jpg", "owl": 1, "fox": None}, {"image": "b.jpg", "owl": False, "fox": True}]
    text = json.dumps(entries) if name == "t.json" else "\n".join(map(json.dumps, entries))
    table = read(tmp_path, text, name)
    assert dict(zip(table.classes, table.labels.T.tolist(), strict=True)) == {"fox": [-1, 1], "owl": [1, 0]}


def test_keys_that_are_no_classes_are_named_with_their_option(tmp_path):
    text = '{"image": "a.jpg", "owl": 1, "width": 640}\n'
    assert "--format jsonl --format.leave_out '[width]'" in refused(tmp_path, text, "t.jsonl")
    assert read(tmp_path, text, "t.jsonl", leave_out=["width"]).classes == ("owl",)


def test_lines_of_hugging_face_are_read(tmp_path, photos):
    text = '{"file_name": "x1.jpg", "labels": ["owl"]}\n{"file_name": "x2.jpg", "labels": ["fox"]}\n'
    table = read(tmp_path, text, "metadata.jsonl", images=photos, absent="negative")
    assert present(table) == [{"owl"}, {"fox"}]


def test_json_of_another_kind_says_what_it_has(tmp_path):
    said = refused(tmp_path, '{"frames": [], "video": "a.mp4"}', "t.json", absent="negative")
    assert "not a COCO instances file" in said and "it is an object, which has 'frames', 'video'" in said
    said = refused(tmp_path, '[{"image": "a.jpg", "labels": []}]', "t.json", format="coco", absent="negative")
    assert "read it with --format records" in said
    said = refused(tmp_path, '{"samples": []}', "t.json", format="label_studio", absent="negative")
    assert "read it with --format fiftyone" in said


# Parquet


def png(shade):
    from io import BytesIO

    written = BytesIO()
    Image.new("L", (4, 4), shade).save(written, "PNG")
    return written.getvalue()


def test_images_inside_with_a_column_for_each_class_are_a_wide_table(tmp_path):
    columns = {"image": [{"bytes": png(1), "path": None}], "owl": [True], "fox": [None], "wet": [0]}
    pl.DataFrame(columns, schema_overrides={"fox": pl.Boolean}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="extract=") as caught:
        LabelTable.read(tmp_path / "t.parquet")
    assert "--format hugging_face --format.extract FOLDER" in typed(caught.value)
    assert "list" not in str(caught.value)
    table = LabelTable.read(tmp_path / "t.parquet", extract=tmp_path / "out")
    assert dict(zip(table.classes, table.labels[0].tolist(), strict=True)) == {"fox": -1, "owl": 1, "wet": 0}


def test_a_number_that_is_no_label_in_a_hub_table_names_its_fix(tmp_path):
    columns = {"image": [{"bytes": png(1), "path": None}], "celeb_id": [2880], "Bald": [-1]}
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="celeb_id") as caught:
        LabelTable.read(tmp_path / "t.parquet", extract=tmp_path / "out")
    assert "--format hugging_face --format.leave_out" in typed(caught.value)
    how = {"leave_out": ["celeb_id"], "minus_one": "absent", "extract": tmp_path / "out"}
    assert LabelTable.read(tmp_path / "t.parquet", **how).labels.tolist() == [[0]]


@pytest.mark.parametrize("column", ["labels", "tags", "Tags", "categories"])
def test_a_column_of_lists_in_parquet_is_recognised(tmp_path, column):
    pl.DataFrame({"file": ["a.jpg", "b.jpg"], column: [["owl"], []]}).write_parquet(tmp_path / "t.PARQUET")
    assert present(LabelTable.read(tmp_path / "t.PARQUET", absent="negative")) == [{"owl"}, set()]


def test_lists_of_zeros_and_ones_are_no_ids(tmp_path):
    pl.DataFrame({"image": ["a", "b"], "labels": [[0, 1, 1], [1, 0, 0]]}).write_parquet(
        tmp_path / "t.parquet"
    )
    table = LabelTable.read(tmp_path / "t.parquet", classes=["ant", "bee", "cod"])
    assert present(table) == [{"bee", "cod"}, {"ant"}] and table.unknown == 0
    with pytest.raises(ValueError, match="zeros and ones") as caught:
        LabelTable.read(tmp_path / "t.parquet", absent="negative")
    assert "--format hugging_face --format.coding multi_hot" in typed(caught.value)
    pl.DataFrame({"image": ["a", "b"], "labels": [[0, 1], [1, 0]]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="zeros and ones"):
        LabelTable.read(tmp_path / "t.parquet", absent="negative", classes=["ant", "bee"])
    ids = LabelTable.read(tmp_path / "t.parquet", absent="negative", classes=["ant", "bee"], coding="ids")
    assert present(ids) == [{"ant", "bee"}, {"ant", "bee"}]


def test_text_in_a_hub_table_is_read_like_a_cell(tmp_path):
    columns = {
        "image": [{"bytes": png(shade), "path": None} for shade in range(3)],
        "tags": ["owl|fox", "owl", "nan"],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    table = LabelTable.read(tmp_path / "t.parquet", absent="negative", extract=tmp_path / "out")
    assert table.classes == ("fox", "owl") and table.labels.tolist() == [[1, 1], [0, 1], [-1, -1]]


# Lists and files beside images


def test_a_list_with_labels_after_the_paths_is_refused(tmp_path):
    for text in ("a.jpg 1 0\nb.jpg 0 1\n", "a.jpg,owl\nb.jpg,fox\n", "a.jpg\towl\nb.jpg\tfox\n"):
        assert "have more than the path of an image" in refused(tmp_path, text, "list.txt")
    assert read(tmp_path, "a.jpg copy.jpg\nb c.jpg\n", "list.txt").images == ("a.jpg copy.jpg", "b c.jpg")


def test_names_between_spaces_in_files_beside_images_are_asked_about(tmp_path, photos):
    (photos / "x1.txt").write_text("sea cliff\n")
    (photos / "x2.txt").write_text("sea\n")
    with pytest.raises(ValueError, match="'sea cliff': one name or several") as caught:
        LabelTable.read(photos, format="sidecar", absent="negative")
    assert "--format sidecar --format.delimiter ' '" in typed(caught.value)
    assert LabelTable.read(photos, format="sidecar", absent="negative", delimiter=" ").classes == (
        "cliff",
        "sea",
    )
    (photos / "x2.txt").write_text("sea\nrock pool\n")
    table = LabelTable.read(photos, format="sidecar", absent="negative")
    assert table.classes == ("rock pool", "sea", "sea cliff")


# Names of files


@pytest.mark.parametrize("name", ["T.CSV", "t.Tsv", "T.JSONL", "t.JSON"])
def test_upper_case_suffixes_are_suffixes(tmp_path, name):
    text = {
        "T.CSV": "image,owl\na.jpg,1\n",
        "t.Tsv": "image\towl\na.jpg\t1\n",
        "T.JSONL": '{"image": "a.jpg", "owl": 1}\n',
        "t.JSON": '[{"image": "a.jpg", "owl": 1}]',
    }[name]
    assert read(tmp_path, text, name).labels.tolist() == [[1]]


def test_tables_are_written_under_upper_case_suffixes(tmp_path):
    table = read(tmp_path, "image,owl\na.jpg,1\nb.jpg,\n")
    for name in ("o.CSV", "o.PARQUET"):
        assert LabelTable.read(table.save(tmp_path / name)).labels.tolist() == [[1], [-1]]


def test_a_spreadsheet_says_to_save_it_as_csv(tmp_path):
    assert "Save a spreadsheet as CSV" in refused(tmp_path, "", "t.xlsx")


# What the command line says


def test_import_says_in_three_lines_what_it_understood(tmp_path, photos, capsys):
    text = ",Image Index,split,owl,fox,width\n0,x1.jpg,train,1,,640\n1,x2.jpg,test,0,1,480\n"
    (tmp_path / "t.csv").write_text(text)
    typed_words = [
        "import",
        str(tmp_path / "t.csv"),
        "--images",
        str(photos),
        "--format.leave_out",
        "[width]",
    ]
    with pytest.warns(UserWarning, match="only numbers the rows or is empty"):
        assert main(typed_words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("read as wide_csv: 2 images, 2 classes, 3 of 4 labels known; train 1, test 1")
    assert lines[1] == (
        "Images in column 'Image Index', parts in column 'split'. Classes: owl, fox. Labels: 2 present, 1 absent, "
        "1 unknown. Left out: column '', 'width'."
    )
    assert lines[2] == "Rule: absent is a cell of 0 (or false); an empty cell is unknown."


def test_import_says_which_column_the_names_are_in(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("fname,tags,note\na.jpg,owl|fox,x\nb.jpg,owl,y\n")
    assert main(["import", str(tmp_path / "t.csv"), "--absent", "negative"]) == 0
    said = capsys.readouterr().out.splitlines()[1]
    assert said.startswith("Images in column 'fname', class names in column 'tags'. Classes: fox, owl.")
    assert said.endswith("Left out: column 'note'.")


def test_import_says_what_minus_one_was_taken_for(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("image,owl\na.jpg,-1\nb.jpg,1\n")
    assert main(["import", str(tmp_path / "t.csv"), "--format.minus_one", "absent"]) == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("an empty cell is unknown; -1 is absent.")
