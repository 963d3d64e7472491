"""Pages of photos: one class, all answers of a page or none, several people, undo, and files of older versions."""

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi.testclient import TestClient

from partlabel.core.access_control import Guard
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.review import ordering
from partlabel.review.decisions import DecisionLog
from partlabel.review.events import Cell
from partlabel.review.grid import Grids
from partlabel.review.grid_pages import create
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.session import Session

HERE = "http://127.0.0.1:8765"
ORIGIN = {"Origin": HERE}
SCRIPTED = ORIGIN | {"HX-Request": "true"}


@pytest.fixture
def grids(session):
    return Grids(session, 4)


def client(session, size=4, **options):
    page = create(session, Guard("127.0.0.1", None, "token"), size=size, title="bce@a", port=8765, **options)
    return TestClient(page, base_url=HERE, follow_redirects=False)


def fields(text):
    """Read the form of a page as a browser would send it."""
    form = re.search(r'<form id="photos".*?</form>', text, re.DOTALL)[0]
    return {
        name: value
        for name, value, rest in re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"([^>]*)>', form)
        if not re.fullmatch(r"p\d+", name) or "checked" in rest
    }


def rows_of(text):
    return [int(row) for row in fields(text)["rows"].split(",")]


def confirm(grids, desk="desk", who="Ada", wish=ANYTHING, **changed):
    grid = grids.next(desk, who, wish)
    given = {tile.row: tile.expected for tile in grid.tiles} | changed
    assert grids.confirm(desk, who, grid.ask, grid.column, given)
    return grid


@pytest.mark.parametrize("order", ["uncertain", "surest", "random", "class"])
def test_a_page_is_of_the_class_of_the_first_question_in_the_same_order(session, grids, order):
    first = session.next("other", "Bo", Wish(order))
    session.decisions.claim("other", lambda others, own: None)
    grid = grids.next("desk", "Ada", Wish(order))
    assert (grid.tiles[0].row, grid.column) == (first.row, first.column)
    key = session.key(order)[:, grid.column]
    wanted = np.flatnonzero(session.table.labels[:, grid.column] == UNKNOWN)
    assert [tile.row for tile in grid.tiles] == sorted(wanted, key=lambda row: key[row])[:4]
    assert all(tile.expected == ("present" if tile.probability >= 0.5 else "absent") for tile in grid.tiles)


def test_all_pages_together_ask_every_unknown_label_once(session, grids):
    asked = []
    while grids.next("desk", "Ada", ANYTHING) is not None:
        grid = confirm(grids)
        asked += [(tile.row, grid.column) for tile in grid.tiles]
    assert len(asked) == len(set(asked)) == session.table.unknown
    assert session.progress("Ada", ANYTHING)[:3] == (len(asked), len(asked), 0)
    for row, column in asked:
        expected = PRESENT if session.probability[row, column] >= 0.5 else ABSENT
        assert session.labels[row, column] == expected


def test_a_page_is_written_all_or_not_at_all(session, grids):
    grid = grids.next("desk", "Ada", ANYTHING)
    known = int(np.flatnonzero(session.table.labels[:, grid.column] != UNKNOWN)[0])
    given = {tile.row: "present" for tile in grid.tiles}
    with pytest.raises(KeyError, match=f"{grid.cls!r} of '\\d\\d.png' is not an unknown label"):
        grids.confirm("desk", "Ada", grid.ask, grid.column, given | {known: "absent"})
    with pytest.raises(KeyError, match="there is no label in row 99"):
        grids.confirm("desk", "Ada", grid.ask, grid.column, given | {99: "absent"})
    with pytest.raises(ValueError, match="0 answers: a page has 1 to 48 photos"):
        grids.confirm("desk", "Ada", grid.ask, grid.column, {})
    assert session.decisions.since() == []
    assert grids.confirm("desk", "Ada", grid.ask, grid.column, given)
    assert not grids.confirm("desk", "Ada", grid.ask, grid.column, given)  # sent twice, it counts once
    events = session.decisions.since()
    assert [(event.page, event.what) for event in events] == [(grid.ask, "present")] * 4
    assert [event.probability for event in events] == pytest.approx(
        [t.probability for t in grid.tiles], abs=1e-6
    )


