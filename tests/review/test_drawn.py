"""A label that an order drew at random is recorded as such, from the question to the exported table."""

import sqlite3

import numpy as np
import pytest

from partlabel.core.labels import UNKNOWN
from partlabel.review import merging
from partlabel.review.decisions import Cell, Decision, DecisionLog
from partlabel.review.events import Event, Tally
from partlabel.review.grid import Grids
from partlabel.review.photo_tags import PhotoTags
from partlabel.review.questions import Wish
from partlabel.review.session import Session

DOG, CAT = Cell("a.jpg", "dog"), Cell("a.jpg", "cat")


def always(cell):
    return True


def never(cell):
    return False


def drawn_in(log):
    return [event.drawn for event in log.since()]


def test_an_answer_bears_what_its_question_was(log):
    log.claim("desk", lambda others, own: DOG, drawn=always)
    log.answer("q1", "desk", "Ada", DOG, "present")
    log.claim("desk", lambda others, own: CAT, drawn=never)
    log.answer("q2", "desk", "Ada", CAT, "present")
    assert drawn_in(log) == [1, None]


def test_a_question_that_a_desk_keeps_stays_what_it_was(log):
    log.claim("desk", lambda others, own: DOG, drawn=always)
    assert log.claim("desk", lambda others, own: own, drawn=never) == DOG
    log.answer("q1", "desk", "Ada", DOG, "absent")
    log.claim("desk", lambda others, own: CAT, drawn=never)
    assert log.claim("desk", lambda others, own: own, drawn=always) == CAT
    log.answer("q2", "desk", "Ada", CAT, "absent")
    assert drawn_in(log) == [1, None]


def test_the_question_of_another_desk_says_nothing(log):
    log.claim("other", lambda others, own: DOG, drawn=always)
    log.answer("q1", "desk", "Ada", DOG, "present")
    assert drawn_in(log) == [None]


def test_of_a_page_each_answer_is_what_its_label_was(log):
    log.claim_all("desk", lambda others, own: [DOG, CAT], drawn=lambda cell: cell == CAT)
    log.answer_page("page", "desk", "Ada", [Decision(DOG, "present"), Decision(CAT, "absent")])
    assert drawn_in(log) == [None, 1]


def questions(session, wish, count=8, low=None):
    """Answer questions; return which of them were drawn, and whether they were so by the order's own word."""
    found = []
    for _ in range(count):
        question = session.next("desk", "Ada", wish)
        expected = bool(session.orders.drawn(wish.order)[question.row, question.column])
        session.answer("desk", "Ada", question.ask, question.row, question.column, "absent")
        found.append((bool(session.decisions.since()[-1].drawn), expected))
    return found


@pytest.mark.parametrize(
    ("order", "drawn"), [("random", {True}), ("class", {False}), ("mixed", {True, False})]
)
def test_single_questions(session, order, drawn):
    found = questions(session, Wish(order))
    assert all(one == other for one, other in found)
    assert {one for one, _ in found} == drawn


def test_nothing_is_drawn_from_a_range_of_probabilities(session):
    found = questions(session, Wish("random", low=0.1), count=4)
    assert {one for one, _ in found} == {False} and {other for _, other in found} == {True}


def test_a_question_that_is_undone_and_answered_again_stays_drawn(session):
    first = session.next("desk", "Ada", Wish("random"))
    session.answer("desk", "Ada", first.ask, first.row, first.column, "present")
    again = session.undo("desk", "Ada")
    session.answer("desk", "Ada", again.ask, again.row, again.column, "absent")
    assert [event.drawn for event in session.decisions.since() if event.what != "undo"] == [1, 1]
    assert session.tally.is_drawn(session.cell(first.row, first.column))


