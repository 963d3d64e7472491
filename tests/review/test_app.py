"""The page, asked as a browser asks it."""

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi.testclient import TestClient

from partlabel.core.access_control import Guard
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.reporting.examples import Example
from partlabel.review.app import create
from partlabel.review.decisions import DecisionLog
from partlabel.review.predictions_cache import Looked
from partlabel.review.questions import ANYTHING
from partlabel.review.session import Session

HERE = "http://127.0.0.1:8765"
ORIGIN = {"Origin": HERE}


def client(session, token=None, host="127.0.0.1", **options):
    page = create(session, Guard(host, token, "token"), title="bce@a", port=8765, **options)
    return TestClient(page, base_url=HERE, follow_redirects=False)


def fields(text):
    """Read the question's hidden fields."""
    form = re.search(r'<form class="answers".*?</form>', text, re.DOTALL)
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0].split("<button")[0]))


def answer(browser, text, what, htmx=True):
    headers = ORIGIN | ({"HX-Request": "true"} if htmx else {})
    return browser.post("/answer", data=fields(text) | {"what": what}, headers=headers)


def test_the_page_asks_and_takes_an_answer(session):
    browser = client(session)
    page = browser.get("/")
    assert page.status_code == 200
    asked = fields(page.text)
    row, column = int(asked["row"]), int(asked["column"])
    assert f"<h1>{session.table.classes[column]}</h1>" in page.text
    after = answer(browser, page.text, "present")
    assert after.status_code == 200
    assert session.labels[row, column] == PRESENT
    assert fields(after.text)["ask"] != asked["ask"]
    assert "<b>1</b> of" in after.text  # the progress comes along


def test_without_scripts_the_answer_leads_back_to_the_page(session):
    browser = client(session)
    page = browser.get("/?order=surest&low=20")
    sent = answer(browser, page.text, "absent", htmx=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/?order=surest&class=&low=20&high=100")
    assert session.progress("", ANYTHING).decided == 1


def test_an_answer_sent_twice_counts_once(session):
    browser = client(session)
    page = browser.get("/").text
    for _ in range(2):
        assert answer(browser, page, "present").status_code == 200
    assert len(session.decisions.since()) == 1


def test_reloading_keeps_the_question(session):
    browser = client(session)
    one, again = fields(browser.get("/").text), fields(browser.get("/").text)
    assert (one["row"], one["column"]) == (again["row"], again["column"])


def test_two_browsers_get_different_questions(session):
    asked = [fields(client(session).get("/").text) for _ in range(2)]
    assert (asked[0]["row"], asked[0]["column"]) != (asked[1]["row"], asked[1]["column"])


LOADED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
OPENED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def test_other_sites_take_no_questions_away(session):
    first = fields(client(session).get("/").text)
    leased = len(leases(session))
    for path in ("/", "/question"):
        assert client(session).get(path, headers=LOADED).status_code == 403
        opened = client(session).get(path, headers=OPENED)  # a window of a browser that was never here
        assert opened.status_code == 200 and '<form class="answers"' not in opened.text
    assert len(leases(session)) == leased == 1
    other = fields(client(session).get("/").text)
    assert (other["row"], other["column"]) != (first["row"], first["column"])


def test_a_link_from_another_site_leads_to_a_question(session):
    browser = client(session)
    welcome = browser.get("/?order=surest", headers=OPENED).text
    to = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', welcome)[1].replace("&amp;", "&")
    assert to.startswith("/?order=surest")
    assert fields(browser.get(to).text)["order"] == "surest"
    assert fields(browser.get("/", headers=OPENED).text), "a desk that is known is asked at once"
    assert len(leases(session)) == 1


def leases(session):
    """Return the questions that are reserved."""
    with sqlite3.connect(session.decisions.path) as base:
        return base.execute("SELECT image, class FROM leases").fetchall()


def test_people_who_answer_at_once_lose_nothing_and_are_asked_nothing_twice(session):
    page = client(session).app

    def work(name):
        browser = TestClient(page, base_url=HERE, follow_redirects=False)
        browser.post("/who", data={"name": name}, headers=ORIGIN)
        text, asked = browser.get("/").text, []
        while '<form class="answers"' in text:
            asked.append((name, fields(text)["row"], fields(text)["column"]))
            text = answer(browser, text, "absent").text
        return asked

    with ThreadPoolExecutor(4) as pool:
        asked = [*chain.from_iterable(pool.map(work, ("Ada", "Bo", "Cy", "Di")))]
    places = {(row, column) for _, row, column in asked}
    events = session.decisions.since()
    assert len(asked) == len(places) == len(events) <= session.table.unknown
    rows = {image: str(number) for number, image in enumerate(session.table.images)}
    columns = {name: str(number) for number, name in enumerate(session.table.classes)}
    written = {(event.who, rows[event.image], columns[event.cls]) for event in events}
    assert written == set(asked)


def test_undo_takes_the_last_answer_back(session):
    browser = client(session)
    page = browser.get("/")
    first = fields(page.text)
    answer(browser, page.text, "present")
    undone = browser.post("/undo", data={"order": "class"}, headers=ORIGIN | {"HX-Request": "true"})
    assert "Undone." in undone.text
    assert (fields(undone.text)["row"], fields(undone.text)["column"]) == (first["row"], first["column"])
    again = browser.post("/undo", data={}, headers=ORIGIN | {"HX-Request": "true"})
    assert "There is nothing to undo." in again.text
    assert [event.what for event in session.decisions.since()] == ["present", "undo"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"what": "maybe"}, 422),
        ({"row": "99"}, 404),
        ({"row": "-1"}, 404),
        ({"column": "four"}, 422),
        ({"ask": ""}, 422),
        ({"low": "-5"}, 422),
        ({"order": "upward"}, 422),
    ],
)
def test_what_makes_no_sense_is_refused_and_writes_nothing(session, change, status):
    browser = client(session)
    data = fields(browser.get("/").text) | {"what": "present"} | change
    assert browser.post("/answer", data=data, headers=ORIGIN).status_code == status
    assert session.decisions.since() == []


