"""Progress off a terminal: lines in time, with rate and time left; nothing of short stages, nothing when quiet."""

import subprocess
import sys
import time

import pytest

from partlabel.core import progress_bar
from partlabel.core.progress_bar import Stage, shown_seconds, track


@pytest.fixture
def heard(monkeypatch):
    """Lines are printed, and a stage is long after a twentieth of a second."""
    monkeypatch.delenv("PARTLABEL_QUIET", raising=False)
    for name in progress_bar._RANKS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress_bar, "BEGINS_AFTER", 0.05)
    monkeypatch.setattr(progress_bar, "EVERY", 0.1)


def test_a_long_stage_says_that_it_began_how_far_it_is_and_how_long_it_took(heard, capsys):
    def slow():
        for number in range(6):
            time.sleep(0.1)
            yield number

    assert list(track(slow(), "Caching features", 6, "photos")) == list(range(6))
    first, *between, last = capsys.readouterr().err.splitlines()
    assert first == "Caching features: 6 photos"
    assert any(" of 6 photos, " in line and line.endswith("left") for line in between)
    assert last.startswith("Caching features: 6 photos in 0.") and last.endswith("/s)")


def test_a_stage_tells_the_time_even_while_one_item_takes_long(heard, capsys):
    for _ in track([1], "Fitting", 1):
        time.sleep(0.4)
    assert sum(line == "Fitting: 0 of 1" for line in capsys.readouterr().err.splitlines()) >= 2


def test_a_short_stage_says_nothing(heard, monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "BEGINS_AFTER", 10.0)
    assert list(track(range(5), "Looking")) == list(range(5))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["PARTLABEL_QUIET", "LOCAL_RANK"])
def test_nothing_is_said_when_quiet_or_by_another_process_than_the_first(heard, monkeypatch, capsys, name):
    monkeypatch.setenv(name, "1")
    for _ in track([1, 2], "Looking"):
        time.sleep(0.15)
    progress_bar.say("never")
    assert capsys.readouterr().err == ""


def test_a_line_has_the_rate_and_the_time_left():
    stage = Stage("Training", 20, "epochs")
    stage.advance(5, "validation mAP 51.0 %")
    assert stage.line(50.0) == "Training: 5 of 20 epochs, 10.0 s each, 2 min 30 s left, validation mAP 51.0 %"
    stage.advance(15)
    assert stage.line(2.0) == "Training: 20 of 20 epochs, 10/s, validation mAP 51.0 %"
    stage.close()


def test_batches_count_as_the_items_in_them(heard, capsys):
    for _ in track([["a", "b"], ["c"]], "Looking", 3, "photos", each=2):
        time.sleep(0.1)
    assert "Looking: 3 photos in" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("seconds", "said"), [(3.21, "3.2 s"), (42.4, "42 s"), (125.0, "2 min 5 s"), (4330.0, "1 h 12 min")]
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert shown_seconds(seconds) == said


def test_an_error_in_a_stage_ends_it(heard, capsys):
    def fail():
        with progress_bar.progress("Fitting", 3) as advance:
            time.sleep(0.1)
            advance(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    said = capsys.readouterr().err.splitlines()
    time.sleep(0.25)
    assert said[-1].startswith("Fitting: 1 in") and capsys.readouterr().err == ""


def test_progress_imports_nothing_heavy():
    code = "import sys, partlabel.core.progress_bar; print([m for m in ('torch', 'rich', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
