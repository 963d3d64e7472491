"""A calibration set: a fair draw, whole photos written down, and the page that collects them."""

import re
import sqlite3
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi.testclient import TestClient

from partlabel.core.access_control import Guard
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.review import merging
from partlabel.review.decisions import DecisionLog
from partlabel.review.sheet_pages import create
from partlabel.review.sheets import Sheets, complete, draw

HERE = "http://127.0.0.1:8765"
ORIGIN = {"Origin": HERE}
SCRIPTED = ORIGIN | {"HX-Request": "true"}


@pytest.fixture
def log(tmp_path):
    made = DecisionLog(tmp_path / "decisions.sqlite")
    yield made
    made.close()


@pytest.fixture
def sheets(table, log):
    return Sheets(table, log, 5)


def client(sheets):
    page = create(sheets, Guard("127.0.0.1", None, "token"), title="bce@a", run="runs/a", port=8765)
    return TestClient(page, base_url=HERE, follow_redirects=False)


def hidden(text):
    """Read the photo of a page."""
    form = re.search(r'<form class="tags-of-photo".*?</figure>', text, re.DOTALL)
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0]))


def answers(table, present=()):
    return {f"t{c}": "present" if name in present else "absent" for c, name in enumerate(table.classes)}


def plain(images=400):
    names = tuple(f"{n:03}.jpg" for n in range(images))
    return LabelTable(names, ("a", "b"), np.full((images, 2), UNKNOWN, np.int8))


def test_the_draw_is_fair_and_the_same_whatever_the_order_of_the_table():
    table = plain()
    first = [table.images[row] for row in draw(table, None, 0)[:40]]
    turned = table[np.arange(len(table))[::-1]]
    assert [turned.images[row] for row in draw(turned, None, 0)[:40]] == first
    half = table[:200]
    of_half = [name for name in first if name in half.images]
    assert [half.images[row] for row in draw(half, None, 0)[: len(of_half)]] == of_half
    drawn = Counter(row for seed in range(1000) for row in draw(table, None, seed)[:40])
    # Each image is drawn with probability 1/10 from each seed: 100 times of 1,000, standard deviation 9.5.
    assert all(100 - 5 * 9.5 < drawn[row] < 100 + 5 * 9.5 for row in range(len(table)))


def test_the_test_part_is_drawn_from_only_where_it_is_named():
    table = plain(9).with_split(["train", "val", "test"] * 3)
    assert {table.split[row] for row in draw(table, None, 0)} == {"train", "val"}
    assert {table.split[row] for row in draw(table, "test", 0)} == {"test"}
    with pytest.raises(ValueError, match=r"all images are in the part 'test'.* --part test"):
        draw(table.with_split(["test"] * 9), None, 0)


def test_a_photo_is_written_down_whole_and_marked_as_drawn(sheets, log, table):
    photo = sheets.next("desk")
    given = dict.fromkeys(table.classes, "absent") | {"red": "present", "blue": "skip"}
    with pytest.raises(ValueError, match="1 of 4 tags have no answer yet"):
        sheets.answer("desk", "Ada", photo.ask, photo.row, {k: v for k, v in given.items() if k != "red"})
    assert log.since() == [] and log.sheets() == []
    assert sheets.answer("desk", "Ada", photo.ask, photo.row, given)
    assert not sheets.answer("desk", "Ada", photo.ask, photo.row, given)  # sent twice, it counts once
    [sheet] = log.sheets()
    assert (sheet.who, sheet.image, sheet.outcome) == ("Ada", photo.image, "complete")
    assert {event.cls: (event.what, event.sheet) for event in log.since()} == {
        name: (what, sheet.id) for name, what in given.items()
    }
    assert sheets.progress()._replace(people={}) == (1, 5, 0, 0, 0, {})
    assert sheets.progress().people == {"Ada": 1}


def test_undo_takes_a_whole_photo_back_and_shows_it_again(sheets, log, table):
    photo = sheets.next("desk")
    given = dict.fromkeys(table.classes, "present")
    sheets.answer("desk", "Ada", photo.ask, photo.row, given)
    sheet, again = sheets.undo("desk", "Ada")
    assert again.image == photo.image and sheets.given(sheet) == given
    assert log.sheets() == [] and log.tally().answers == {} and len(log.since()) == 8
    assert sheets.undo("desk", "Ada") is None
    assert sheets.next("desk").image == photo.image
    assert sheets.answer("desk", "Ada", again.ask, again.row, given)
    assert len(log.sheets()) == 1


