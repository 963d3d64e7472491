"""Origins of labels: kept by every change of a table, and on disk; nothing where nobody asked."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partlabel import ABSENT, UNKNOWN, LabelTable
from partlabel.audit import inspection
from partlabel.cli.main import main
from partlabel.data import writers
from partlabel.data.readers import wide_csv
from partlabel.data.tables.filled import FilledTable, fill
from partlabel.data.tables.provenance import NOT_MENTIONED, Origins
from partlabel.data.tables.splits import aligned

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*never present"),
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
]

LABELS = np.array([[1, 0, -1], [0, 1, 1]], np.int8)
CODES = np.array([[1, 2, 0], [2, 0, 1]], np.uint8)
NAMES = ("", "human", "sst@a")


def table(labels=LABELS, codes=CODES, names=NAMES):
    images = tuple(f"{row}.jpg" for row in range(len(labels)))
    return LabelTable(images, tuple("abc"), labels).with_origins(Origins(codes, names))


def said(table):
    rows, columns = table.labels.shape
    return [[table.origins.of(row, column) for column in range(columns)] for row in range(rows)]


def test_origins_go_with_rows_columns_and_changes():
    whole = table()
    assert said(whole) == [["human", "sst@a", ""], ["sst@a", "", "human"]]
    assert said(whole[1:]) == [["sst@a", "", "human"]]
    assert said(aligned(whole, ("c", "a", "b"))) == [["", "human", "sst@a"], ["human", "sst@a", ""]]
    assert said(whole.with_split(["train", "test"])) == said(whole)
    turned = np.array([[0, 0, 1], [0, 1, -1]], np.int8)
    assert said(whole.with_labels(turned)) == [["", "sst@a", ""], ["sst@a", "", ""]], "only where it stayed"
    hidden = whole.hide(known=0.5)
    assert not hidden.origins.codes[hidden.labels == UNKNOWN].any()


def test_a_table_that_nobody_asked_has_none(tmp_path):
    plain = LabelTable(("0.jpg", "1.jpg"), tuple("abc"), LABELS)
    assert plain.origins is None and plain[:1].origins is None and plain.hide(known=0.5).origins is None
    assert plain.save(tmp_path / "t.csv").read_text().startswith("image,a,b,c\n")
    assert LabelTable.read(tmp_path / "t.csv").origins is None
    assert inspection.inspect(plain).origins == ()


def test_codes_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        table().origins.codes[0, 0] = 2


@pytest.mark.parametrize(
    ("codes", "names", "error"),
    [
        (CODES.astype(np.int64), NAMES, "codes of origins are uint8 below 3"),
        (CODES, NAMES[:2], "codes of origins are uint8 below 2"),
        (CODES, ("human", "sst@a", "x"), "the first is empty"),
        (CODES, ("", "a", "a"), "names of origins are unique"),
        (CODES, ("", *map(str, range(256))), "labels come from 256 origins; a table tells 255 apart"),
        (CODES[:1], NAMES, r"origins are \(1, 3\) for \(2, 3\) labels"),
    ],
)
def test_what_is_no_origin_is_refused(codes, names, error):
    with pytest.raises(ValueError, match=error):
        LabelTable(("0.jpg", "1.jpg"), tuple("abc"), LABELS, origins=Origins(codes, names))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(data=st.data())
def test_origins_come_back_from_disk(data, suffix, tmp_path_factory):
    labels = data.draw(arrays(np.int8, (4, 3), elements=st.integers(-1, 1)))
    codes = data.draw(arrays(np.uint8, (4, 3), elements=st.integers(0, 2)))
    written = table(labels, codes, ("", 'sst, v1@run "x"', "review"))
    path = written.save(tmp_path_factory.mktemp("origins") / f"t{suffix}")
    read = LabelTable.read(path)
    np.testing.assert_array_equal(read.labels, labels)
    assert read.classes == written.classes and said(read) == said(written)
    parts = list(wide_csv.tables(path, 3))
    assert [len(part) for part in parts] == [3, 1]
    assert [row for part in parts for row in said(part)] == said(written)


def test_rows_of_one_image_keep_the_origin_of_what_they_know(tmp_path):
    (tmp_path / "t.csv").write_text("image,a,a:source,b,b:source\nx,,,1,ann\nx,0,bob,1,bob\ny,,,,\n")
    with pytest.warns(UserWarning, match="merged"):
        read = LabelTable.read(tmp_path / "t.csv", absent="negative")
    assert read.labels.tolist() == [[0, 1], [0, 0]]
    assert said(read) == [["bob", "ann"], [NOT_MENTIONED, NOT_MENTIONED]]


def test_filling_says_so_of_what_it_accepts_and_keeps_the_rest(tmp_path):
    filled = fill(table(), np.full((2, 3), 0.95), accept=0.9, model="dsrb@b")
    assert said(filled.table) == [["human", "sst@a", "dsrb@b"], ["sst@a", "human", "human"]]
    again = LabelTable.read(filled.save(tmp_path / "t.csv"))
    assert said(again) == said(filled.table)
    assert FilledTable.of(again).source_of(0, 2) == "dsrb@b"
    unsure = fill(table(), np.full((2, 3), 0.5), accept=0.9, model="dsrb@b")
    assert unsure.table.origins.of(0, 2) == "" and unsure.source_of(0, 2) == "dsrb@b"


def test_open_images_tells_people_from_machines(tmp_path):
    rows = [
        "x,verification,/m/dog,1",
        "x,machine,/m/cat,0.9",
        "y,verification,/m/cat,0",
        "y,machine,/m/cat,0.9",
    ]
    (tmp_path / "t.csv").write_text("\n".join(["ImageID,Source,LabelName,Confidence", *rows]) + "\n")
    read = LabelTable.read(tmp_path / "t.csv", machine_from=0.8)
    assert read.labels.tolist() == [[1, 1], [0, -1]]
    assert said(read) == [["open_images:machine", "open_images:human"], ["open_images:human", ""]]
    assert LabelTable.read(tmp_path / "t.csv").origins is None, "all of it is people's"


def test_label_studio_tells_submitted_from_predicted(tmp_path):
    tasks = writers.label_studio(LabelTable(("0.jpg", "1.jpg"), tuple("abc"), LABELS))
    tasks[1]["annotations"] = [{"result": tasks[1]["predictions"][0]["result"], "was_cancelled": False}]
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    read = LabelTable.read(tmp_path / "t.json", absent_control="absent", predictions=True)
    predicted, submitted = "label_studio:prediction", "label_studio:submitted"
    assert said(read) == [[predicted, predicted, ""], [submitted] * 3]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_what_fill_wrote_for_others_comes_back_with_its_origins(tmp_path, name):
    filled = fill(table().with_origins(None), np.full((2, 3), 0.95), accept=0.9, model="dsrb@b")
    path = writers.write(filled, tmp_path / name, "fiftyone" if name == "t.json" else None)
    assert said(LabelTable.read(path)) == [["human", "human", "dsrb@b"], ["human"] * 3]


def test_a_line_may_say_where_its_lists_come_from(tmp_path):
    lines = [{"image": "x", "present": ["a"], "source": "ann"}, {"image": "y", "present": ["b"]}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    read = LabelTable.read(tmp_path / "t.jsonl", absent="negative")
    assert read.labels[0, 1] == ABSENT and said(read) == [["ann", "ann"], ["", ""]]
    (tmp_path / "t.jsonl").write_text('{"image": "x", "present": ["a"], "source": 3}')
    with pytest.raises(ValueError, match="line 1: 'source' is 3, not the origin of the line's labels"):
        LabelTable.read(tmp_path / "t.jsonl", absent="unknown")


def test_inspect_counts_by_origin(tmp_path, capsys):
    path, page = table().save(tmp_path / "t.csv"), tmp_path / "p.html"
    assert main(["inspect", str(path), "--out", str(page)]) == 0
    printed = capsys.readouterr().out
    for line in ("from human: 2 present, 0 absent", "from sst@a: 0 present, 2 absent"):
        assert line in printed
    assert "from an unknown source: 1 present, 0 absent" in printed
    assert "Origins of labels" in page.read_text()
