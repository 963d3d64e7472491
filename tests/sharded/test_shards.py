"""Shards: what an engine makes of them together is what one process makes of the whole; killed, it goes on."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from drawings import COLOURS
from partlabel import LabelTable, Tagger, sharded
from partlabel.cli.main import main
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.filled import FilledTable
from partlabel.nn.classes import Classes
from partlabel.posthoc.label_completion import Completion
from partlabel.sharded import webdataset
from partlabel.sharded.engines.local import Local


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save a tagger with random weights and a label completion; return its folder."""
    tagger = Tagger(list(COLOURS), "bce", backbone="test_resnet", pretrained=False, image_size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tagger.model = tagger.build(Classes(tagger.classes)).eval()
    votes = np.random.RandomState(0).randn(4, 4).astype(np.float32) * (1 - np.eye(4, dtype=np.float32))
    tagger.completion = Completion(votes)
    return tagger.save(tmp_path_factory.mktemp("runs") / "a")


@pytest.fixture
def table(collection):
    return collection / "labels.csv"


def asked(saved, out, verb="predict", **options):
    return sharded.Job(verb, saved, out, **options)


def together(out):
    """Return the rows of all results, by image."""
    files = sorted(path for path in Path(out).glob("*.parquet"))
    return pl.concat([pl.read_parquet(path) for path in files]).sort("image")


def same(found, expected, tolerance=1e-6):
    assert found.columns == expected.columns
    assert found.schema == expected.schema
    for name in expected.columns:
        if expected[name].dtype == pl.Float32:
            assert found[name].is_null().equals(expected[name].is_null())
            one, other = found[name].fill_null(0), expected[name].fill_null(0)
            np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=0, atol=tolerance)
        else:
            assert found[name].to_list() == expected[name].to_list(), name


def tar(path, photos, known=None):
    """A tar file of photos, as webdataset has them: `known` beside each."""
    with tarfile.open(path, "w") as file:
        for photo in photos:
            file.add(photo, photo.name)
            if known is not None:
                text = json.dumps({"labels": known(photo.name), "caption": "squares"}).encode()
                entry = tarfile.TarInfo(f"{photo.stem}.json")
                entry.size = len(text)
                file.addfile(entry, BytesIO(text))


def known_of(table):
    """Return the known labels of an image, in the format of a tar file."""

    def known(image):
        labels = table.labels[table.images.index(image)].tolist()
        codes = {1: 1, 0: 0, UNKNOWN: None}
        return {name: codes[label] for name, label in zip(table.classes, labels, strict=True)}

    return known


