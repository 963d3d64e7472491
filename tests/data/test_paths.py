"""Paths of other machines, other cases and other Unicode forms: each reader finds the one image that is meant."""

import json
import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partlabel import LabelTable
from partlabel.data.images.paths import in_folder
from partlabel.data.images.written_paths import parts_of

pytestmark = pytest.mark.filterwarnings("ignore:.*never present", "ignore:.*found in")


@pytest.fixture
def photos(tmp_path):
    def make(*names):
        for name in names:
            file = tmp_path / "photos" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / "photos"

    return make


def wide(tmp_path, *paths):
    file = tmp_path / "t.csv"
    file.write_text("image,dog\n" + "".join(f'"{path}",1\n' for path in paths), encoding="utf-8")
    return file


FOREIGN = [
    "/home/me/photos/sub/a.jpg",
    r"C:\Users\me\photos\sub\a.jpg",
    "D:/photos/sub/a.jpg",
    r"\\server\share\sub\a.jpg",
    "photos/sub/a.jpg",
    "./sub/a.jpg",
    "../photos/sub/a.jpg",
    "https://example.org/data/sub/a.jpg?size=big",
    "s3://bucket/photos/sub/a.jpg",
    "gs://bucket/sub/a.jpg",
    "file:///home/me/sub/a.jpg",
    "/data/local-files/?d=photos/sub/a.jpg",
    "http://localhost:8080/data/local-files/?d=photos%2Fsub%2Fa.jpg",
]


@pytest.mark.parametrize("path", FOREIGN)
def test_a_path_of_another_machine_is_the_longest_tail_that_is_there(tmp_path, photos, path):
    table = LabelTable.read(wide(tmp_path, path), photos("sub/a.jpg", "a.jpg"))
    assert table.images == ("sub/a.jpg",)


@pytest.mark.parametrize("path", [r"C:\old\one two.jpg", "https://example.org/one%20two.jpg"])
def test_names_with_spaces_are_found(tmp_path, photos, path):
    assert LabelTable.read(wide(tmp_path, path), photos("one two.jpg")).images == ("one two.jpg",)


def readers_of(tmp_path, path):
    """Write the same image in every format that names images by a path."""
    yield wide(tmp_path, path), {}
    long = tmp_path / "long.csv"
    long.write_text(f'image,labels\n"{path}",dog\n', encoding="utf-8")
    yield long, {"absent": "unknown"}
    lines = tmp_path / "l.jsonl"
    lines.write_text(json.dumps({"image": path, "present": ["dog"]}), encoding="utf-8")
    yield lines, {"absent": "unknown"}
    coco = {"images": [{"id": 1, "file_name": path}], "categories": [{"id": 1, "name": "dog"}]}
    coco["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1}]
    yield dump(tmp_path, "coco.json", coco), {"absent": "unknown"}
    lvis = coco | {
        "images": [coco["images"][0] | {"neg_category_ids": [], "not_exhaustive_category_ids": []}]
    }
    yield dump(tmp_path, "lvis.json", lvis), {}
    result = [{"type": "choices", "from_name": "c", "value": {"choices": ["dog"]}}]
    task = {"data": {"image": path}, "annotations": [{"result": result}]}
    yield dump(tmp_path, "studio.json", [task]), {"absent": "unknown"}
    labels = {"_cls": "Classifications", "classifications": [{"label": "dog"}]}
    yield (
        dump(tmp_path, "samples.json", {"samples": [{"filepath": path, "t": labels}]}),
        {"absent": "unknown"},
    )


def dump(tmp_path, name, content):
    file = tmp_path / name
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "path", ["/home/me/photos/a.jpg", r"C:\photos\a.jpg", "train2017/a.jpg", "https://e.org/x/a.jpg"]
)
def test_every_reader_resolves_paths_in_the_same_way(tmp_path, photos, path):
    folder = photos("a.jpg", "b.jpg")
    for file, options in readers_of(tmp_path, path):
        assert LabelTable.read(file, folder, **options).images == ("a.jpg",), file.name


@pytest.mark.parametrize(
    ("written", "there"),
    [("a.JPG", "a.jpg"), ("A.jpg", "a.jpg"), ("Häuser.jpg", "NFD"), ("NFD", "Häuser.jpg")],
)
def test_every_reader_finds_a_name_that_differs_in_case_or_unicode_form(tmp_path, photos, written, there):
    decomposed = unicodedata.normalize("NFD", "Häuser.jpg")
    written, there = (decomposed if name == "NFD" else name for name in (written, there))
    folder = photos(there, "other.jpg")
    for file, options in readers_of(tmp_path, written):
        with pytest.warns(UserWarning, match="1 image was found .* differ .*case or in Unicode form"):
            assert LabelTable.read(file, folder, **options).images == (there,), file.name


