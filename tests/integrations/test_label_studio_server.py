"""A Label Studio server as people run it: it takes our pre-annotations, asks our server, and gives annotations back.

`make test-integrations` installs Label Studio in an environment of its own, and names its program in `LABEL_STUDIO`.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from exported import COLOURS, httpx, picture, probability, write
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data import writers
from partlabel.data.tables.label_table import LabelTable

PROGRAM = shutil.which(os.environ.get("LABEL_STUDIO", "label-studio"))
if PROGRAM is None:
    pytest.skip("Label Studio is not installed: make test-integrations", allow_module_level=True)

pytestmark = pytest.mark.slow
TOKEN = "0123456789abcdef0123456789abcdef01234567"
STARTS = 600
"""Seconds in which it creates its database, most of them on a slow machine."""
PHOTOS = {
    "a.png": (255, 0, 0),
    "deep/b.png": (200, 0, 200),
    "c d.png": (0, 0, 0),
    "100%41 &é#.png": (0, 255, 0),
    "skipped.png": (0, 0, 255),
    "waiting.png": (255, 255, 0),
}
LABELS = np.array(
    [
        [PRESENT, ABSENT, UNKNOWN],
        [PRESENT, PRESENT, PRESENT],
        [UNKNOWN, UNKNOWN, UNKNOWN],
        [ABSENT, ABSENT, ABSENT],
        [PRESENT, ABSENT, PRESENT],
        [UNKNOWN, PRESENT, ABSENT],
    ],
    np.int8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The photos, and the tasks that `partlabel import` makes of their labels."""
    folder = tmp_path_factory.mktemp("label-studio")
    for name, colour in PHOTOS.items():
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(picture(colour))
    LabelTable(tuple(f"photos/{name}" for name in PHOTOS), COLOURS, LABELS).save(folder / "labels.csv")
    typed = ["import", folder / "labels.csv", "--to", "label_studio", "--out", folder / "tasks.json"]
    assert main([str(word) for word in typed]) == 0
    return folder


