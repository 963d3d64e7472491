"""Folders that came from elsewhere, and guessers of tokens: decisions stay in the run's own file."""

import asyncio
import os
import shutil
import sqlite3
import time

import pytest

import loops
from partlabel.core.access_control import Guard
from partlabel.core.labels import ABSENT, PRESENT
from partlabel.review.decisions import Cell, DecisionLog, new_name
from partlabel.review.decisions_copy import opened_read_only


def decided(path):
    decisions = DecisionLog(path)
    decisions.answer(new_name(), "desk", "Ada", Cell("a.jpg", "dog"), "present", 0.5)
    decisions.answer(new_name(), "desk", "Ada", Cell("b.jpg", "dog"), "absent", 0.5)
    return decisions


def tally_of(path):
    with opened_read_only(path) as decisions:
        return decisions.tally()


def test_a_linked_file_is_not_written_to(tmp_path):
    other = tmp_path / "theirs.sqlite"
    sqlite3.connect(other).close()
    other.write_bytes(b"")
    (tmp_path / "decisions.sqlite").symlink_to(other)
    for read in (DecisionLog, tally_of):
        with pytest.raises(
            ValueError,
            match=r"decisions.sqlite is a link or a special file, but decisions must be in a regular file",
        ):
            read(tmp_path / "decisions.sqlite")
    assert other.read_bytes() == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "decisions.sqlite")
    with pytest.raises(ValueError, match="is a link or a special file"):
        tally_of(tmp_path / "decisions.sqlite")


def test_a_file_damaged_in_the_middle_is_named(tmp_path):
    path = tmp_path / "decisions.sqlite"
    decided(path).close()
    whole = bytearray(path.read_bytes())
    whole[4096:] = bytes(len(whole) - 4096)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"decisions.sqlite .*move it away to start a new one"):
        tally_of(path)
    with pytest.raises(ValueError, match=r"decisions.sqlite .*move it away to start a new one"):
        DecisionLog(path).tally()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("CREATE TABLE events (id INTEGER)", "is not a log of decisions: no such column"),
        (
            "CREATE VIEW events AS SELECT 1 AS id",
            "cannot be opened as a log of decisions: views may not be indexed",
        ),
    ],
)
def test_another_programs_database_is_refused(tmp_path, table, said):
    path = tmp_path / "decisions.sqlite"
    base = sqlite3.connect(path)
    base.execute(table)
    base.commit()
    base.close()
    with pytest.raises(ValueError, match=rf"decisions.sqlite {said}"):
        tally_of(path)


@pytest.mark.parametrize(("column", "value"), [("what", "maybe"), ("image", b"\x00"), ("who", 3.5)])
def test_events_of_the_wrong_kind_are_named(tmp_path, column, value):
    path = tmp_path / "decisions.sqlite"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE events (id, at, who, desk, image, class, what, undoes, probability, ask)")
    row = {"id": 1, "at": "t", "who": "w", "desk": "d", "image": "i", "class": "c", "what": "skip"} | {
        column: value
    }
    base.execute(
        f"INSERT INTO events ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )
    base.commit()
    base.close()
    with pytest.raises(ValueError, match=r"event 1 is not a valid decision; the file is damaged"):
        tally_of(path)


def test_what_was_decided_is_read_without_writing_beside_it(tmp_path):
    """The server may still run, its last answers in the log beside the file; the folder may be read-only."""
    path = tmp_path / "decisions.sqlite"
    decisions = decided(path)
    before = {each: (tmp_path / each).read_bytes() for each in os.listdir(tmp_path)}
    os.chmod(tmp_path, 0o555)
    try:
        tally = tally_of(path)
    finally:
        os.chmod(tmp_path, 0o755)
    assert before == {each: (tmp_path / each).read_bytes() for each in os.listdir(tmp_path)}
    assert tally.label(Cell("a.jpg", "dog")) == PRESENT and tally.label(Cell("b.jpg", "dog")) == ABSENT
    decisions.close()
    assert tally_of(path).label(Cell("a.jpg", "dog")) == PRESENT


def test_a_log_that_changes_while_it_is_copied_is_copied_again(tmp_path, monkeypatch):
    path = tmp_path / "decisions.sqlite"
    server = decided(path)
    copy, read_only = shutil.copyfile, []

    def copying(source, target):
        copy(source, target)
        if not read_only:  # the server answers once more, after its file was copied and before its log was
            server.answer(new_name(), "desk", "Ada", Cell("c.jpg", "dog"), "present")
        read_only.append(source)

    monkeypatch.setattr("partlabel.review.decisions_copy.shutil.copyfile", copying)
    assert tally_of(path).label(Cell("c.jpg", "dog")) == PRESENT
    assert len(read_only) == 4, "both files, twice"
    server.close()


def test_a_log_that_changes_all_the_time_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "decisions.sqlite"
    server = decided(path)
    copy = shutil.copyfile

    def copying(source, target):
        copy(source, target)
        server.answer(new_name(), "desk", "Ada", Cell("c.jpg", "dog"), "present")

    monkeypatch.setattr("partlabel.review.decisions_copy.shutil.copyfile", copying)
    with pytest.raises(
        OSError, match=r"decisions.sqlite is written to all the time and cannot be copied: stop"
    ):
        tally_of(path)
    server.close()


def test_wrong_tokens_wait_for_one_another():
    guard = Guard("0.0.0.0", "a-secret-of-16-letters", "t")
    guard.wait = 0.1
    assert guard.is_guess({}, "wrong") and guard.is_guess({"t": "wrong"}, None)
    assert not guard.is_guess({}, None) and not guard.is_guess({"t": guard.token}, "wrong")

    async def several():
        await asyncio.gather(*(guard.slow_down() for _ in range(5)))

    began = time.monotonic()
    loops.run(several())
    assert time.monotonic() - began >= 0.5


def test_a_short_token_is_refused():
    pytest.importorskip("fastapi")
    from partlabel.review import build

    with pytest.raises(
        ValueError, match=r"--token has 6 characters and could be guessed: give 16 or more, or omit --token"
    ):
        build.token_for("0.0.0.0", "secret")
