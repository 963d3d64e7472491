"""Label Studio's protocol: tasks in, ticked choices out; images from one folder, and from nowhere else."""

import json
import os

import numpy as np
import pytest

from exported import COLOURS, picture, probability, served, write
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data import writers
from partlabel.data.readers import label_studio as reader
from partlabel.data.tables.label_table import LabelTable
from partlabel.deploy.serving.label_studio import control
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.service import Service
from partlabel.deploy.serving.uploads import Limits, Refused

SHOWN = {"a.png": (255, 0, 0), "deep/b.png": (200, 0, 200), "c d.png": (0, 0, 0)}
CONFIG = writers.label_studio_config(COLOURS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    for name, colour in SHOWN.items():
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(picture(colour))
    uploaded = folder / "photos/upload/7/1a2b3c4d-e.png"
    uploaded.parent.mkdir(parents=True)
    uploaded.write_bytes(picture((0, 255, 0)))
    (folder / "secret.png").write_bytes(picture((1, 2, 3)))
    os.symlink(folder / "secret.png", folder / "photos/link.png")
    write(folder / "m.onnx")
    return folder


@pytest.fixture(scope="module")
def service(folder):
    return Service(Model.load(folder / "m.onnx", threads=1), Limits(files=2, waiting=2))


@pytest.fixture(scope="module")
def client(folder, service):
    with served(service, label_studio_files=folder / "photos") as client:
        yield client


def ask(client, *addresses, config=CONFIG, status=200):
    tasks = [{"id": 40 + at, "data": {"image": each}, "meta": {}} for at, each in enumerate(addresses)]
    body = {"tasks": tasks, "label_config": config, "project": "1.2", "params": {"context": None}}
    answer = client.post("/label-studio/predict", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["results"] if status == 200 else answer.json()["detail"]


def ticked(prediction):
    return [name for each in prediction["result"] for name in each["value"]["choices"]]


def test_it_connects_as_label_studio_does(client, service):
    assert client.get("/label-studio/health").json() == {"status": "UP", "model_class": "partlabel"}
    asked = {"project": "1.2", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "x"}
    version = client.post("/label-studio/setup", json=asked).json()
    assert version == {"model_version": f"colours-{service.model.digest}"}
    assert client.post("/label-studio/setup", json={"schema": "<View></View>"}).status_code == 200
    event = {"action": "ANNOTATION_CREATED", "annotation": {}, "project": {"id": 1}}
    assert client.post("/label-studio/webhook", json=event).json()["status"] == "ignored"


def test_tasks_made_here_go_there_and_come_back_as_the_model_says(client, tmp_path):
    """Written as tasks, predicted, submitted as they are, exported, and read as a table."""
    images = tuple(f"photos/{name}" for name in SHOWN)
    blank = LabelTable(images, COLOURS, np.full((3, 3), UNKNOWN, np.int8))
    tasks = [{"id": at, **task} for at, task in enumerate(writers.label_studio(blank))]
    answer = client.post("/label-studio/predict", json={"tasks": tasks, "label_config": CONFIG}).json()
    export = [
        {**task, "annotations": [{"result": each["result"], "was_cancelled": False}]}
        for task, each in zip(tasks, answer["results"], strict=True)
    ]
    (tmp_path / "export.json").write_text(json.dumps(export))
    back = reader.read(tmp_path / "export.json", absent="negative", classes=COLOURS)
    expected = np.where(np.array([probability(each) for each in SHOWN.values()]) >= 0.5, PRESENT, ABSENT)
    assert back.images == images
    assert np.array_equal(back.labels, expected)


def test_a_prediction_has_what_label_studio_files(client, service):
    (found,) = ask(client, "/data/local-files/?d=photos/deep/b.png")
    assert found["result"] == [
        {
            "from_name": "classes",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": ["red", "blue"]},
        }
    ]
    assert found["model_version"] == f"colours-{service.model.digest}"
    assert found["score"] == pytest.approx(
        np.mean([max(p, 1 - p) for p in probability((200, 0, 200))]), abs=1e-5
    )


def test_images_are_found_as_label_studio_addresses_them(client):
    """More of them than one request of our own may have, or than may wait at once."""
    found = ask(
        client,
        "/data/local-files/?d=photos/a.png",
        "/data/local-files/?d=elsewhere/photos/deep/b.png",
        "/data/local-files/?d=c%20d.png",
        "http://localhost:8080/data/local-files/?d=a.png",
        "/data/upload/7/1a2b3c4d-e.png",
    )
    assert [ticked(each) for each in found] == [["red"], ["red", "blue"], [], ["red"], ["green"]]


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=link.png",
        "../secret.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:9/nothing.png",
        "http://[",
        "a\0.png",
        "x" * 5000,
        "",
        ".",
    ],
)
def test_nothing_outside_the_folder_is_read_and_no_address_fetched(client, folder, address):
    for each in (address, address.replace("../", f"{folder}/")):
        said = ask(client, each, status=422)
        assert said.startswith("no task's image could be read; task 40: ")
        assert said.endswith("is no file below the folder that is served; addresses are not fetched")


