"""Image files are known by their bytes, and each is read once."""

import os
from hashlib import blake2b

import numpy as np
import pytest

from partlabel.data.cache import file_hashes
from partlabel.data.tables.label_table import LabelTable


@pytest.fixture
def table(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in "ab":
        (tmp_path / "photos" / name).write_text(name)
        os.utime(tmp_path / "photos" / name, (1, 1))
    return LabelTable(("a", "b"), ("x",), np.zeros((2, 1), np.int8), None, tmp_path / "photos")


@pytest.fixture
def read(monkeypatch):
    """Record the names of the files that were read."""
    names, hash_of = [], file_hashes._hash
    monkeypatch.setattr(file_hashes, "_hash", lambda path: names.append(path.name) or hash_of(path))
    return names


def expected(text):
    return blake2b(text.encode(), digest_size=16).hexdigest()


def test_files_are_read_once_and_again_only_if_they_changed(table, tmp_path, read):
    for _ in range(2):
        assert file_hashes.hashes(table, tmp_path / "m") == [expected("a"), expected("b")]
    assert sorted(read) == ["a", "b"]
    table.path(1).write_text("other")
    os.utime(table.path(1), (2, 2))
    assert file_hashes.hashes(table, tmp_path / "m") == [expected("a"), expected("other")]
    assert file_hashes.hashes(table[[1, 0]], tmp_path / "m") == [expected("other"), expected("a")]
    assert sorted(read) == ["a", "b", "b"]


def test_a_file_changed_just_now_is_not_remembered(table, tmp_path, read):
    """Its time may be too coarse to tell the next change apart."""
    table.path(1).write_text("new")
    for _ in range(2):
        assert file_hashes.hashes(table, tmp_path / "m")[1] == expected("new")
    assert sorted(read) == ["a", "b", "b"]


def test_a_damaged_memory_is_made_anew(table, tmp_path, read):
    file_hashes.hashes(table, tmp_path / "m")
    (book,) = (tmp_path / "m").iterdir()
    book.write_bytes(book.read_bytes()[:100])
    assert file_hashes.hashes(table, tmp_path / "m") == [expected("a"), expected("b")]
    file_hashes.hashes(table, tmp_path / "m")
    assert sorted(read) == ["a", "a", "b", "b"]


def test_a_missing_image_is_named(table, tmp_path):
    table.path(0).unlink()
    with pytest.raises(FileNotFoundError, match="photos/a"):
        file_hashes.hashes(table, tmp_path / "m")