def test_undo_of_the_ordinary_page_takes_the_whole_photo_back_too(sheets, log, table):
    photo = sheets.next("desk")
    sheets.answer("desk", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "present"))
    assert log.undo("desk", "Ada").image == photo.image
    assert log.sheets() == [] and log.tally().answers == {}


def test_people_get_different_photos_and_nobody_more_than_was_asked_for(sheets, table):
    shown = [sheets.next(f"desk {n}") for n in range(7)]
    images = [photo.image for photo in shown[:5]]
    assert len(set(images)) == 5 and shown[5:] == [None, None]
    expected = [table.images[row] for row in sheets.order if not (table.labels[row] != UNKNOWN).all()]
    assert images == expected[:5]
    for n, photo in enumerate(shown[:5]):
        sheets.answer(f"desk {n}", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "absent"))
    assert sheets.progress().done == 5 and sheets.next("desk 6") is None


def test_after_a_restart_it_goes_on_where_it_was(sheets, table, tmp_path):
    photo = sheets.next("desk")
    sheets.answer("desk", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "absent"))
    waiting = sheets.next("desk")
    other = DecisionLog(tmp_path / "decisions.sqlite")
    again = Sheets(table, other, 5)
    assert again.progress() == sheets.progress()
    assert again.next("desk").image == waiting.image
    more = Sheets(table, other, 7)
    assert (more.progress().done, more.progress().wanted) == (1, 7)
    other.close()


def test_images_that_are_known_already_count_without_being_asked(table, log):
    rows = draw(table, None, 0)
    labels = table.labels.copy()
    labels[:] = UNKNOWN
    labels[rows[1]] = PRESENT
    sheets = Sheets(table.with_labels(labels), log, 3)
    asked = []
    while (photo := sheets.next("desk")) is not None:
        asked.append(photo.row)
        sheets.answer("desk", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "absent"))
    assert asked == [rows[0], rows[2]]
    assert (sheets.progress().done, sheets.progress().known) == (3, 1)
    assert complete(log) == {table.images[row] for row in rows[:3]}


def test_a_photo_that_is_skipped_or_unreadable_is_replaced_and_counted(table, log):
    labels = np.full_like(table.labels, UNKNOWN)
    rows = draw(table, None, 0)
    sheets = Sheets(table.with_labels(labels), log, 2, readable=lambda row: row != rows[0])
    first = sheets.next("desk")
    assert first.row == rows[1]
    sheets.skip("desk", "Ada", first.ask, first.row)
    shown = []
    while (photo := sheets.next("desk")) is not None:
        shown.append(photo.row)
        sheets.answer("desk", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "absent"))
    assert shown == rows[2:4]
    assert sheets.progress()[:5] == (2, 2, 0, 1, 1)
    assert complete(log) == {table.images[row] for row in rows[2:4]}


def test_sheets_are_never_changed_or_deleted(sheets, log, table):
    photo = sheets.next("desk")
    sheets.answer("desk", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "absent"))
    with sqlite3.connect(log.path) as base:
        for statement in ("UPDATE sheets SET who = 'Bo'", "DELETE FROM sheets"):
            with pytest.raises(sqlite3.IntegrityError, match="sheets are never"):
                base.execute(statement)


def test_a_log_from_before_there_were_sheets_is_taken_up(tmp_path, table):
    old = tmp_path / "old.sqlite"
    with sqlite3.connect(old) as base:
        base.execute(
            "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL, "
            "desk TEXT NOT NULL, image TEXT NOT NULL, class TEXT NOT NULL, what TEXT NOT NULL, "
            "undoes INTEGER UNIQUE REFERENCES events (id), ask TEXT UNIQUE, probability REAL)"
        )
        base.execute(
            "INSERT INTO events VALUES (1, 'then', 'Ada', 'd', '00.png', 'red', 'present', NULL, 'q', 0.5)"
        )
    base.close()
    log = DecisionLog(old)
    assert [(event.what, event.sheet) for event in log.since()] == [("present", None)]
    assert Sheets(table, log, 2).next("desk") is not None
    log.close()


