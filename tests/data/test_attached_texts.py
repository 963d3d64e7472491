"""Texts from other files and columns, given to the photos of a label table."""

import json
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts import attach, column

IMAGES = ("in/a.jpg", "in/b.jpg", "out/b.jpg", "out/c.jpg")


def table(root: Path | None = None) -> LabelTable:
    return LabelTable(IMAGES, ("cat",), np.ones((4, 1), np.int8), root=root)


def silently(given: LabelTable, *sources: str, **options: object) -> LabelTable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attach(given, sources, **options)  # type: ignore[arg-type]


def test_rows_of_a_csv_are_matched_by_path_and_else_by_a_file_name_that_occurs_once(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text(
        "image,caption\n/home/me/in/a.jpg,one\nC.JPG,two\nb.jpg,lost\nin/a.jpg,three\nin/b.jpg,\nz.jpg,no\n"
    )
    with pytest.warns(UserWarning, match="texts match no photo") as told:
        found = attach(table(), [str(file)])
    assert found.texts == (("one", "three"), (), (), ("two",))
    said = [str(each.message) for each in told]
    assert any("2 of 5 texts match no photo of the table, such as that of 'b.jpg'" in each for each in said)
    assert any("2 of 4 photos have no text" in each for each in said)
    assert any(
        "1 photo(s) were found by the file name alone: 'C.JPG' is 'out/c.jpg'" in each for each in said
    )


def test_two_paths_that_share_a_file_name_are_not_matched_by_it(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "image,text\nx/c.jpg,one\ny/c.jpg,two\nin/a.jpg,three\nother/a.jpg,four\n"
    )
    assert silently(table(), str(tmp_path / "c.csv")).texts == (("three",), (), (), ())


def test_ids_without_suffix_match(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,title\na,one\nc,two\n")
    assert silently(table(), str(tmp_path / "c.csv")).texts == (("one",), (), (), ("two",))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_may_have_another_separator_and_a_column_of_another_name(tmp_path: Path, mark: str) -> None:
    rows = [
        ["image_name", " comment_number", " comment"],
        ["in/a.jpg", "0", " a cat"],
        ["in/a.jpg", "1", " a tom"],
    ]
    (tmp_path / "c.csv").write_text("".join(f"{mark.join(row)}\n" for row in rows))
    assert silently(table(), str(tmp_path / "c.csv")).texts == (("a cat", "a tom"), (), (), ())


def test_parquet_may_have_lists_of_texts(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"image": ["in/a.jpg", "in/b.jpg"], "captions": [["one", "two"], None], "alt": ["x", "tree"]}
    )
    frame.write_parquet(tmp_path / "c.parquet")
    assert silently(table(), str(tmp_path / "c.parquet")).texts == (("one", "two"), ("tree",), (), ())
    assert silently(table(), f"{tmp_path / 'c.parquet'}:alt").texts == ((), ("tree",), (), ())


def test_json_lines_lists_and_objects_have_texts(tmp_path: Path) -> None:
    objects = [
        {"image": "in/a.jpg", "caption": "one", "texts": ["two", {"text": "three"}]},
        {"image": "out/c.jpg", "caption": None},
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, objects)))
    (tmp_path / "c.json").write_text(json.dumps(objects))
    (tmp_path / "map.json").write_text(json.dumps({"in/a.jpg": ["one", "two", "three"], "out/c.jpg": 3}))
    for name in ("c.jsonl", "c.json", "map.json"):
        assert silently(table(), str(tmp_path / name)).texts == (("one", "two", "three"), (), (), ())
    assert silently(table(), f"{tmp_path / 'c.jsonl'}:caption").texts == (("one",), (), (), ())


def test_captions_of_coco_are_read_by_the_file_name_of_their_image(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "in/a.jpg"}, {"id": 8, "file_name": "c.jpg"}],
        "annotations": [
            {"image_id": 7, "caption": "one"},
            {"image_id": 8, "caption": "two"},
            {"image_id": 7, "caption": "three"},
            {"image_id": 9, "caption": "lost"},
        ],
    }
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert silently(table(), str(tmp_path / "c.json")).texts == (("one", "three"), (), (), ("two",))
    (tmp_path / "c.json").write_text(json.dumps({"images": [], "annotations": [{"image_id": 1}]}))
    with pytest.raises(ValueError, match="no annotation has a 'caption'"):
        attach(table(), [str(tmp_path / "c.json")])


def test_a_column_of_the_label_file_is_text_on_request(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("image,cat,notes,title\nin/a.jpg,1,on a mat,Tom\nout/c.jpg,0,,\n")
    given = LabelTable.read(file, leave_out=["notes"])
    assert given.texts == (("Tom",), ())
    assert silently(given, "column:notes", label_file=file).texts == (("Tom", "on a mat"), ())
    assert silently(given, "none", "column:notes", label_file=file).texts == (("on a mat",), ())
    assert silently(given, "none").texts is None
    with pytest.raises(ValueError, match=r"no column 'note' .did you mean 'notes'..;"):
        attach(given, ["column:note"], file)
    with pytest.raises(ValueError, match="label_file="):
        attach(given, ["column:notes"])


def test_a_key_of_the_label_file_is_text_on_request(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"image": "in/a.jpg", "present": ["cat"], "absent": [], "notes": "on a mat"}\n')
    assert attach(LabelTable.read(file), ["column:notes"], file).texts == (("on a mat",),)


@pytest.mark.parametrize("name", ["wide_csv", "jsonl", "records", "hugging_face"])
def test_a_column_of_texts_is_no_class_in_formats_that_can_leave_columns_out(name: str) -> None:
    given = {"leave_out": ["fold"]}
    found = column.without_text_columns(Path("t"), name, given, ["column:notes", "exif"])
    assert found == (name, {"leave_out": ["fold", "notes"]})
    assert column.without_text_columns(Path("t"), name, given, ["exif"]) == (name, given)


def test_formats_that_can_leave_no_column_out_get_no_such_option() -> None:
    assert column.without_text_columns(Path("t"), "coco", {}, ["column:notes"]) == ("coco", {})


def test_an_unknown_source_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ValueError, match=r"no source of texts 'nnoe' .did you mean 'none'..; there are: .*captions.csv"
    ):
        attach(table(), ["nnoe"])
    with pytest.raises(
        ValueError, match="there are: exif, filename, folder, none, sidecar, column:NAME, and files such as"
    ):
        attach(table(), ["anything"])
    with pytest.raises(FileNotFoundError, match=r"no file of texts captoins.csv"):
        attach(table(), ["captoins.csv"])


def test_a_file_that_names_no_photo_of_the_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("image,text\nz.jpg,one\n")
    with pytest.raises(ValueError, match=r"none of its 1 texts .* 'z.jpg', the table 'in/a.jpg'"):
        attach(table(), [str(tmp_path / "c.csv")])


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("image,size,count\nin/a.jpg,3,4\n")
    with pytest.raises(ValueError, match=r"no column is named caption.*'size', 'count'.*c.csv:NAME"):
        attach(table(), [str(tmp_path / "c.csv")])


def test_captions_of_real_photos(real_data: Path) -> None:
    folder = real_data / "coco18"
    if not (folder / "captions.csv").is_file():
        pytest.skip(f"there is no {folder / 'captions.csv'}")
    found = attach(LabelTable.read(folder / "labels.csv"), [str(folder / "captions.csv")])
    assert found.texts is not None
    assert found.texts[0] == ("A train coming to a stop on the tracks out side.",)
    assert all(found.texts)
