"""Tags that people add: events like others, offered on the next photos, checked names, a column of the table."""

import re
import shlex

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi.testclient import TestClient

from partlabel.cli.main import main
from partlabel.core.access_control import Guard
from partlabel.core.files import write_json
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.new_names import checked_name
from partlabel.data.tables.label_table import LabelTable
from partlabel.review.decisions import Decision, DecisionLog
from partlabel.review.events import Cell
from partlabel.review.photo_tags import PhotoTags
from partlabel.review.questions import ANYTHING
from partlabel.review.session import Session
from partlabel.review.tag_pages import create
from partlabel.training.run_folder import Run

HERE = "http://127.0.0.1:8765"
SCRIPTED = {"Origin": HERE, "HX-Request": "true"}


def add(session, name, what="present", desk="desk", who="Ada"):
    """Answer a tag on the next photo of a desk; return the photo."""
    tags = PhotoTags(session)
    photo = tags.next(desk, who, ANYTHING)
    given = {tag.column: "absent" for tag in photo.tags}
    tags.confirm(desk, who, photo.ask, photo.row, given, {name: what})
    return photo


def test_an_added_tag_is_an_event_and_is_offered_to_everybody_until_it_is_taken_back(session):
    tags = PhotoTags(session)
    photo = add(session, "  wooden   leg ")
    last = session.decisions.since()[-1]
    assert (last.cell, last.what, last.added) == (Cell(photo.image, "wooden leg"), "present", 1)
    other = tags.next("other", "Bo", ANYTHING)
    assert other.image != photo.image and other.new == ("wooden leg",)
    answered = add(session, "wooden leg", "absent", "other", "Bo")
    assert answered.row == other.row and len(session.table.classes) == session.labels.shape[1] == 4
    assert tags.last_words("desk") == f"{photo.image}: wooden leg"
    again, given = tags.undo("desk", "Ada")
    assert again.row == photo.row and len(again.tags) == len(photo.tags) and given["wooden leg"] == "present"
    assert tags.next("third", "Cy", ANYTHING).new == ("wooden leg",)  # Bo's answer stands
    tags.undo("other", "Bo")
    assert tags.next("third", "Cy", ANYTHING).new == ()
    assert (session.labels == session.table.labels).all()


def test_after_a_kill_and_in_another_process_added_tags_are_there(session, table, looked):
    photo = add(session, "hat")
    add(session, "hat", "skip")
    fresh = Session(table, looked, DecisionLog(session.decisions.path))
    assert PhotoTags(fresh).next("desk", "Ada", ANYTHING).new == ("hat",)
    assert PhotoTags(fresh).new.present(photo.image) == ("hat",)
    add(fresh, "shoe", desk="other", who="Bo")
    assert PhotoTags(session).next("desk", "Ada", ANYTHING).new == ("hat", "shoe")
    fresh.decisions.close()


WRONG = [
    ("  ", "a tag without a name"),
    ("x" * 81, "has 81 characters: a tag has 80 at most"),
    ("hat, coat", "',', which separates tags in tables: add one tag after the other"),
    ("animal|dog", "'|', which separates"),
    ("Image", "'Image' is the name of another column of tables: type another name"),
    ("tags", "is the name of another column"),
    ("is_valid", "is the name of another column"),
    ("hat:source", "marks the columns of a filled table"),
    ("hat\x07", "control characters"),
    ("n/a", "is a word for a missing value"),
    ("['hat']", "is a list or an object of a programming language"),
    ("0.5", "is a number"),
]


@pytest.mark.parametrize(("name", "why"), WRONG)
def test_a_name_that_would_break_a_table_is_refused_with_the_reason_and_nothing_is_saved(session, name, why):
    browser, sent = browse(session)
    row = int(sent["row"])
    assert why in browser.get("/tag", params={"row": row, "name": name}).json()["problem"]
    column = int(np.flatnonzero(session.table.labels[row] == UNKNOWN)[0])
    form = sent | {f"t{column}": "present", "new0": name, "tnew0": "present"}
    refused = browser.post("/tags", data=form, headers=SCRIPTED)
    assert refused.status_code == 422 and why in refused.json()["detail"]
    assert session.decisions.since() == []


def browse(session):
    """Return a browser, and the fields of its first page."""
    page = create(session, Guard("127.0.0.1", None, "token"), title="bce@a", port=8765)
    browser = TestClient(page, base_url=HERE, follow_redirects=False)
    text = browser.get("/").text
    return browser, dict(re.findall(r'<input type="hidden" name="(ask|row)" value="([^"]*)"', text))