def test_an_id_without_suffix_is_the_one_image_of_that_stem(tmp_path, photos):
    folder = photos("000e4.png", "sub/x.y.jpg", "000e4.txt", "000e4.xml")
    assert LabelTable.read(wide(tmp_path, "000e4", "/old/sub/x.y"), folder).images == (
        "000e4.png",
        "sub/x.y.jpg",
    )


def test_a_stem_of_two_images_is_refused_with_both(tmp_path, photos):
    with pytest.raises(
        ValueError, match=r"t.csv: row 2, image 'a' may be 'a.jpg' or 'a.png' of .*photos; write"
    ):
        LabelTable.read(wide(tmp_path, "b.jpg", "a"), photos("b.jpg", "a.jpg", "a.png"))


def test_a_name_of_two_cases_is_refused_with_both(tmp_path, photos):
    with pytest.raises(ValueError, match=r"row 1, image 'A.JPG' may be 'A.jpg' or 'a.jpg'"):
        LabelTable.read(wide(tmp_path, "A.JPG"), photos("a.jpg", "A.jpg"))
    folder = photos("a.jpg", "A.jpg")
    assert LabelTable.read(wide(tmp_path, "A.jpg", "a.jpg"), folder).images == ("A.jpg", "a.jpg"), (
        "as written"
    )


def test_a_name_in_two_folders_is_refused_and_in_one_is_found(tmp_path, photos):
    folder = photos("train/a.jpg", "train/b.jpg", "val/b.jpg")
    assert LabelTable.read(wide(tmp_path, "a.jpg"), folder).images == ("train/a.jpg",)
    with pytest.raises(ValueError, match=r"row 2, image 'b.jpg' may be 'train/b.jpg' or 'val/b.jpg'"):
        LabelTable.read(wide(tmp_path, "a.jpg", "b.jpg"), folder)


def test_a_file_in_another_folder_is_named_and_not_taken(tmp_path, photos):
    with pytest.raises(FileNotFoundError, match=r"1 of 1 images are not in .*'val/a.jpg' \('train/a.jpg'\)"):
        LabelTable.read(wide(tmp_path, "val/a.jpg"), photos("train/a.jpg"))


def test_two_paths_are_never_one_image(tmp_path, photos):
    folder = photos("a.jpg")
    with pytest.raises(
        ValueError,
        match=r"rows 1 and 2 name different images, 'one/a.jpg' and 'two/a.jpg', and .*only 'a.jpg'",
    ):
        LabelTable.read(wide(tmp_path, "one/a.jpg", "two/a.jpg"), folder)
    with pytest.raises(ValueError, match="rows 1 and 2 name different images"):
        LabelTable.read(wide(tmp_path, "a.jpg", "/x/a.jpg"), folder)


def test_only_images_stand_for_images(tmp_path, photos):
    with pytest.raises(FileNotFoundError, match="1 of 1 images are not in"):
        LabelTable.read(wide(tmp_path, "a"), photos("a.xml", "a.txt"))


def test_a_table_is_read_as_written_where_no_image_is_at_hand(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = LabelTable.read(wide(tmp_path, "sub/a.jpg", "B.jpg", "c"))
    assert table.images == ("sub/a.jpg", "B.jpg", "c")
    with pytest.raises(ValueError, match="do not stay inside the image folder: 'C:"):
        LabelTable.read(wide(tmp_path, r"C:\photos\a.jpg"))


def test_what_was_found_elsewhere_is_said_once_with_its_number(tmp_path, photos):
    folder = photos("a.jpg", "b.jpg", "c.jpg")
    with pytest.warns(UserWarning, match="found in") as said:
        LabelTable.read(wide(tmp_path, "/x/a.jpg", "/x/b.jpg", "c.jpg"), folder)
    told = [str(each.message) for each in said if "found in" in str(each.message)]
    assert len(told) == 1
    assert "t.csv: 2 images were found in" in told[0]
    assert "'/x/a.jpg' is 'a.jpg'" in told[0]


@given(
    st.lists(
        st.text("abcXYZ é_-", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=4
    )
)
def test_the_parts_of_a_path_do_not_depend_on_the_machine(folders):
    parts = [*folders, "a.jpg"]
    assert parts_of("C:\\" + "\\".join(parts)) == parts_of("/" + "/".join(parts)) == parts


def test_one_path_is_looked_up_by_itself(tmp_path, photos):
    folder = photos("sub/a.jpg", "a.jpg")
    assert in_folder(folder, r"C:\x\sub\a.jpg") == "sub/a.jpg"
    assert in_folder(folder, "/x/c.jpg") == "/x/c.jpg"
    assert in_folder(None, "/x/c.jpg") == "/x/c.jpg"
