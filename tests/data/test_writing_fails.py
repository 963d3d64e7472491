"""A full disk at each write: one line that names the file, nothing half-written, and what was there stays."""

import errno
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from partlabel.cli.main import main
from partlabel.core.files import atomic_write, folder_aside, sweep, write_json, writing
from partlabel.data import writers
from partlabel.data.cache import file_hashes
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable

resource = pytest.importorskip("resource", reason="limits of Unix")


@contextmanager
def full_disk(after=16):
    """A limit on the size of files stands for a full disk; it also holds for what Rust and C++ write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def table():
    return LabelTable(("a.jpg", "b.jpg"), ("cat", "dog"), np.array([[1, 0], [-1, 1]], np.int8))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_table_that_finds_no_room_names_its_file(table, tmp_path, suffix, filled):
    out = tmp_path / f"out.{suffix}"
    out.write_text("before")
    with full_disk(), pytest.raises(OSError, match=rf"^cannot write {out}: file too large$"):
        writers.write(FilledTable.of(table) if filled else table, out)
    assert out.read_text() == "before" and os.listdir(tmp_path) == [out.name]


@pytest.mark.parametrize("writer", ["label_studio", "fiftyone"])
def test_so_does_what_is_written_for_other_programs(table, tmp_path, writer):
    with (
        full_disk(),
        pytest.raises(OSError, match=rf"^cannot write {tmp_path / 'out.json'}: file too large$"),
    ):
        writers.write(table, tmp_path / "out.json", writer)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("verb", ["import", "hide", "split"])
def test_every_verb_that_writes_a_table_says_it_in_one_line(tmp_path, capsys, verb, suffix):
    rows = "".join(f"{number}.jpg,{number % 2},{number % 3 % 2}\n" for number in range(40))
    (tmp_path / "t.csv").write_text("image,cat,dog\n" + rows)
    out = tmp_path / f"out.{suffix}"
    words = [verb, str(tmp_path / "t.csv"), "--out", str(out)]
    with full_disk():
        assert main([*words, "--known", "0.5"] if verb == "hide" else words) == 2
    assert capsys.readouterr().err == f"partlabel: cannot write {out}: file too large\n"
    assert os.listdir(tmp_path) == ["t.csv"]


@pytest.mark.parametrize("library", ["safetensors", "torch", "pyarrow", "matplotlib", "json"])
def test_whichever_library_writes_the_file_is_named(tmp_path, library):
    def write(path):
        if library == "safetensors":
            from safetensors.numpy import save_file

            save_file({"a": np.zeros(99)}, path)
        elif library == "torch":
            import torch

            torch.save({"a": torch.zeros(999)}, path)
        elif library == "pyarrow":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({"a": [1] * 99}), path)
        elif library == "matplotlib":
            from matplotlib.figure import Figure

            Figure().savefig(path, format="png")
        else:
            path.write_text(json.dumps([1] * 99))

    with (
        full_disk(),
        pytest.raises(OSError, match=rf"^cannot write {tmp_path / 'x'}: "),
        atomic_write(tmp_path / "x") as aside,
    ):
        write(aside)
    assert os.listdir(tmp_path) == []


def test_what_is_no_fault_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match=r"^a\.jpg: truncated$"), atomic_write(tmp_path / "x"):
        raise OSError("a.jpg: truncated")
    with pytest.raises(ValueError, match=r"^odd$"), atomic_write(tmp_path / "x"):
        raise ValueError("odd")
    with pytest.raises(PermissionError) as found, writing(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/photo.jpg")
    assert found.value.filename == "/elsewhere/photo.jpg"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with (  # noqa: PT012
        pytest.raises(OSError, match=rf"^cannot write {tmp_path}/model/b: "),
        folder_aside(tmp_path / "model") as aside,
    ):
        (aside / "a").write_text("1")
        with full_disk(), atomic_write(aside / "b") as file:
            file.write_text("2" * 99)
    assert os.listdir(tmp_path) == []
    with folder_aside(tmp_path / "model") as aside:
        (aside / "a").write_text("1")
    (tmp_path / "model/mine").write_text("kept")
    with folder_aside(tmp_path / "model") as aside:
        (aside / "a").write_text("2")
    assert sorted(os.listdir(tmp_path / "model")) == ["a", "mine"]
    assert (tmp_path / "model/a").read_text() == "2" and os.listdir(tmp_path) == ["model"]


def test_what_a_kill_left_of_the_list_of_hashes_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"1")
    os.utime(tmp_path / "photos/a.jpg", (1, 1))
    memory = tmp_path / "memory"
    memory.mkdir()
    left, ours = memory / f".x.{dead.pid}.part.parquet", memory / f".x.{os.getpid()}.part.parquet"
    left.touch(), ours.touch()
    file_hashes.hashes(
        LabelTable(("a.jpg",), (), np.zeros((1, 0), np.int8), root=tmp_path / "photos"), memory
    )
    assert not left.exists() and ours.exists()
    sweep(tmp_path / "nowhere")


def test_numbers_that_json_has_no_word_for_leave_the_file_as_it_was(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert json.loads((tmp_path / "a.json").read_text()) == [1] and os.listdir(tmp_path) == ["a.json"]