def test_answers_from_other_pages_are_refused(session):
    browser = client(session)
    data = fields(browser.get("/").text) | {"what": "present"}
    for headers in ({}, {"Origin": "http://evil.example"}, ORIGIN | {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post("/answer", data=data, headers=headers).status_code == 403
    assert browser.get("/answer", params=data).status_code == 405
    assert session.decisions.since() == []


def test_every_answer_carries_the_strict_policy(session):
    browser = client(session)
    for path in ("/", "/photo/0", "/static/review.js", "/nowhere", "/photo/99"):
        policy = browser.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    page = browser.get("/").text
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! src=)|https?://(?!www\.w3)", page)


def test_photos_go_out_as_jpegs_made_anew(session):
    photo = client(session).get("/photo/3?small=true")
    assert photo.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(photo.content)).size == (64, 64)


@pytest.mark.parametrize(
    "path",
    [
        "/photo/../secret.png", "/photo/..%2Fsecret.png", "/photo/%2e%2e%2fsecret.png", "/photo/12", "/photo/-1",
        "/photo/00.png", "/static/../../../../etc/passwd", "/static/..%2f..%2fcli.py", "/static/%2e%2e/cli.py",
        "/static//etc/passwd", "/attention/0/0", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_nothing_outside_is_reachable(session, path):
    assert client(session).get(path).status_code in (404, 422)


def test_links_that_lead_out_of_the_image_folder_are_not_followed_unless_asked(photos, tmp_path, looked):
    folder, _ = photos
    inside = tmp_path / "photos"
    inside.mkdir()
    (inside / "link.png").symlink_to(folder.parent / "secret.png")
    table = LabelTable(
        ("link.png",), ("red", "green", "blue", "yellow"), np.full((1, 4), UNKNOWN, np.int8), root=inside
    )
    session = Session(
        table, Looked(looked.logits[:1], looked.features[:1]), DecisionLog(tmp_path / "d.sqlite")
    )
    refused = client(session).get("/photo/0")
    assert (refused.status_code, refused.json()["detail"]) == (404, "link.png is outside the image folder")
    assert client(session, follow_links=True).get("/photo/0").status_code == 200
    session.decisions.close()


def test_names_in_a_table_are_no_html(tmp_path, photos, looked):
    hostile = "<script>alert(1)</script>"
    table = LabelTable(
        ("00.png",), (hostile, "b", "c", "d"), np.full((1, 4), UNKNOWN, np.int8), root=photos[0]
    )
    session = Session(
        table, Looked(looked.logits[:1], looked.features[:1]), DecisionLog(tmp_path / "d.sqlite")
    )
    page = client(session).get("/", params={"class": hostile}).text
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    session.decisions.close()


def test_blind_pages_say_nothing_of_what_the_model_says(session, tmp_path):
    session.gaze = lambda row: Example(Path(), attention=np.ones((4, 2, 2), np.float32))
    page = client(session, blind=True, sees=True)
    text = page.get("/").text
    for word in ("suggests", "probable", "/attention/", "reasons", "most similar", "Probability"):
        assert word not in text, word
    assert page.get("/attention/0/0").status_code == 404
    answer(page, text, "absent")
    assert session.decisions.since()[0].probability is None
    assert "suggests" in client(session).get("/").text


def test_attention_is_shown_where_the_head_has_it(session):
    session.gaze = lambda row: Example(Path(), attention=np.eye(4, dtype=np.float32)[:, None].repeat(2, 1))
    browser = client(session, sees=True)
    asked = fields(page := browser.get("/").text)
    address = f"/attention/{asked['row']}/{asked['column']}"
    assert address in page
    assert browser.get(address).headers["content-type"] == "image/jpeg"
    assert browser.get("/attention/0/4").status_code == 404


def test_a_wide_page_opens_by_its_link_and_then_by_its_cookie(session):
    browser = client(session, token="secret", host="0.0.0.0")
    assert browser.get("/").status_code == 403
    assert browser.get("/photo/0").status_code == 403
    welcome = browser.get("/?token=secret")
    assert welcome.status_code == 200
    assert "Who is answering?" in browser.get("/").text  # people have to say who they are
    cookie = welcome.headers["set-cookie"]
    assert "token=secret" in cookie and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert "<h1>" not in welcome.text  # no question yet: the address bar loses the token first
    assert browser.get("/photo/0").status_code == 200
    named = browser.post("/who", data={"name": " Ada \n Łuk "}, headers=ORIGIN)
    assert (named.status_code, named.headers["location"]) == (303, "/")
    answer(browser, browser.get("/").text, "absent")
    assert session.decisions.since()[0].who == "Ada Łuk"


def test_nobody_is_no_name(session):
    browser = client(session)
    assert browser.post("/who", data={"name": " \t "}, headers=ORIGIN).status_code == 400
    assert browser.post("/who", data={}, headers=ORIGIN).status_code == 400


def test_a_review_that_is_done_says_how_to_go_on(session):
    browser = client(session)
    text = browser.get("/").text
    for _ in range(session.table.unknown):
        text = answer(browser, text, "absent").text
    assert "No questions left" in text
    assert "partlabel review RUN --export" in text
    assert (session.labels[session.blank] == ABSENT).all()


def test_htmx_is_here_with_its_licence():
    static = files("partlabel.reporting") / "static"
    assert "htmx" in (static / "htmx.min.js").read_text()[:200]
    assert "Zero-Clause BSD" in (static / "htmx.LICENSE").read_text()