def test_pages_of_photos_and_their_undo(session):
    grids = Grids(session, 4)
    for _ in range(2):
        grid = grids.next("desk", "Ada", Wish("random"))
        grids.confirm("desk", "Ada", grid.ask, grid.column, {tile.row: "absent" for tile in grid.tiles})
        events = [event for event in session.decisions.since() if event.page == grid.ask]
        assert [event.drawn for event in events] == [1] * 4
        grids.undo("desk", "Ada")
    grids.session.decisions.claim("desk", lambda others, own: None)
    grid = grids.next("desk", "Ada", Wish("class"))
    grids.confirm("desk", "Ada", grid.ask, grid.column, {tile.row: "absent" for tile in grid.tiles})
    assert {event.drawn for event in session.decisions.since() if event.page == grid.ask} == {None}


def test_the_tags_of_a_photo_are_not_drawn(session):
    """The photo of a random label has more unknown labels than a random photo."""
    photos = PhotoTags(session)
    photo = photos.next("desk", "Ada", Wish("random"))
    photos.confirm("desk", "Ada", photo.ask, photo.row, {tag.column: "absent" for tag in photo.tags})
    assert {event.drawn for event in session.decisions.since()} == {None}


def test_the_exported_table_tells_drawn_labels_apart(session, table):
    questions(session, Wish("mixed"), count=10)
    merged = merging.merge(table, session.decisions.tally()).table
    for event in session.decisions.since():
        row, column = session.place(event.cell)
        assert merged.origins.of(row, column) == ("review-at-random:Ada" if event.drawn else "review:Ada")
    assert {*merged.origins.names} == {"", "review:Ada", "review-at-random:Ada"}


def test_a_drawn_label_that_was_skipped_and_asked_again_by_the_order_was_not_drawn():
    tally = Tally()
    said = (("Ada", "skip", 1), ("Bob", "present", None))
    for number, (who, what, drawn) in enumerate(said, start=1):
        tally.add(Event(number, "2026-01-01", who, who, *DOG, what, None, 0.5, drawn=drawn))
    assert not tally.is_drawn(DOG)
    tally.add(Event(3, "2026-01-01", "Eve", "Eve", *DOG, "absent", None, 0.5, drawn=1))
    assert tally.is_drawn(DOG)


def test_a_log_older_than_drawn_labels_is_opened_with_its_answers(table, looked, tmp_path):
    path = tmp_path / "decisions.sqlite"
    log = DecisionLog(path)
    row, column = np.argwhere(table.labels == UNKNOWN)[0].tolist()
    log.answer("q", "desk", "Ada", Cell(table.images[row], table.classes[column]), "present")
    log.close()
    with sqlite3.connect(path) as base:
        base.executescript(
            "ALTER TABLE events DROP COLUMN drawn; DROP TABLE leases; CREATE TABLE leases (image TEXT NOT NULL,"
            " class TEXT NOT NULL, desk TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (image, class));"
            "INSERT INTO leases VALUES ('x', 'y', 'z', 1e12);"
        )
    session = Session(table, looked, DecisionLog(path))
    assert drawn_in(session.decisions) == [None]
    assert questions(session, Wish("random"), count=2) == [(True, True)] * 2
    session.decisions.close()


@pytest.mark.parametrize("value", ["'yes'", "2", "1.5"])
def test_a_log_with_another_value_is_damaged(log, value):
    log.answer("q", "desk", "Ada", DOG, "present")
    log._base.execute("DROP TRIGGER never_changed")
    log._base.execute(f"UPDATE events SET drawn = {value}")
    with pytest.raises(ValueError, match="event 1 is not a valid decision; the file is damaged"):
        log.since()


def test_a_late_answer_is_about_what_its_question_was(log):
    log.claim("desk", lambda others, own: DOG, drawn=always)
    log.clock.now += 61
    assert log.claim("other", lambda others, own: None if CAT in others else CAT) == CAT
    log.answer("q1", "desk", "Ada", DOG, "present")
    assert drawn_in(log) == [1]


def test_a_label_that_another_desk_took_over_is_what_it_was_there(log):
    log.claim("desk", lambda others, own: DOG, drawn=always)
    log.clock.now += 61
    assert log.claim("other", lambda others, own: None if DOG in others else DOG, drawn=never) == DOG
    log.answer("q1", "desk", "Ada", DOG, "present")
    assert drawn_in(log) == [None]