@pytest.mark.parametrize("size", [1, 5, 32, 1000])
def test_predictions_in_shards_are_those_of_the_whole(saved, collection, tmp_path, size):
    done = sharded.run(asked(saved, tmp_path / "out"), sharded.of_path(collection / "photos"), Local(size))
    assert done == (tmp_path / "out", -(-32 // size), 0, 32)
    same(together(tmp_path / "out"), Tagger.load(saved).predict(collection / "photos"))


def test_a_table_filled_in_shards_is_filled_as_the_whole(saved, collection, table, tmp_path):
    job = asked(saved, tmp_path / "out", "fill", accept=0.6, reject=0.4)
    sharded.run(job, sharded.of_path(table, collection / "photos"), Local(7))
    whole = Tagger.load(saved).fill(LabelTable.read(table, collection / "photos"), 0.6, 0.4)
    assert whole.table.known > LabelTable.read(table).known, "or the thresholds would not be tested"
    same(together(tmp_path / "out"), whole.frame())
    first = FilledTable.load(tmp_path / "out/000000000000.parquet")
    assert first.table.images == whole.table.images[:7]


def test_columns_in_another_order_are_filled_as_the_models(saved, collection, table, tmp_path):
    whole = LabelTable.read(table, collection / "photos")
    turned = LabelTable(
        whole.images, whole.classes[::-1], np.ascontiguousarray(whole.labels[:, ::-1]), None, whole.root
    )
    sharded.run(asked(saved, tmp_path / "out", "fill"), sharded.of_table(turned), Local(10))
    same(
        together(tmp_path / "out").select("image", "red:p"),
        Tagger.load(saved).fill(whole).frame().select("image", "red:p"),
    )


def test_parquet_tables_in_a_folder_are_shards_as_they_are(saved, collection, table, tmp_path):
    whole = LabelTable.read(table, collection / "photos")
    for name, rows in (("a", slice(0, 20)), ("b", slice(20, 32))):
        whole[rows].save(tmp_path / f"in/{name}.parquet")
    source = sharded.of_path(tmp_path / "in", collection / "photos")
    sharded.run(asked(saved, tmp_path / "out", "fill"), source, Local())
    assert sorted(path.name for path in (tmp_path / "out").glob("*.parquet")) == ["a.parquet", "b.parquet"]
    same(together(tmp_path / "out"), Tagger.load(saved).fill(whole).frame())


def test_what_filled_the_table_of_a_shard_before_stays_said(saved, collection, table, tmp_path):
    first = Tagger.load(saved).fill(LabelTable.read(table, collection / "photos"), 0.6)
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in/a.parquet")
    source = sharded.of_path(tmp_path / "in", collection / "photos")
    sharded.run(asked(saved, tmp_path / "out", "fill"), source, Local())
    second, made = FilledTable.load(tmp_path / "out/a.parquet"), first.table.labels == 1
    assert (~np.isnan(first.probability[made])).any()
    np.testing.assert_array_equal(second.probability[made], first.probability[made])


def test_tar_files_are_shards_as_they_are(saved, collection, table, tmp_path):
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    whole = LabelTable.read(table, collection / "photos")
    photos = sorted((collection / "photos").iterdir())
    (tmp_path / "in").mkdir()
    tar(tmp_path / "in/a.tar", photos[:20], known_of(whole))
    tar(tmp_path / "in/b.tar", photos[20:], known_of(whole))
    sharded.run(asked(saved, tmp_path / "out", "fill"), sharded.of_path(tmp_path / "in"), Local())
    found = together(tmp_path / "out")
    assert found["image"].to_list()[:2] == ["a.tar/00.png", "a.tar/01.png"]
    named = found.with_columns(pl.col("image").str.split("/").list.last())
    same(named, Tagger.load(saved).fill(whole.with_split(None)).frame())


def test_labels_beside_a_photo_are_checked(saved, collection, tmp_path):
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    photos = sorted((collection / "photos").iterdir())[:2]
    for known, said in (({"rde": 1}, r"class 'rde' is not in the model \(did you mean 'red'\?\)"),
                        ({"red": -1}, r"class 'red' is -1; write 1 \(present\), 0 \(absent\) or null"),
                        ([1, 0], r"00\.json is not of the form")):  # fmt: skip
        tar(tmp_path / "a.tar", photos, lambda image, known=known: known)
        with pytest.raises(ValueError, match=said):
            sharded.run(asked(saved, tmp_path / "out", "fill"), sharded.of_path(tmp_path / "a.tar"), Local())


def test_a_tar_file_writes_nowhere_else(saved, collection, tmp_path):
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(collection / "photos/00.png", "../../escaped.png")
    with pytest.raises(ValueError, match="points outside the folder that it is extracted to"):
        sharded.run(asked(saved, tmp_path / "out"), sharded.of_path(tmp_path / "a.tar"), Local())


KILLED = """
import os, signal, sys
from partlabel import sharded as shards
from partlabel.data.tables import io as wide
from partlabel.sharded.engines.local import Local

shard_write, count = wide.write_wide, 0
def write(frame, path):
    global count
    if path.parent.name == "out":
        count += 1
        if count == 3:
            path.with_name(f".{path.stem}.1.part.parquet").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    return shard_write(frame, path)
wide.write_wide = write
saved, photos, out = sys.argv[1:]
from pathlib import Path
shards.run(shards.Job("predict", Path(saved), Path(out)), shards.of_path(Path(photos)), Local(5))
"""


def test_a_killed_run_goes_on_where_it_stopped(saved, collection, tmp_path):
    out, photos = tmp_path / "out", collection / "photos"
    script = [sys.executable, "-c", KILLED, str(saved), str(photos), str(out)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    written = {path.name: path.stat().st_mtime_ns for path in out.glob("[!.]*.parquet")}
    assert list(sorted(written)) == ["000000000000.parquet", "000000000005.parquet"]

    assert sharded.run(asked(saved, out), sharded.of_path(photos), Local(5)) == (out, 7, 2, 22)
    assert all((out / name).stat().st_mtime_ns == time for name, time in written.items())
    assert not list(out.glob(".*")), "what was half written is gone"
    same(together(out), Tagger.load(saved).predict(photos))
    assert sharded.run(asked(saved, out), sharded.of_path(photos), Local(5)) == (out, 7, 7, 0)


def test_a_kill_while_the_input_is_cut_leaves_nothing_that_is_believed(saved, collection, tmp_path):
    out = tmp_path / "out"
    (out / "input").mkdir(parents=True)
    for name in ("000000000000", "000000000013"):
        (out / f"input/{name}.parquet").write_bytes(b"of a kill")
    sharded.run(asked(saved, out), sharded.of_path(collection / "photos"), Local(20))
    assert [path.name for path in sorted((out / "input").iterdir())] == [
        "000000000000.parquet",
        "000000000020.parquet",
    ]
    assert together(out).height == 32


def test_a_damaged_result_is_made_again(saved, collection, tmp_path):
    out, photos = tmp_path / "out", sharded.of_path(collection / "photos")
    sharded.run(asked(saved, out), photos, Local(16))
    damaged = out / "000000000016.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert sharded.run(asked(saved, out), photos, Local(16)).kept == 1
    assert together(out).height == 32


def test_shards_of_another_request_are_refused(saved, collection, table, tmp_path):
    out, photos = tmp_path / "out", collection / "photos"
    job = asked(saved, out, "fill", accept=0.9)
    sharded.run(job, sharded.of_path(table, photos), Local(16))
    before = (out / "request.json").read_text()
    for other, source, size, said in (
        (asked(saved, out, "fill", accept=0.8), table, 16, "accept was 0.9 and is 0.8"),
        (asked(saved, out, "predict"), table, 16, "verb was fill and is predict; accept was 0.9 and is None"),
        (job, table, 8, "shard_size was 16 and is 8"),
    ):
        with pytest.raises(ValueError, match=rf"out holds shards of another request: {said}.*--out"):
            sharded.run(other, sharded.of_path(source, photos), Local(size))
    changed = LabelTable.read(table, photos)
    shards_of_changed = sharded.of_table(changed.with_labels(np.full_like(changed.labels, UNKNOWN)))
    with pytest.raises(ValueError, match="its images or known labels were different"):
        sharded.run(job, shards_of_changed, Local(16))
    assert (out / "request.json").read_text() == before
    assert sharded.run(job, sharded.of_path(table, photos), Local(16)).kept == 2


def test_another_model_is_another_request(saved, collection, tmp_path):
    out, photos = tmp_path / "out", sharded.of_path(collection / "photos")
    sharded.run(asked(saved, out), photos, Local(16))
    tagger = Tagger.load(saved)
    tagger.completion = None
    with torch.no_grad():
        next(tagger.model.parameters()).add_(1)
    with pytest.raises(ValueError, match="the model was a different one"):
        sharded.run(asked(tagger.save(tmp_path / "b"), out), photos, Local(16))


def test_a_folder_of_other_things_is_left_alone(saved, collection, tmp_path):
    (tmp_path / "thesis.txt").write_text("...")
    with pytest.raises(ValueError, match=r"holds other files: thesis\.txt; give another out"):
        sharded.run(asked(saved, tmp_path), sharded.of_path(collection / "photos"), Local())
    LabelTable.read(collection / "labels.csv").save(tmp_path / "in/a.parquet")
    source = sharded.of_path(tmp_path / "in", collection / "photos")
    with pytest.raises(ValueError, match="the results would take the place of the shards"):
        sharded.run(asked(saved, tmp_path / "in", "fill"), source, Local())


def test_broken_photos_stop_their_own_shard_alone(saved, collection, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("00.png", "01.png", "02.png", "04.png"):
        os.link(collection / "photos" / name, photos / name)
    (photos / "03.png").write_bytes(b"no picture")
    out, source = tmp_path / "out", sharded.of_path(photos)
    with pytest.raises(ValueError, match=r"(?s)1 of 3 shards failed.*000000000002.*03\.png: not an image"):
        sharded.run(asked(saved, out), source, Local(2))
    assert together(out)["image"].to_list() == ["00.png", "01.png", "04.png"]
    done = sharded.run(asked(saved, out, skip_broken=True), source, Local(2))
    assert (done.kept, done.images) == (2, 1)
    same(together(out), Tagger.load(saved).predict(photos, skip_broken=True))


@pytest.mark.parametrize("verb", ["predict", "fill"])
def test_a_shard_of_broken_photos_is_empty_where_they_are_left_out(saved, collection, tmp_path, verb):
    table = LabelTable(
        ("00.png", "gone.png"), tuple(COLOURS), np.full((2, 4), UNKNOWN, np.int8), None, collection / "photos"
    )
    sharded.run(asked(saved, tmp_path / "out", verb, skip_broken=True), sharded.of_table(table), Local(1))
    found = together(tmp_path / "out")
    assert found["image"].to_list() == ["00.png"]
    assert pl.read_parquet(tmp_path / "out/000000000001.parquet").height == 0


def test_an_image_in_two_shards_is_refused(saved, collection, tmp_path):
    (tmp_path / "twice.csv").write_text(
        "image,red\n" + "".join(f"{name}.png,\n" for name in ("00", "01", "02", "00"))
    )
    source = sharded.of_path(tmp_path / "twice.csv", collection / "photos")
    with pytest.raises(ValueError, match=r"image '00\.png' has rows in more than one shard"):
        sharded.run(asked(saved, tmp_path / "out"), source, Local(2))


def test_the_command_line_works_in_shards(saved, collection, table, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["predict", str(saved), str(collection / "photos"), "--engine", "local", "--out", str(out)]
    assert main([*words, "--engine.shard_size", "20"]) == 0
    assert capsys.readouterr().out == f"{out}: 2 shards; 32 images in this run\n"
    assert main([*words, "--engine.shard_size", "20"]) == 0
    assert "2 of them done before; 0 images in this run" in capsys.readouterr().out
    same(together(out), Tagger.load(saved).predict(collection / "photos"))

    filled = ["fill", str(saved), str(table), "--images", str(collection / "photos"), "--engine", "local"]
    assert main([*filled, "--accept", "0.6", "--out", str(tmp_path / "filled")]) == 0
    whole = Tagger.load(saved).fill(LabelTable.read(table, collection / "photos"), 0.6)
    same(together(tmp_path / "filled"), whole.frame())


def test_a_table_whose_format_is_named_is_filled_in_shards_without_the_columns_left_out(
    saved, collection, table, tmp_path
):
    noted = pl.read_csv(table).with_columns(pl.lit("by the window").alias("note"))
    noted.write_csv(tmp_path / "noted.csv")

    def filled(source, name, *options):
        words = ["fill", str(saved), str(source), "--images", str(collection / "photos"), "--engine", "local"]
        return main([*words, "--format", "wide_csv", *options, "--out", str(tmp_path / name)])

    assert filled(table, "plain") == 0
    assert filled(tmp_path / "noted.csv", "noted", "--format.leave-out", "[note]") == 0
    same(together(tmp_path / "noted"), together(tmp_path / "plain"))


def test_the_command_line_takes_a_list_or_a_photo_too(saved, collection, tmp_path):
    listing = tmp_path / "photos.txt"
    listing.write_text("\n".join(str(collection / "photos" / name) for name in ("03.png", "01.png")))
    for number, source in enumerate([listing, collection / "photos/03.png"]):
        out = tmp_path / str(number)
        assert main(["predict", str(saved), str(source), "--engine", "local", "--out", str(out)]) == 0
        assert together(out)["image"].to_list() == ["01.png", "03.png"][number:]


def test_the_command_line_says_what_an_engine_writes(saved, collection, capsys):
    words = ["predict", str(saved), str(collection / "photos"), "--engine"]
    assert main([*words, "local", "--out", "found.csv"]) == 2
    assert "with --engine, results are parquet files in a folder" in capsys.readouterr().err
    assert main([*words, "locla"]) == 2
    assert "there is no engine 'locla' (did you mean 'local'?)" in capsys.readouterr().err


def test_an_engine_without_its_library_says_how_to_get_it(saved, collection, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["predict", str(saved), str(collection / "photos"), "--engine", "ray"]) == 2
    assert "the engine ray needs Ray Data: pip install 'partlabel[ray]'" in capsys.readouterr().err


def test_tar_files_without_their_library_say_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "a.tar").touch()
    monkeypatch.setattr(webdataset, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"tar files need webdataset: pip install 'partlabel\[ray\]'"):
        sharded.of_path(tmp_path)


def test_a_run_that_has_not_ended_is_seen_before_anything_is_cut(collection, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no tagger"):
        sharded.run(asked(tmp_path / "no", tmp_path / "out"), sharded.of_path(collection / "photos"), Local())
    assert not (tmp_path / "out").exists()
