"""`partlabel review` from the command line to the table that `train` reads, killed on the way; and in a browser."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

import httpx

from partlabel.cli.main import main
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.review.sheets import draw


@pytest.fixture(scope="module")
def trained(collection, tmp_path_factory):
    """A run on the collection, whose head has attention."""
    out = tmp_path_factory.mktemp("review-verb") / "run"
    typed = ["train", collection / "labels.csv", "--images", collection / "photos", "--out", out]
    options = [
        "--method",
        "bce",
        "--head",
        "class_attention",
        "--epochs",
        "1",
        "--weight-decay",
        "0.02",
        "--image-size",
        "64",
        "--pretrained",
        "false",
    ]
    assert main([*map(str, typed), *options, "--accelerator", "cpu"]) == 0
    return out


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def serve():
    """Starts servers; none outlives the test."""
    started = []

    def start(*typed):
        server = Server(*typed)
        started.append(server)
        server.wait()
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


class Server:
    """`partlabel review` in a process of its own.

    Args:
        run: The run.
        *options: As typed.
    """

    def __init__(self, run, *options):
        typed = [sys.executable, "-m", "partlabel", "review", str(run), "--port", "0", *options]
        self.process = subprocess.Popen(typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""

    def wait(self):
        """Wait until it has printed its address, and answers there."""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"open (http://\S+)", line):
                self.address = found[1].rstrip("/")
                httpx.get(self.address, timeout=60)
                return
        raise AssertionError(f"no page was opened:\n{self.said}")

    def end(self, by=signal.SIGINT):
        self.process.send_signal(by)
        rest, _ = self.process.communicate(timeout=60)
        return rest


def decide(server, count, what):
    """Answer questions as a browser does; the images and classes asked about."""
    browser = httpx.Client(base_url=server.address, headers={"Origin": server.address})
    text, asked = browser.get("/").text, []
    for _ in range(count):
        form = re.search(r'<form class="answers".*?<button', text, re.DOTALL)[0]
        data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) | {"what": what}
        text = browser.post("/answer", data=data, headers={"HX-Request": "true"}).text
        asked.append((int(data["row"]), int(data["column"])))
    browser.close()
    return asked


@pytest.mark.slow
def test_decisions_survive_the_kill_of_the_server_and_become_labels_that_are_trained_on(
    run, tmp_path, capsys, serve
):
    table = LabelTable.read(run / "labels.parquet")
    server = serve(run)
    assert f"{table.unknown:,} unknown labels, 0 of them decided" in server.said
    yes = decide(server, 4, "present")
    server.end(signal.SIGKILL)
    server = serve(run)
    assert f"{table.unknown:,} unknown labels, 4 of them decided" in server.said
    no = decide(server, 3, "absent")
    assert not {*yes} & {*no}
    assert "to write the table with all decisions: partlabel review" in server.end()

    out = tmp_path / "reviewed.csv"
    description = json.loads((run / "config.json").read_text())
    description["data"]["images"] = "/moved/away"  # which an export does not need
    (run / "config.json").write_text(json.dumps(description))
    assert main(["review", str(run), "--export", str(out)]) == 0
    assert "4 unknown labels became present and 3 absent" in capsys.readouterr().out
    reviewed = LabelTable.read(out)
    expected = table.labels.copy()
    for cells, label in ((yes, 1), (no, 0)):
        for cell in cells:
            assert expected[cell] == UNKNOWN
            expected[cell] = label
    assert (reviewed.labels == expected).all()
    assert reviewed.split == table.split


@pytest.mark.slow
def test_a_calibration_set_survives_the_kill_of_the_server_and_is_marked_in_the_exported_table(
    run, tmp_path, capsys, serve
):
    table = LabelTable.read(run / "labels.parquet")
    server = serve(run, "--calibrate", "12")
    assert "12 photos drawn at random from 24, 0 of them complete" in server.said
    rows = []
    for _ in range(2):
        with httpx.Client(base_url=server.address, headers={"Origin": server.address}) as browser:
            form = re.search(r'<form class="tags-of-photo".*?</figure>', browser.get("/").text, re.DOTALL)[0]
            data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) | {"what": "complete"}
            rows.append(int(data["row"]))
            assert (
                browser.post("/sheet", data=data | {f"t{c}": "absent" for c in range(4)}).status_code == 303
            )
    server.end(signal.SIGKILL)
    server = serve(run, "--calibrate", "12")
    done = int(re.search(r"(\d+) of them complete", server.said)[1])
    known_before = {row for row in draw(table, None, 0)[:12] if (table.labels[row] != UNKNOWN).all()}
    assert known_before and done == 2 + len(known_before)  # drawn images that the table knows count, too
    server.end()
    out = tmp_path / "reviewed.csv"
    assert main(["review", str(run), "--export", str(out)]) == 0
    assert f"{done} images are marked in the column calibration" in capsys.readouterr().out
    reviewed = LabelTable.read(out)
    assert reviewed.classes == table.classes
    marked = {row for row, mark in enumerate(reviewed.calibration) if mark}
    assert marked == known_before | set(rows)
    assert (reviewed.labels[sorted(marked)] != UNKNOWN).all()
    known = table.labels != UNKNOWN
    assert (reviewed.labels[known] == table.labels[known]).all()


def test_a_calibration_set_of_no_photos_is_refused(run, capsys):
    assert main(["review", str(run), "--calibrate", "0"]) == 2
    assert "--calibrate 0: give the number of photos to draw, for example 40" in capsys.readouterr().err


def test_disputes_are_said_and_listed(run, tmp_path, capsys):
    from partlabel.review.decisions import Cell, DecisionLog
    from partlabel.training.run_folder import Run

    table = LabelTable.read(run / "labels.parquet")
    row, column = (table.labels == UNKNOWN).nonzero()
    cell = Cell(table.images[row[0]], table.classes[column[0]])
    log = DecisionLog(Run(run).decisions)
    log.answer("1", "one", "Ada", cell, "present")
    log.answer("2", "two", "Bob", cell, "absent")
    log.answer("3", "two", "Bob", Cell("elsewhere.png", "red"), "absent")
    log.close()
    assert main(["review", str(run), "--export", str(tmp_path / "t.csv"), "--disputed", "blank"]) == 0
    said = capsys.readouterr().out
    assert "0 unknown labels became present and 0 absent" in said
    assert "1 decisions are about images or classes that are not in this table" in said
    assert f"1 labels are disputed, see {tmp_path / 't.disputes.csv'}" in said
    assert pl.read_csv(tmp_path / "t.disputes.csv")["who"].to_list() == ["Ada", "Bob"]


def decided(run, *cells):
    """Return the run with decisions."""
    from partlabel.review.decisions import Cell, DecisionLog
    from partlabel.training.run_folder import Run

    log = DecisionLog(Run(run).decisions)
    for number, (image, cls, what) in enumerate(cells):
        log.answer(f"{number}", f"{number}", "Ada", Cell(image, cls), what)
    log.close()
    return run


def test_decisions_come_back_to_a_table_of_absolute_paths(run, collection, tmp_path, capsys):
    photos = collection / "photos"
    table = pl.read_csv(collection / "labels.csv").with_columns(
        pl.lit(None, pl.Int8).alias("red"), pl.concat_str(pl.lit(f"{photos}/"), "image").alias("image")
    )
    table.write_csv(tmp_path / "absolute.csv")
    decided(run, ("00.png", "red", "present"), ("30.png", "red", "absent"))
    words = ["review", str(run), str(tmp_path / "absolute.csv"), "--images", str(photos)]
    assert main([*words, "--export", str(tmp_path / "t.csv")]) == 0
    assert "1 unknown labels became present and 1 absent" in capsys.readouterr().out
    red = LabelTable.read(tmp_path / "t.csv").labels[:, 0]
    assert (red[0], red[30]) == (1, 0) and (red == UNKNOWN).sum() == 30

    assert main([*words, "--part", "test", "--export", str(tmp_path / "test.csv")]) == 0
    said = capsys.readouterr().out
    assert "0 unknown labels became present and 1 absent" in said
    assert "1 decisions are about parts other than test and are left out" in said
    assert main([*words, "--part", "tset", "--export", str(tmp_path / "no.csv")]) == 2
    assert "there is no part 'tset' (did you mean 'test'?)" in capsys.readouterr().err


def test_decisions_come_back_to_a_table_whose_images_are_named_by_the_image_folder(
    run, collection, tmp_path, capsys
):
    tasks = [{"data": {"image": "/data/local-files/?d=elsewhere/photos/00.png"}, "annotations": []}]
    tasks[0]["annotations"].append(
        {
            "was_cancelled": False,
            "result": [
                {"from_name": "c", "to_name": "i", "type": "choices", "value": {"choices": ["green"]}}
            ],
        }
    )
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    decided(run, ("00.png", "red", "present"))
    words = ["review", str(run), str(tmp_path / "tasks.json"), "--absent", "unknown"]
    words += ["--format", "label_studio", "--format.classes", "[red,green]"]
    out = tmp_path / "t.csv"
    assert main([*words, "--export", str(out)]) == 2
    said = capsys.readouterr().err
    assert "decisions.sqlite: none of 1 decisions is about an image and a class of this table" in said
    assert "(one is about '00.png'); give the table, --images and --format of the review" in said
    assert not out.exists()
    assert main([*words, "--images", str(collection / "photos"), "--export", str(out)]) == 0
    assert "1 unknown labels became present and 0 absent" in capsys.readouterr().out


def test_without_decisions_there_is_nothing_to_export(run, tmp_path, capsys):
    assert main(["review", str(run), "--export", str(tmp_path / "t.csv")]) == 2
    assert "there are no decisions to export: " in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(run, capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["review", str(run), "--port", str(port)]) == 2
    assert (
        f"cannot listen at 127.0.0.1, port {port}: Address already in use; give another"
        in capsys.readouterr().err
    )


def test_a_page_for_other_machines_makes_a_token():
    from partlabel.review import build

    assert build.token_for("127.0.0.1", None) is None
    assert build.token_for("127.0.0.1", "a-token-of-my-own") == "a-token-of-my-own"
    assert build.token_for("127.0.0.1", None, "review.example.org")
    assert len(build.token_for("0.0.0.0", None)) >= 32
    assert build.token_for("0.0.0.0", None) != build.token_for("0.0.0.0", None)
    assert build.address("::1", 80, None) == "http://[::1]:80/"
    assert build.address("192.168.1.5", 80, "t") == "http://192.168.1.5:80/?token=t"


def test_the_link_carries_any_token():
    from partlabel.review import build

    token = "a+b/c=d&e#f%41 g"
    assert httpx.URL(build.address("192.168.1.5", 80, token)).params["token"] == token


@pytest.mark.slow
def test_a_person_at_a_browser_decides_by_keys(run, chromium, serve):
    server = serve(run, "--order", "uncertain")
    complaints = []
    page = chromium.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.address)

    def asked():
        fields = page.locator(".answers input[type=hidden]")
        return {each.get_attribute("name"): each.get_attribute("value") for each in fields.all()[:3]}

    def events():
        with sqlite3.connect(run / "review" / "decisions.sqlite") as base:
            return base.execute("SELECT what FROM events ORDER BY id").fetchall()

    def press(key):
        before = asked()["ask"]
        page.keyboard.press(key)
        page.wait_for_function("ask => document.querySelector('[name=ask]').value !== ask", arg=before)

    first = asked()
    for key in ("y", "n", "s", "u"):
        press(key)
    assert [what for (what,) in events()] == ["present", "absent", "skip", "undo"]
    assert page.locator(".undo").inner_text().startswith("U Undo\nUndone. Last:")
    assert page.locator(".counts").inner_text().startswith("2 of")

    page.keyboard.press("a")
    page.wait_for_selector(".photo-large.looking")
    loaded = "() => [...document.images].every(each => each.complete && each.naturalWidth > 0)"
    page.wait_for_function(loaded)  # the photo, its attention, and similar ones

    page.get_by_label("from, percent").fill("1")
    page.keyboard.type("y")  # into the field, which takes no letters
    assert len(events()) == 4
    page.get_by_label("from, percent").fill("0")
    page.locator(".wishes [name=order]").focus()  # as a click does, which leaves the field
    page.locator(".wishes [name=order]").select_option("class")
    page.wait_for_function("() => location.search.includes('order=class')")
    press("y")
    assert len(events()) == 5

    other = chromium.new_context().new_page()
    other.goto(server.address)
    assert other.locator("[name=ask]").get_attribute("value") != first["ask"]
    mine, theirs = asked(), other.locator(".answers [name=row], .answers [name=column]")
    assert [each.get_attribute("value") for each in theirs.all()] != [mine["row"], mine["column"]]

    assert complaints == []
    server.end(signal.SIGKILL)
    page.keyboard.press("y")
    page.get_by_text("The answer did not reach the server").wait_for()
    assert page.locator("[data-key=y]").is_enabled()
    assert len(events()) == 5
    page.close()
    other.close()


def test_options_of_pages_are_checked_before_anything_is_read(run, capsys):
    for typed, says in (
        (["--page", "4"], "--page 4: give the number of photos on a page, from 12 to 48"),
        (["--page", "12", "--calibrate", "5"], "give one of them"),
        (["--page", "12", "--tags"], "give one of them"),
        (["--retrain", "0"], "--retrain 0: give the number of decisions between two fits, for example 200"),
        (["--retrain", "9", "--calibrate", "5"], "leave out --retrain"),
        (["--order", "surst"], "--order: there is no order 'surst' (did you mean 'surest'?)"),
    ):
        assert main(["review", str(run), *typed]) == 2
        assert says in capsys.readouterr().err
