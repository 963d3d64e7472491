"""All tags of one photo: what is asked, what is saved, undo, and the page."""

import re

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi.testclient import TestClient

from partlabel.core.access_control import Guard
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.review.photo_tags import PhotoTags
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.tag_pages import create

HERE = "http://127.0.0.1:8765"
ORIGIN = {"Origin": HERE}
SCRIPTED = ORIGIN | {"HX-Request": "true"}


def client(session, **options):
    page = create(session, Guard("127.0.0.1", None, "token"), title="bce@a", port=8765, **options)
    return TestClient(page, base_url=HERE, follow_redirects=False)


def fields(text):
    """Read the form of a photo as a browser would send it."""
    form = re.search(r'<form class="tags-of-photo".*?</form>', text, re.DOTALL)[0]
    return {
        name: value
        for name, value, rest in re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"([^>]*)>', form)
        if not re.fullmatch(r"t\d+", name) or "checked" in rest
    }


@pytest.mark.parametrize("wish", [ANYTHING, Wish("uncertain"), Wish("surest", "blue")])
def test_a_photo_is_that_of_the_first_question_with_all_its_unknown_labels(session, wish):
    first = session.next("other", "Bo", wish)
    session.decisions.claim("other", lambda others, own: None)
    photo = PhotoTags(session).next("desk", "Ada", wish)
    assert photo.row == first.row
    unknown = np.flatnonzero(session.table.labels[photo.row] == UNKNOWN)
    assert {tag.column for tag in photo.tags} == set(unknown.tolist())
    shown = [tag.probability for tag in photo.tags]
    assert shown == sorted(shown, reverse=True)
    present = np.flatnonzero(session.table.labels[photo.row] == PRESENT).tolist()
    assert photo.known == tuple(session.table.classes[column] for column in present)
    blind = PhotoTags(session, blind=True).next("blind", "Bo", Wish("random"))
    assert [tag.column for tag in blind.tags] == sorted(tag.column for tag in blind.tags)


def test_two_desks_get_different_photos_and_no_question_of_them(session):
    tags = PhotoTags(session)
    one, two = tags.next("one", "Ada", ANYTHING), tags.next("two", "Bo", ANYTHING)
    assert one.row != two.row
    question = session.next("three", "Cy", ANYTHING)
    assert question.row not in (one.row, two.row)
    assert tags.next("one", "Ada", ANYTHING).row == one.row


def test_what_has_no_answer_stays_unknown_and_undo_shows_the_whole_photo_again(session):
    tags = PhotoTags(session)
    photo = next(
        p for p in iter(lambda: tags.next("desk", "Ada", Wish("random"), True), None) if len(p.tags) > 1
    )
    first, *rest = photo.tags
    with pytest.raises(ValueError, match="no tag has an answer"):
        tags.confirm("desk", "Ada", photo.ask, photo.row, {})
    assert tags.confirm("desk", "Ada", photo.ask, photo.row, {first.column: "present"})
    assert not tags.confirm("desk", "Ada", photo.ask, photo.row, {first.column: "present"})
    assert session.labels[photo.row, first.column] == PRESENT
    assert all(session.labels[photo.row, tag.column] == UNKNOWN for tag in rest)
    assert tags.last_words("desk") == f"{photo.image}: {first.cls}"
    again, given = tags.undo("desk", "Ada")
    assert again.row == photo.row and len(again.tags) == len(photo.tags)
    assert given == {tag.column: "present" if tag == first else "" for tag in photo.tags}
    assert tags.undo("desk", "Ada") == (None, {}) and (session.labels == session.table.labels).all()


def test_a_label_that_the_table_knows_is_refused_with_all_others(session):
    tags = PhotoTags(session)
    photo = tags.next("desk", "Ada", ANYTHING)
    known = int(np.flatnonzero(session.table.labels[photo.row] != UNKNOWN)[0])
    with pytest.raises(KeyError, match="is not an unknown label"):
        tags.confirm("desk", "Ada", photo.ask, photo.row, {photo.tags[0].column: "present", known: "absent"})
    assert session.decisions.since() == []


def test_the_page_presets_what_is_expected_and_saves_what_is_answered(session):
    browser = client(session)
    text = browser.get("/").text
    sent = fields(text)
    row = int(sent["row"])
    unknown = np.flatnonzero(session.table.labels[row] == UNKNOWN).tolist()
    expected = {c for c in unknown if session.probability[row, c] >= 0.5}
    assert {name for name in sent if re.fullmatch(r"t\d+", name)} == {f"t{c}" for c in expected}
    answers = {f"t{c}": "absent" for c in unknown}
    after = browser.post("/tags", data=sent | answers, headers=SCRIPTED)
    assert after.status_code == 200 and fields(after.text)["row"] != sent["row"]
    assert (session.labels[row, unknown] == ABSENT).all()
    undone = browser.post("/undo", headers=SCRIPTED).text
    assert "Undone." in undone and fields(undone) | answers == fields(undone)
    assert "There is nothing to undo." in browser.post("/undo", headers=SCRIPTED).text
    moved = browser.post("/tags", data=fields(undone), headers=ORIGIN)
    assert (moved.status_code, moved.headers["location"]) == (303, "/?order=class&class=&low=0&high=100")


def test_a_blind_page_sets_nothing_and_a_broken_form_is_refused(session):
    browser = client(session, blind=True)
    text = browser.get("/").text
    sent = fields(text)
    assert not any(re.fullmatch(r"t\d+", name) for name in sent) and "probable" not in text.replace(
        "Probab", ""
    )
    for changed, status in (
        ({}, 422),
        ({"t0": "perhaps"}, 422),
        ({"row": "99", "t0": "absent"}, 404),
        ({"ask": ""}, 422),
    ):
        assert browser.post("/tags", data=sent | changed, headers=SCRIPTED).status_code == status, changed
    column = int(np.flatnonzero(session.table.labels[int(sent["row"])] == UNKNOWN)[0])
    assert browser.post("/tags", data=sent | {f"t{column}": "present"}, headers=SCRIPTED).status_code == 200
    assert [event.probability for event in session.decisions.since()] == [None]


def test_a_review_of_whole_photos_ends(session):
    browser = client(session)
    text, rows = browser.get("/").text, []
    while 'class="tags-of-photo"' in text:
        sent = fields(text)
        rows.append(int(sent["row"]))
        answers = {
            f"t{c}": "absent" for c in np.flatnonzero(session.table.labels[rows[-1]] == UNKNOWN).tolist()
        }
        text = browser.post("/tags", data=sent | answers, headers=SCRIPTED).text
    assert len(rows) == len(set(rows)) and "Every unknown label is decided" in text
    assert session.progress("", ANYTHING).decided == session.table.unknown