def test_names_that_are_accepted_survive_in_a_table(tmp_path):
    """The oracle is the reader: a table with such columns is read with the same classes."""
    names = ("R&D", "2020", 'the "x"', "*", "size", "a.b", "ǆ", "犬", "-x", "title page", "hot dog", "=1+1")
    assert [checked_name(name, ()) for name in names] == [*names]
    labels = np.array([[PRESENT] * len(names), [ABSENT] * len(names), [UNKNOWN] * len(names)], np.int8)
    file = LabelTable(("a.jpg", "b.jpg", "c.jpg"), names, labels).save(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match="name is unusual"):
        read = LabelTable.read(file)
    assert read.classes == names and (read.labels == labels).all()


def test_another_spelling_of_a_class_is_caught_with_the_class_and_a_likely_one_is_asked_about(session):
    add(session, "dining table")
    browser, sent = browse(session)
    row = int(sent["row"])

    def asked(name):
        return browser.get("/tag", params={"row": row, "name": name}).json()

    red = session.table.labels[row, 0] != UNKNOWN
    same = asked("Red")
    assert same == {
        "problem": "there is a class 'red' already, of which 'Red' is another spelling.",
        "instead": "red", "answered": bool(red), "is_new": False,
    }  # fmt: skip
    assert asked("diningTable")["instead"] == "dining table" and "problem" in asked("Dining_Table")
    assert asked("dining table") == {"name": "dining table"}
    plural = asked("dining tables")
    assert plural == {
        "name": "dining tables", "instead": "dining table", "answered": False, "is_new": True,
    }  # fmt: skip
    assert asked("hat") == {"name": "hat"}
    form = sent | {"new0": "hat", "tnew0": "present", "new1": "Hat", "tnew1": "present"}
    refused = browser.post("/tags", data=form, headers=SCRIPTED)
    assert refused.status_code == 422 and "there is a class 'hat' already" in refused.json()["detail"]
    form = sent | {"new0": "hat", "tnew0": "absent"}
    assert (
        "answer yes, or leave it out" in browser.post("/tags", data=form, headers=SCRIPTED).json()["detail"]
    )
    assert browser.get("/tag", params={"row": 99, "name": "hat"}).status_code == 404
    form = sent | {"new7": "hat", "tnew7": "present", "new8": "dining table", "tnew8": "absent"}
    assert browser.post("/tags", data=form, headers=SCRIPTED).status_code == 200
    saved = [(event.cls, event.what) for event in session.decisions.since()[-2:]]
    assert saved == [("hat", "present"), ("dining table", "absent")]


def test_the_exported_table_has_added_classes_and_the_command_that_adds_them_to_the_tagger_is_printed(
    table, tmp_path, capsys
):
    run = Run(tmp_path / "a run")
    before = table.with_calibration([row < 6 for row in range(len(table))])
    run.folder.mkdir()
    before.save(run.labels)
    write_json(run.config, {"classes": before.classes})
    log = DecisionLog(run.decisions)
    for row, what in ((0, "present"), (1, "present"), (2, "absent"), (3, "skip")):
        cells = [Cell(before.images[row], "wooden leg")] + [Cell(before.images[row], "hat")] * (row == 2)
        log.answer_page(f"{row}", "desk", "Ada", [Decision(cell, what, None, True) for cell in cells])
    log.close()
    out = tmp_path / "reviewed.csv"
    assert main(["review", str(run.folder), "--export", str(out)]) == 0
    said = capsys.readouterr().out
    assert (
        "added classes: wooden leg (2 present, 1 absent), hat (0 present, 1 absent); unknown on all" in said
    )
    assert "the 6 images of the calibration set are not marked" in said
    exported = LabelTable.read(out)
    assert exported.classes == (*before.classes, "wooden leg", "hat") and exported.calibration is None
    assert exported.labels[:4, -2].tolist() == [PRESENT, PRESENT, ABSENT, UNKNOWN]
    assert (exported.labels[4:, -2:] == UNKNOWN).all() and (exported.labels[:, :4] == before.labels).all()
    typed = shlex.split(re.search("to teach them to the tagger: (.*)", said)[1])
    assert typed[1:5] == ["extend", str(run.folder), "--labels", str(out)]
    assert typed[5:7] == ["--classes", "wooden leg"]  # no photo shows a hat
    assert main(typed[1:]) == 2 and "a run" in capsys.readouterr().err  # it has no weights


def test_an_added_mark_that_is_none_is_a_damaged_file(session):
    photo = add(session, "hat")
    cell = Cell(photo.image, "hat")
    session.decisions._base.execute(
        "INSERT INTO events (at, who, desk, image, class, what, added) VALUES ('', 'Ada', 'd', ?, ?, 'present', 7)",
        cell,
    )
    with pytest.raises(ValueError, match="is not a valid decision; the file is damaged"):
        session.decisions.since()