def test_an_image_that_cannot_be_read_leaves_the_others_their_predictions(client, folder, caplog):
    (folder / "photos/broken.png").write_bytes(picture((0, 255, 0), (300, 300))[:80])
    read, broken, lacks = ask(client, "a.png", "broken.png", "lacks.png")
    assert ticked(read) == ["red"] and read["error"] is None
    assert (broken["result"], broken["score"], broken["error"]) == ([], 0.0, "truncated")
    assert lacks["error"].startswith("'lacks.png' is no file below the folder")
    assert "Label Studio: task 41: truncated" in caplog.text


def test_a_task_without_an_image_is_named(client):
    body = {"tasks": [{"data": {"photo": "a.png"}}], "label_config": CONFIG}
    answer = client.post("/label-studio/predict", json=body)
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": "no task's image could be read; a task without id: its data has no 'image'"
    }


def test_no_tasks_have_no_predictions(client):
    assert ask(client) == []


def choices(
    *names, control='name="which" toName="photo" choice="multiple"', image='name="photo" value="$url"'
):
    inside = "".join(f'<Choice value="{name}"/>' for name in names)
    return f"<View><Image {image}/><Choices {control}>{inside}</Choices></View>"


def test_a_configuration_of_ones_own_is_understood():
    found = control(choices("blue", "other", "red"), COLOURS)
    assert found == ("which", "photo", "url", [2, 0], False)
    assert control(choices("red", control='name="which" toName="photo"'), COLOURS).only_one
    two = CONFIG.replace("</View>", choices("red", "green").split("/>", 1)[1])
    assert control(two, COLOURS).name == "classes"


def test_one_choice_is_the_most_probable(client):
    config = choices(*COLOURS, control='name="which" toName="image"', image='name="image" value="$image"')
    assert [ticked(each) for each in ask(client, "deep/b.png", "c d.png", config=config)] == [["red"], []]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (choices("reed", "grass"), r"choices are 'reed', 'grass' \(did you mean 'red'\?\), the model's classes 'red'"),
        ("<View/>", r"has no <Choices> about an <Image> .*; its choices are none, the model's"),
        (choices("red", control='name="which" toName="text"'), r"has no <Choices> about an <Image>"),
        ("<View>", r"label_config is not XML: no element found"),
        ("", r"label_config is not XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View/>', r"label_config has a document type, which is not read"),
    ],
)  # fmt: skip
def test_configurations_without_choices_for_the_model_are_refused(config, message):
    with pytest.raises(Refused, match=message) as error:
        control(config, COLOURS)
    assert error.value.status == 422


def test_a_configuration_that_does_not_fit_is_told_on_connecting(client):
    answer = client.post("/label-studio/setup", json={"schema": choices("reed")})
    assert answer.status_code == 422 and "did you mean 'red'" in answer.json()["detail"]


def test_bodies_that_are_no_json_are_refused(client):
    answer = client.post("/label-studio/predict", content=b"tasks", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["detail"]) == (
        415,
        "the content type is text/plain; send application/json",
    )
    kind = {"content-type": "application/json"}
    assert client.post("/label-studio/predict", content=b"{", headers=kind).status_code == 422