def test_exported_tables_mark_the_calibration_set_and_fill_its_blanks(sheets, log, table):
    shown = []
    for _ in range(2):
        photo = sheets.next("desk")
        shown.append(photo)
        sheets.answer("desk", "Ada", photo.ask, photo.row, dict.fromkeys(table.classes, "absent"))
    merged = merging.merge(table, log.tally(), complete=complete(log))
    assert merged.calibration == 2
    marks = dict(zip(table.images, merged.table.calibration, strict=True))
    assert {image for image, mark in marks.items() if mark} == {photo.image for photo in shown}
    for photo in shown:
        expected = np.where(table.labels[photo.row] == UNKNOWN, ABSENT, table.labels[photo.row])
        assert (merged.table.labels[photo.row] == expected).all()  # what the table knew stays
    contradicted = sum(int((table.labels[photo.row] == PRESENT).sum()) for photo in shown)
    assert merged.disputed == contradicted  # and is listed where the answer differs
    kept = merging.merge(merged.table, log.tally())
    assert kept.table.calibration == merged.table.calibration


def test_the_page_shows_all_tags_of_a_photo_and_sets_none(sheets, table):
    text = client(sheets).get("/").text
    for column, name in enumerate(table.classes):
        assert f"<legend>{name}</legend>" in text
        assert text.count(f'name="t{column}"') == 3
    assert " checked" not in text
    assert "<b>0</b> of 5 photos" in text
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! src=)|https?://", text)


def test_the_page_takes_a_photo_with_and_without_scripts(sheets, log, table):
    browser = client(sheets)
    first = hidden(browser.get("/").text)
    sent = browser.post(
        "/sheet", data=first | answers(table, ["red"]) | {"what": "complete"}, headers=SCRIPTED
    )
    assert sent.status_code == 200 and "<b>1</b> of 5 photos" in sent.text
    second = hidden(sent.text)
    assert second["row"] != first["row"]
    back = browser.post("/sheet", data=second | answers(table), headers=ORIGIN)
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert [sheet.image for sheet in log.sheets()] == [table.images[int(n["row"])] for n in (first, second)]
    undone = browser.post("/undo", headers=SCRIPTED)
    assert hidden(undone.text)["row"] == second["row"] and "Undone." in undone.text
    assert undone.text.count(" checked") == len(table.classes)  # what was answered is there to be corrected


def test_a_photo_without_all_answers_is_not_saved_and_keeps_those_given(sheets, log, table):
    browser = client(sheets)
    data = hidden(browser.get("/").text) | answers(table, ["red"])
    del data["t2"]
    sent = browser.post("/sheet", data=data, headers=SCRIPTED)
    assert "Not saved yet, no answer for: blue." in sent.text
    assert hidden(sent.text)["row"] == data["row"] and sent.text.count(" checked") == 3
    assert log.sheets() == [] and log.since() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [({"row": "99"}, 404), ({"row": "-1"}, 422), ({"ask": ""}, 422), ({"what": "perhaps"}, 422)],
)
def test_what_makes_no_sense_is_refused_and_writes_nothing(sheets, log, table, change, status):
    browser = client(sheets)
    data = hidden(browser.get("/").text) | answers(table) | {"what": "complete"} | change
    assert browser.post("/sheet", data=data, headers=ORIGIN).status_code == status
    assert browser.post("/sheet", data=data | {"what": "skip"} | change, headers=ORIGIN).status_code == status
    assert log.sheets() == []


def test_answers_from_other_pages_are_refused(sheets, log, table):
    browser = client(sheets)
    data = hidden(browser.get("/").text) | answers(table)
    assert browser.post("/sheet", data=data, headers={"Origin": "http://evil.example"}).status_code == 403
    assert log.sheets() == []


def test_a_set_that_is_complete_says_how_to_go_on(sheets, table):
    browser = client(sheets)
    text = browser.get("/").text
    while "tags-of-photo" in text:
        text = browser.post("/sheet", data=hidden(text) | answers(table), headers=SCRIPTED).text
    assert "The calibration set is complete" in text
    assert "partlabel review runs/a --export reviewed.csv" in text