@pytest.fixture(scope="module")
def studio(folder):
    """A client of a server with an empty SQLite database, on loopback, that serves files of the folder."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {
        "HOME": str(folder), "DJANGO_DB": "sqlite", "NO_PROXY": "127.0.0.1", "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "",
        "USE_DEFAULT_BANNED_SUBNETS": "false",  # or else it would not connect to a server on loopback
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder),
    }  # fmt: skip
    words = [
        "start",
        "--no-browser",
        "--data-dir",
        folder / "data",
        "--internal-host",
        "127.0.0.1",
        "--port",
        port,
    ]
    words += ["--username", "ada@example.org", "--password", "a long password", "--user-token", TOKEN]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [Path(PROGRAM).absolute(), *map(str, words), "--enable-legacy-api-token"],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        headers = {"Authorization": f"Token {TOKEN}"}
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, headers=headers, timeout=120, trust_env=False) as client:
            _wait(client, server, folder / "server.log")
            yield client
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait(client, server, log):
    """Wait until the server answers."""
    ends = time.monotonic() + STARTS
    while time.monotonic() < ends:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    pytest.fail(f"Label Studio does not answer after {STARTS} seconds: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def project(studio, folder):
    """A project whose tasks are ours, as a person creates and fills one."""
    config = writers.label_studio_config(COLOURS)
    made = said(studio.post("/api/projects", json={"title": "colours", "label_config": config}))
    storage = {"project": made["id"], "path": str(folder / "photos"), "use_blob_urls": True}
    said(studio.post("/api/storages/localfiles", json=storage))
    tasks = {"file": ("tasks.json", (folder / "tasks.json").read_bytes(), "application/json")}
    counts = said(studio.post(f"/api/projects/{made['id']}/import", files=tasks))
    assert counts["task_count"] == len(PHOTOS)
    return made["id"]


def said(answer):
    assert answer.status_code < 300, answer.text[:2000]
    return answer.json()


def tasks_of(studio, project):
    """All tasks with their predictions, in the order of import."""
    asked = {"project": project, "fields": "all", "page_size": 100}
    return sorted(said(studio.get("/api/tasks", params=asked))["tasks"], key=lambda task: task["id"])


def ticked(result, control):
    return {name for each in result if each["from_name"] == control for name in each["value"]["choices"]}


def named(row, code):
    return {name for name, label in zip(COLOURS, LABELS[row], strict=True) if label == code}


def test_known_labels_are_ticked_and_photos_are_shown(studio, project):
    tasks = tasks_of(studio, project)
    for row, (task, colour) in enumerate(zip(tasks, PHOTOS.values(), strict=True)):
        result = task["predictions"][0]["result"]
        assert ticked(result, "classes") == named(row, PRESENT)
        assert ticked(result, "absent") == named(row, ABSENT)
        shown = studio.get(task["data"]["image"])
        assert shown.status_code == 200 and shown.content == picture(colour)


@pytest.fixture(scope="module")
def backend(folder):
    """The address of `partlabel serve` for Label Studio."""
    model = write(folder / "colours.onnx")
    words = ["serve", model, "--port", "0", "--threads", "1", "--label-studio-files", folder / "photos"]
    command = [sys.executable, "-m", "partlabel", *map(str, words)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0] + "/label-studio"
    finally:
        server.terminate()
        server.wait(30)


def test_it_asks_our_server_for_predictions(studio, project, backend):
    connected = said(studio.post("/api/ml", json={"project": project, "url": backend, "title": "colours"}))
    assert connected["readable_state"] == "Connected", connected
    action = {"id": "retrieve_tasks_predictions", "project": project}
    chosen = {"selectedItems": {"all": True, "excluded": []}}
    said(studio.post("/api/dm/actions", params=action, json=chosen))
    for task, colour in zip(tasks_of(studio, project), PHOTOS.values(), strict=True):
        ours = [each for each in task["predictions"] if each["model_version"].startswith("colours-")]
        assert len(ours) == 1, task["predictions"]
        sure = dict(zip(COLOURS, probability(colour), strict=True))
        assert ticked(ours[0]["result"], "classes") == {name for name, p in sure.items() if p >= 0.5}
        assert ours[0]["score"] == pytest.approx(np.mean([max(p, 1 - p) for p in sure.values()]), abs=0.01)


@pytest.fixture(scope="module")
def annotated(studio, project):
    """All pre-annotations submitted as they are, but for one task that is skipped and one that is left."""
    for task, name in zip(tasks_of(studio, project), PHOTOS, strict=True):
        if name == "waiting.png":
            continue
        first = min(task["predictions"], key=lambda each: each["id"])
        result = {"result": first["result"], "was_cancelled": name == "skipped.png"}
        said(studio.post(f"/api/tasks/{task['id']}/annotations/", json=result))
    return project


@pytest.mark.parametrize(("kind", "left_out"), [("JSON", ()), ("CSV", ("skipped.png",))])
def test_every_cell_and_every_skip_survives_the_round_trip(
    studio, annotated, folder, tmp_path, kind, left_out
):
    """Label Studio leaves skipped tasks out of its CSV."""
    asked = {"exportType": kind, "download_all_tasks": "true"}
    answer = studio.get(f"/api/projects/{annotated}/export", params=asked)
    assert answer.status_code == 200, answer.text[:2000]
    export = tmp_path / f"export.{kind.lower()}"
    export.write_bytes(answer.content)
    typed = ["import", export, "--images", folder / "photos", "--out", tmp_path / "labels.csv"]
    options = ["--format.absent_control", "absent", "--format.classes", json.dumps(COLOURS)]
    assert main([*map(str, typed), *options]) == 0
    table = LabelTable.read(tmp_path / "labels.csv")
    expected = dict(zip(PHOTOS, LABELS.tolist(), strict=True))
    expected |= dict.fromkeys(("skipped.png", "waiting.png"), [UNKNOWN] * len(COLOURS))
    for name in left_out:
        del expected[name]
    assert table.classes == COLOURS
    assert dict(zip(table.images, table.labels.tolist(), strict=True)) == expected
