"""`partlabel import`, `inspect` and `split`, as they are typed."""

import json

import numpy as np
import pytest

from partlabel.cli.main import main
from partlabel.data.tables.label_table import LabelTable

LVIS = {
    "images": [{"id": 1, "file_name": "a.jpg", "neg_category_ids": [2], "not_exhaustive_category_ids": []}],
    "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "[b]owl"}],
    "annotations": [{"image_id": 1, "category_id": 1}],
}


@pytest.fixture
def lvis(tmp_path):
    (tmp_path / "lvis.json").write_text(json.dumps(LVIS))
    return tmp_path / "lvis.json"


@pytest.mark.filterwarnings("ignore:.*never present")
def test_import_says_what_it_understood_and_writes_it(lvis, tmp_path, capsys):
    assert main(["import", str(lvis), "--out", str(tmp_path / "t.parquet")]) == 0
    said = capsys.readouterr().out
    assert "read as lvis: 1 images, 2 classes, 2 of 2 labels known" in said
    assert "Rule: absent is what an image's neg_category_ids lists; a category in neither" in said
    rows = [line.split() for line in said.splitlines()]
    assert (
        ["cup", "1", "0", "0"] in rows
        and ["[b]owl", "0", "1", "0"] in rows
        and ["all", "2", "1", "1", "0"] in rows
    )
    assert LabelTable.read(tmp_path / "t.parquet").labels.tolist() == [[1, 0]]


@pytest.mark.filterwarnings("ignore:.*never present")
def test_import_writes_for_other_programs(lvis, tmp_path):
    assert main(["import", str(lvis), "--to", "fiftyone", "--out", str(tmp_path / "f.json")]) == 0
    assert len(json.loads((tmp_path / "f.json").read_text())["samples"]) == 1


def test_import_takes_the_options_of_its_format(tmp_path, capsys):
    (tmp_path / "t.jsonl").write_text('{"photo": "a.jpg", "tags": ["dog"]}\n')
    typed = ["import", str(tmp_path / "t.jsonl"), "--absent", "unknown", "--format", "jsonl"]
    options = ["--format.image_key", "photo", "--format.present_key", "tags"]
    assert main([*typed, *options]) == 0
    assert "read as jsonl: 1 images, 1 classes" in capsys.readouterr().out
    assert main(typed) == 2
    assert "line 1 has no 'image'" in capsys.readouterr().err


def test_inspect_tells_and_draws(collection, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in (collection / "photos").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "28.png").write_bytes((folder / "10.png").read_bytes())
    (folder / "05.png").write_bytes(b"")
    page = tmp_path / "page.html"
    typed = [
        "inspect",
        str(collection / "labels.csv"),
        "--images",
        str(folder),
        "--near",
        "0",
        "--out",
        str(page),
    ]
    assert main(typed) == 0
    said = capsys.readouterr().out
    assert "32 images" in said and "train 24, test 8" in said
    assert "broken images: 1" in said and "05.png: an empty file" in said
    assert (
        "near-duplicates: 1, of which across parts: 1" in said
        and "10.png, 28.png (in train and test)" in said
    )
    html = page.read_text()
    assert "in train and test" in html
    assert "an empty file" in html and "data:image/jpeg;base64," in html and "default-src 'none'" in html


def test_inspect_without_images_says_so(collection, capsys):
    assert main(["inspect", str(collection / "labels.csv")]) == 0
    assert "images were not read: give --images" in capsys.readouterr().out
    assert main(["inspect", str(collection / "labels.csv"), "--out", "page.csv"]) == 2
    assert "the page is an HTML file; give a name that ends in .html" in capsys.readouterr().err


def test_the_page_escapes_names(tmp_path):
    (tmp_path / "t.csv").write_text("image,<b>dog\na.jpg,1\nb.jpg,1\n")
    assert main(["inspect", str(tmp_path / "t.csv"), "--out", str(tmp_path / "p.html")]) == 0
    page = (tmp_path / "p.html").read_text()
    assert "<b>dog" not in page and "&lt;b&gt;dog" in page


def test_split_divides_and_keeps_groups(tmp_path, capsys):
    random = np.random.RandomState(0)
    rows = [f"{row}.jpg,{random.randint(2)},{random.randint(2)},p{row // 4}" for row in range(80)]
    (tmp_path / "t.csv").write_text("image,dog,cat,patient\n" + "\n".join(rows))
    out = tmp_path / "s.csv"
    typed = [
        "split",
        str(tmp_path / "t.csv"),
        "--group",
        "patient",
        "--val",
        "0.2",
        "--test",
        "0.2",
        "--out",
        str(out),
    ]
    assert main(typed) == 0
    assert "20 groups kept whole" in capsys.readouterr().out
    table = LabelTable.read(out)
    assert table.classes == ("dog", "cat") and set(table.parts) == {"train", "val", "test"}
    assert table.split is not None
    assert all(len(set(table.split[start : start + 4])) == 1 for start in range(0, 80, 4))
