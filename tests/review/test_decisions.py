"""Decisions are events in a file that outlives whoever writes it; nobody is asked what somebody else is being asked."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.review.decisions import Cell, DecisionLog

DOG, CAT = Cell("a.jpg", "dog"), Cell("a.jpg", "cat")


def take(cells):
    """Reserve the first of the cells that is not reserved by another desk."""
    return lambda others, own: next((cell for cell in cells if cell not in others), None)


def test_an_answer_says_who_when_what_and_of_what(log):
    assert log.answer("q1", "desk", "Ada", DOG, "present", 0.75)
    (event,) = log.since()
    assert event == (
        1,
        "1970-01-12T13:46:40.000+00:00",
        "Ada",
        "desk",
        "a.jpg",
        "dog",
        "present",
        None,
        0.75,
        None,
        None,
        None,
        None,
    )
    assert log.tally().label(DOG) == PRESENT
    assert log.tally().label(CAT) == UNKNOWN


def test_an_answer_sent_twice_counts_once(log):
    assert log.answer("q1", "desk", "Ada", DOG, "present")
    assert not log.answer("q1", "desk", "Ada", DOG, "present")
    assert len(log.since()) == 1


def test_an_answer_taken_back_leaves_both_events_and_no_label(log):
    log.answer("q1", "desk", "Ada", DOG, "present")
    log.answer("q2", "desk", "Ada", CAT, "absent")
    assert log.undo("desk", "Ada").cell == CAT
    assert [(event.what, event.undoes) for event in log.since()] == [
        ("present", None), ("absent", None), ("undo", 2),
    ]  # fmt: skip
    assert (log.tally().label(DOG), log.tally().label(CAT)) == (PRESENT, UNKNOWN)
    assert log.undo("desk", "Ada").cell == DOG
    assert log.undo("desk", "Ada") is None
    assert log.tally().answers == {}


def test_taking_back_uncovers_what_was_said_before(log):
    log.answer("q1", "desk", "Ada", DOG, "absent")
    log.answer("q2", "desk", "Ada", DOG, "present")
    log.undo("desk", "Ada")
    assert log.tally().label(DOG) == ABSENT


def test_a_desk_takes_back_its_own_answers_alone(log):
    log.answer("q1", "one", "Ada", DOG, "present")
    log.answer("q2", "other", "Bob", CAT, "present")
    assert log.undo("one", "Ada").cell == DOG
    assert log.undo("one", "Ada") is None


def test_of_two_people_the_later_stands_and_they_are_known_to_disagree(log):
    log.answer("q1", "one", "Ada", DOG, "present")
    log.answer("q2", "other", "Bob", DOG, "absent")
    tally = log.tally()
    assert tally.label(DOG) == ABSENT
    assert tally.disagrees(DOG)
    log.answer("q3", "other", "Bob", DOG, "present")
    tally = log.tally()
    assert tally.label(DOG) == PRESENT
    assert not tally.disagrees(DOG)


def test_a_skip_is_no_label_and_no_disagreement(log):
    log.answer("q1", "one", "Ada", DOG, "skip")
    assert log.tally().label(DOG) == UNKNOWN
    assert log.tally().skipped("Ada") == {DOG}
    assert log.tally().skipped("Bob") == frozenset()
    log.answer("q2", "other", "Bob", DOG, "absent")
    tally = log.tally()
    assert tally.label(DOG) == ABSENT
    assert not tally.disagrees(DOG)
    assert tally.counts() == {"Bob": 1}


def test_nobody_changes_or_deletes_an_event(log):
    log.answer("q1", "desk", "Ada", DOG, "present")
    other = sqlite3.connect(log.path)
    for attempt in ("UPDATE events SET what = 'absent'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="events are never"):
            other.execute(attempt)
    other.close()


def test_two_desks_get_different_questions(log):
    assert log.claim("one", take([DOG, CAT])) == DOG
    assert log.claim("other", take([DOG, CAT])) == CAT
    assert log.claim("third", take([DOG, CAT])) is None


def test_a_lease_runs_out(log):
    assert log.claim("one", take([DOG])) == DOG
    log.clock.now += 59
    assert log.claim("other", take([DOG])) is None
    log.clock.now += 1
    assert log.claim("other", take([DOG])) == DOG


def test_a_desk_that_asks_again_is_told_what_it_has_and_lets_go_of_it_for_another(log):
    log.claim("one", take([DOG]))
    seen = []
    assert log.claim("one", lambda others, own: seen.append((others, own)) or CAT) == CAT
    assert seen == [(frozenset(), DOG)]
    assert log.claim("other", take([DOG])) == DOG


def test_an_answer_after_its_lease_counts(log):
    log.claim("one", take([DOG]))
    log.clock.now += 100
    log.claim("other", take([DOG]))
    log.answer("q2", "other", "Bob", DOG, "present")
    assert log.answer("q1", "one", "Ada", DOG, "absent")
    assert log.tally().disagrees(DOG)


def test_a_file_that_is_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("these are my notes, and no decisions at all " * 20)
    with pytest.raises(ValueError, match=r"notes.txt is not a log of decisions: file is not a database"):
        DecisionLog(tmp_path / "notes.txt")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "decisions.sqlite").mkdir()
    with pytest.raises(
        ValueError,
        match=r"decisions.sqlite cannot be opened as a log of decisions: .*; make it and its folder writable",
    ):
        DecisionLog(tmp_path / "decisions.sqlite")


def test_threads_that_answer_at_once_lose_nothing_and_never_meet(tmp_path):
    """Four desks, each with a connection of its own, go through 120 questions."""
    cells = [Cell(f"{number}.jpg", "dog") for number in range(120)]
    path, failures = tmp_path / "d.sqlite", []

    def work(desk):
        log = DecisionLog(path)

        def choose(others, own):
            done = log.tally().answers
            return next((cell for cell in cells if cell not in others and cell not in done), None)

        try:
            while (cell := log.claim(desk, choose)) is not None:
                log.answer(f"{desk} {cell.image}", desk, desk, cell, "present")
        except Exception as error:
            failures.append(error)
        finally:
            log.close()

    threads = [threading.Thread(target=work, args=(f"desk {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    log = DecisionLog(path)
    assert sorted(event.image for event in log.since()) == sorted(cell.image for cell in cells)
    log.close()


WRITER = """
import sys
from pathlib import Path
from partlabel.review.decisions import Cell, DecisionLog
log = DecisionLog(Path(sys.argv[1]))
for number in range(10**6):
    log.answer(f"q{number}", "desk", "Ada", Cell(f"{number}.jpg", "dog"), "present")
    print(number, flush=True)
"""


def test_what_was_decided_survives_the_kill_of_who_wrote_it(tmp_path):
    """Whatever the writer said was written down is there after SIGKILL, in order, with nothing torn."""
    path = tmp_path / "d.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    told = [int(writer.stdout.readline()) for _ in range(25)]
    writer.send_signal(signal.SIGKILL)
    told += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    assert Path(f"{path}-wal").exists()  # it was killed with its log open
    log = DecisionLog(path)
    found = [int(event.image.removesuffix(".jpg")) for event in log.since()]
    log.close()
    assert found[: len(told)] == told
    assert found == list(range(len(found)))
