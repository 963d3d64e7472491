"""Texts of photos on the command line: `--texts`, as it is typed."""

import json
from pathlib import Path

import pytest

from partlabel.cli.main import main
from partlabel.data.tables.label_table import LabelTable
from tiny import TINY_NETWORK

pytestmark = pytest.mark.filterwarnings("ignore:.*photos have no text", "ignore:.*never present")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("image,split,cat,dog,notes,caption\na.jpg,train,1,0,by a river,a cat\nb.jpg,test,0,,,\n")
    (tmp_path / "c.csv").write_text("image,text\nb.jpg,two dogs\n")
    return path


def test_import_says_what_is_text_and_stores_it(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out.csv"
    typed = [
        "import",
        str(labels),
        "--out",
        str(out),
        "--texts",
        f"{tmp_path / 'c.csv'}",
        "--texts=column:notes",
    ]
    assert main(typed) == 0
    said = capsys.readouterr().out
    assert "parts in column 'split', texts in column 'caption'. Classes: cat, dog." in said
    assert "2 of 2 photos have text (3 texts)" in said
    assert LabelTable.read(out).texts == (("a cat", "by a river"), ("two dogs",))


def test_texts_leave_for_other_programs_only_on_request(labels: Path, tmp_path: Path) -> None:
    for to, name in (("jsonl", "t.jsonl"), ("label_studio", "l.json"), ("fiftyone", "f.json")):
        typed = ["import", str(labels), "--texts=column:notes", "--to", to, "--out", str(tmp_path / name)]
        assert main(typed) == 0
        assert "river" not in (tmp_path / name).read_text()
        assert main([*typed, "--with-texts"]) == 0
        assert "by a river" in (tmp_path / name).read_text()
    samples = json.loads((tmp_path / "f.json").read_text())
    assert samples["samples"][0]["text"] == ["a cat", "by a river"]
    assert samples["sample_fields"]["text"].startswith("fiftyone.core.fields.ListField")
    task = json.loads((tmp_path / "l.json").read_text())[0]
    assert task["data"]["text"] == "a cat\nby a river"


def test_split_and_hide_keep_texts(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "many.csv").write_text(
        "image,cat,caption\n" + "".join(f"{at}.jpg,{at % 2},cat {at} asleep\n" for at in range(20))
    )
    assert main(["split", str(tmp_path / "many.csv"), "--out", str(tmp_path / "s.csv")]) == 0
    assert main(["hide", str(tmp_path / "s.csv"), "--known", "0.5", "--out", str(tmp_path / "h.csv")]) == 0
    assert capsys.readouterr().out.count("20 of 20 photos have text") == 2
    assert LabelTable.read(tmp_path / "h.csv").texts == tuple((f"cat {at} asleep",) for at in range(20))


def test_inspect_describes_texts(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    typed = ["inspect", str(labels), "--format.leave_out", "[notes]"]
    assert main([*typed, "--out", str(tmp_path / "page.html")]) == 0
    said = capsys.readouterr().out
    assert "classes that no text mentions: dog</li>" in (tmp_path / "page.html").read_text()
    assert "texts: 1 of 2 photos have text, 1.0 each, of 2.0 words on average" in said
    assert "classes that no text mentions: dog" in said
    assert "embedder of texts: " in said and "of the words are in its vocabulary" in said
    assert main([*typed, "--texts", str(tmp_path / "c.csv")]) == 0
    assert "no text mentions" not in capsys.readouterr().out
    assert main([*typed, "--texts", "none"]) == 0
    assert "texts:" not in capsys.readouterr().out


def test_an_unknown_source_is_refused(labels: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["inspect", str(labels), "--format.leave_out", "[notes]", "--texts", "exfi"]) == 2
    assert "no source of texts 'exfi' (did you mean 'exif'?)" in capsys.readouterr().err


def test_a_list_of_sources_may_be_given_at_once(labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    assert main(["import", str(labels), "--texts", "[none, 'column:notes']", "--out", str(out)]) == 0
    assert LabelTable.read(out).texts == (("by a river",), ())


def test_import_keeps_texts_of_a_filled_table(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("image,text,cat,cat:p,cat:source\na.jpg,a tom,1,0.9,m@r\n")
    (tmp_path / "c.csv").write_text("image,text\na.jpg,asleep\n")
    out = tmp_path / "o.csv"
    assert (
        main(["import", str(tmp_path / "f.csv"), "--texts", str(tmp_path / "c.csv"), "--out", str(out)]) == 0
    )
    assert out.read_text().startswith('image,text,cat,cat:p,cat:source\na.jpg,"a tom\nasleep",1,0.9,m@r')


def test_a_run_keeps_the_texts_of_its_table(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "c.csv").write_text("image,caption\n00.png,a red square\n30.png,a blue disc\n")
    run, table = tmp_path / "run", str(collection / "labels.csv")
    small = ["--method", "bce", *TINY_NETWORK, "--epochs", "1"]
    texts = ["--images", str(collection / "photos"), "--texts", str(tmp_path / "c.csv")]
    assert main(["train", table, *texts, *small, "--weight-decay", "0.01", "--out", str(run)]) == 0
    assert "2 of 32 photos have text (2 texts)" in capsys.readouterr().out
    out = tmp_path / "filled.csv"
    assert main(["fill", str(run), "--accept", "0.9", "--out", str(out)]) == 0
    assert "2 of 32 photos have text" in capsys.readouterr().out
    kept = LabelTable.read(out).texts
    assert kept is not None and (kept[0], kept[30], sum(map(len, kept))) == (
        ("a red square",),
        ("a blue disc",),
        2,
    )
    assert main(["fill", str(run), table, *texts, "--texts", "none", "--out", str(out)]) == 0
    assert LabelTable.read(out).texts is None
    assert main(["fill", str(run), table, *texts, "--engine", "local"]) == 2
    assert "leave out --texts" in capsys.readouterr().err


def test_train_names_the_column_of_texts_that_it_found(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    lines = (collection / "labels.csv").read_text().splitlines()
    with_texts = [f"{lines[0]},caption", *(f"{line},a red square" for line in lines[1:])]
    (tmp_path / "labels.csv").write_text("\n".join(with_texts))
    typed = ["--method", "bce", *TINY_NETWORK, "--epochs", "1", "--weight-decay", "0.01"]
    photos = ["--images", str(collection / "photos"), "--out", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "labels.csv"), *photos, *typed]) == 0
    assert f"texts, in column 'caption' of {tmp_path / 'labels.csv'})" in capsys.readouterr().out