def test_a_write_that_fails_in_the_middle_leaves_nothing(session, grids):
    grid = grids.next("desk", "Ada", ANYTHING)
    given = {tile.row: "present" for tile in grid.tiles}
    refused = session.table.images[grid.tiles[2].row]
    session.decisions._base.execute(
        "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.events WHEN NEW.image = '" + refused + "' "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    with pytest.raises(ValueError, match="refused"):
        grids.confirm("desk", "Ada", grid.ask, grid.column, given)
    session.decisions._base.execute("DROP TRIGGER refuse")
    assert session.decisions.since() == []
    assert grids.confirm("desk", "Ada", grid.ask, grid.column, given)


def test_undo_takes_a_whole_page_back_and_shows_it_again_with_its_answers(session, grids):
    grid = grids.next("desk", "Ada", ANYTHING)
    given = {
        tile.row: what for tile, what in zip(grid.tiles, ("present", "absent", "skip", "absent"), strict=True)
    }
    grids.confirm("desk", "Ada", grid.ask, grid.column, given)
    second = confirm(grids)
    assert grids.last_words("desk").startswith(f"{second.cls} in {len(second.tiles)} photos")
    again, answers = grids.undo("desk", "Ada")
    assert [t.row for t in again.tiles] == [t.row for t in second.tiles] and again.ask != second.ask
    again, answers = grids.undo("desk", "Ada")
    assert answers == given and {tile.row for tile in again.tiles} == set(given)
    assert (session.labels == session.table.labels).all()
    assert grids.undo("desk", "Ada") == (None, {})
    assert grids.confirm("desk", "Ada", again.ask, again.column, given)


def test_a_single_answer_and_a_page_are_undone_each_by_itself(session, grids):
    confirm(grids)
    before = session.labels.copy()
    question = session.next("desk", "Ada", ANYTHING)
    session.answer("desk", "Ada", question.ask, question.row, question.column, "present")
    grid, answers = grids.undo("desk", "Ada")
    assert answers == {question.row: "present"} and grid.column == question.column
    assert (session.labels == before).all()


def test_pages_of_two_desks_share_no_label_and_nor_does_a_question(session, grids):
    one, two = (grids.next(desk, "Ada", ANYTHING) for desk in ("one", "two"))
    places = {(tile.row, grid.column) for grid in (one, two) for tile in grid.tiles}
    assert len(places) == len(one.tiles) + len(two.tiles)
    question = session.next("three", "Bo", ANYTHING)
    assert (question.row, question.column) not in places
    again = grids.next("one", "Ada", ANYTHING)
    assert again.tiles == one.tiles and again.ask != one.ask  # reloading keeps the page


def test_what_others_have_by_now_is_left_out_of_an_undone_page(session, grids):
    grid = confirm(grids)
    taken = session.cell(grid.tiles[0].row, grid.column)
    session.decisions.claim("other", lambda others, own: taken)
    again, answers = grids.undo("desk", "Ada")
    assert [t.row for t in again.tiles] == [t.row for t in grid.tiles[1:]] == list(answers)


def test_a_page_of_an_undone_review_opened_again_is_as_it_was(session, table, looked, grids):
    confirm(grids)
    session.decisions.undo("desk", "Ada")
    kept = confirm(grids)
    again = Session(table, looked, DecisionLog(session.decisions.path))
    assert {tuple(cell) for cell in np.argwhere(again.labels != table.labels).tolist()} == {
        (tile.row, kept.column) for tile in kept.tiles
    }
    again.decisions.close()


def test_a_log_older_than_pages_is_opened_with_its_answers(tmp_path):
    path = tmp_path / "old.sqlite"
    log = DecisionLog(path)
    log.answer("q", "desk", "Ada", Cell("00.png", "red"), "present")
    log.close()
    with sqlite3.connect(path) as base:
        base.executescript(
            "DROP INDEX of_page; ALTER TABLE events DROP COLUMN page; DROP TABLE leases;"
            "CREATE TABLE leases (image TEXT NOT NULL, class TEXT NOT NULL, desk TEXT NOT NULL UNIQUE,"
            " until REAL NOT NULL, PRIMARY KEY (image, class));"
        )
    log = DecisionLog(path)
    assert [(event.cls, event.page) for event in log.since()] == [("red", None)]
    two = [Cell("00.png", "blue"), Cell("01.png", "blue")]
    assert log.claim_all("desk", lambda others, own: two) == two
    assert log.claim_all("desk", lambda others, own: own) == two
    log.close()


def test_the_page_presets_what_is_expected_and_takes_all_answers(session):
    browser = client(session)
    text = browser.get("/").text
    sent = fields(text)
    rows, column = rows_of(text), int(sent["column"])
    assert f"<h1>{session.table.classes[column]}</h1>" in text
    assert [sent[f"p{row}"] for row in rows] == [
        "present" if session.probability[row, column] >= 0.5 else "absent" for row in rows
    ]
    after = browser.post("/page", data=sent | {f"p{rows[0]}": "skip"}, headers=SCRIPTED)
    assert after.status_code == 200 and fields(after.text)["ask"] != sent["ask"]
    assert session.labels[rows[0], column] == UNKNOWN
    assert all(session.labels[row, column] != UNKNOWN for row in rows[1:])
    undone = browser.post("/undo", headers=SCRIPTED).text
    assert "Undone." in undone and fields(undone)[f"p{rows[0]}"] == "skip"
    assert "There is nothing to undo." in browser.post("/undo", headers=SCRIPTED).text
    moved = browser.post("/page", data=fields(undone), headers=ORIGIN)
    assert (moved.status_code, moved.headers["location"]) == (303, "/?order=class&class=&low=0&high=100")


def test_a_blind_page_sets_no_answer_and_shows_no_probability(session):
    text = client(session, blind=True).get("/").text
    assert not any(re.fullmatch(r"p\d+", name) for name in fields(text))
    assert 'class="probability"' not in text and "Probability" not in text
    browser = client(session, blind=True)
    text = browser.get("/").text
    sent = fields(text) | {f"p{row}": "present" for row in rows_of(text)}
    assert browser.post("/page", data=sent, headers=SCRIPTED).status_code == 200
    assert {event.probability for event in session.decisions.since()} == {None}


def test_a_page_without_all_answers_is_refused_whole(session):
    browser = client(session)
    sent = fields(browser.get("/").text)
    rows = sent["rows"].split(",")
    for changed, status, says in (
        ({f"p{rows[0]}": "perhaps"}, 422, "1 of 4 photos have no answer; nothing is saved"),
        ({"ask": ""}, 422, "not a valid answer"),
        ({"column": "99"}, 404, "there is no label in row"),
        ({"column": "x"}, 404, "there is no label in row"),
        ({"order": "fastest"}, 422, "no valid filter"),
        ({"rows": ""}, 422, "have no answer"),
    ):
        answered = browser.post("/page", data=sent | changed, headers=SCRIPTED)
        assert answered.status_code == status and says in answered.text, changed
    assert session.decisions.since() == []
    assert browser.post("/page", data=sent).status_code == 403  # from another origin


def test_people_who_confirm_pages_at_once_lose_nothing_and_are_asked_nothing_twice(session):
    page = client(session, size=3).app

    def work(name):
        browser = TestClient(page, base_url=HERE, follow_redirects=False)
        browser.post("/who", data={"name": name}, headers=ORIGIN)
        text, asked = browser.get("/").text, []
        while '<form id="photos"' in text:
            asked += [(row, int(fields(text)["column"])) for row in rows_of(text)]
            text = browser.post("/page", data=fields(text), headers=SCRIPTED).text
        return asked

    with ThreadPoolExecutor(4) as pool:
        asked = [place for each in pool.map(work, ("Ada", "Bo", "Cy", "Di")) for place in each]
    assert len(asked) == len(set(asked)) == len(session.decisions.since())
    session.follow()
    assert all(session.labels[place] != UNKNOWN for place in asked)


def test_the_filter_of_a_page_bounds_it(session, grids):
    grid = grids.next("desk", "Ada", Wish("surest", "blue", 0.4, 1.0))
    assert grid.cls == "blue" and all(tile.probability >= 0.4 for tile in grid.tiles)
    askable = session.askable("Ada", Wish("surest", "blue", 0.4, 1.0))
    assert ordering.first(session.key("surest"), askable) == (grid.tiles[0].row, grid.column)
