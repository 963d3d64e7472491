"""The server: what it answers to pictures, and what it says where it cannot."""

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from exported import COLOURS, picture, probability, served, upload, write
from partlabel.deploy.serving.app import ERRORS
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.service import Service
from partlabel.deploy.serving.uploads import Limits

RED, DARK = (255, 0, 0), (10, 120, 130)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model.load(write(tmp_path_factory.mktemp("model") / "colours.onnx"), threads=1)


@pytest.fixture(scope="module")
def client(model):
    limits = Limits(files=3, megabytes=0.2, megapixels=0.5, waiting=8)
    with served(Service(model, limits)) as client:
        yield client


def detail(answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}
    return answer.json()["detail"]


def test_each_file_gets_its_classes_the_most_probable_first(client):
    answer = client.post("/predict", files=upload(picture(RED), picture(DARK))).json()
    assert (answer["model"], answer["version"]) == ("colours", "0.1.0")
    assert [each["file"] for each in answer["predictions"]] == ["0.png", "1.png"]
    for each, colour in zip(answer["predictions"], (RED, DARK), strict=True):
        expected = sorted(zip(probability(colour), COLOURS, strict=True), reverse=True)
        if colour == RED:
            expected[1:] = [
                (expected[1][0], "green"),
                (expected[2][0], "blue"),
            ]  # as probable: the model's order
        assert [found["name"] for found in each["classes"]] == [name for _, name in expected]
        assert [found["probability"] for found in each["classes"]] == pytest.approx(
            [p for p, _ in expected], abs=1e-5
        )
        assert all(found["threshold"] == 0.5 for found in each["classes"])
    assert [found["above"] for found in answer["predictions"][0]["classes"]] == [True, False, False]


def test_top_leaves_out_and_threshold_stands_for_that_of_all_classes(client):
    found = client.post("/predict", params={"top": 2, "threshold": 0.4}, files=upload(picture(DARK))).json()
    classes = found["predictions"][0]["classes"]
    assert [(each["name"], each["threshold"], each["above"]) for each in classes] == [
        ("blue", 0.4, True),
        ("green", 0.4, True),
    ]


def test_thresholds_come_with_the_model(tmp_path):
    model = Model.load(write(tmp_path / "m.onnx", {"thresholds": [0.5, 0.3, 0.9]}))
    with served(Service(model)) as client:
        assert client.get("/classes").json() == [
            {"name": "red", "threshold": 0.5},
            {"name": "green", "threshold": 0.3},
            {"name": "blue", "threshold": 0.9},
        ]
        (found,) = client.post("/predict", files=upload(picture(DARK))).json()["predictions"]
    assert {each["name"]: each["above"] for each in found["classes"]} == {
        "blue": False,
        "green": True,
        "red": False,
    }


def test_health_says_which_model_answers(client, model):
    assert client.get("/health").json() == {
        "status": "ready",
        "model": "colours",
        "version": "0.1.0",
        "digest": model.digest,
        "classes": 3,
        "image_size": 8,
    }


def test_a_photo_lies_the_way_up_it_was_taken(client):
    """As stored it is blue above red; the camera says that it stood on its head, which no mean colour can tell."""
    exif = Image.Exif()
    exif[0x0112] = 3
    file = BytesIO()
    Image.new("RGB", (8, 8), RED).save(file, "JPEG", exif=exif)
    (found,) = client.post("/predict", files=upload(file.getvalue())).json()["predictions"]
    assert found["classes"][0]["name"] == "red"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_usual_formats_are_read(client, format):
    (found,) = client.post("/predict", files=upload(picture(RED, format=format))).json()["predictions"]
    assert found["classes"][0]["name"] == "red"


def test_a_broken_file_is_named_with_its_place(client):
    whole = picture((1, 2, 3), (300, 300), "JPEG")
    answer = client.post("/predict", files=upload(picture(RED), whole[: len(whole) // 2], b""))
    assert detail(answer, 422) == "file 2 ('1.png'): truncated; file 3 ('2.png'): an empty file"


def test_what_is_no_picture_is_of_a_wrong_type(client):
    answer = client.post("/predict", files=upload(picture(RED), b"Dear sir or madam"))
    assert detail(answer, 415) == (
        "file 2 ('1.png'): not an image in a supported format (JPEG, PNG, WEBP, GIF, BMP, TIFF)"
    )


def test_formats_that_need_other_programs_are_not_read(client):
    """Pillow would give PostScript to Ghostscript."""
    file = BytesIO()
    Image.new("RGB", (9, 9)).save(file, "EPS")
    assert "not an image in a supported format" in detail(
        client.post("/predict", files=upload(file.getvalue())), 415
    )


def test_a_body_that_is_no_form_is_of_a_wrong_type(client):
    said = detail(client.post("/predict", json={"files": []}), 415)
    assert said == "the content type is application/json; send multipart/form-data"
    assert detail(client.post("/predict"), 415) == "the content type is missing; send multipart/form-data"


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(client):
    answer = client.post("/predict", files=upload(picture(RED, (1000, 600))))
    assert detail(answer, 413) == "file 1 ('0.png'): has 1000 x 600 pixels; at most 0.5 million are read"


def test_a_decompression_bomb_is_refused(client):
    file = BytesIO()
    Image.new("1", (14_000, 14_000)).save(file, "PNG")
    said = detail(client.post("/predict", files=upload(file.getvalue())), 413)
    most = 2 * Image.MAX_IMAGE_PIXELS
    assert said == f"file 1 ('0.png'): more than {most:,} pixels, which may be a decompression bomb"


def test_too_many_files_are_refused(client):
    answer = client.post("/predict", files=upload(*[picture(RED)] * 4))
    assert detail(answer, 422) == "body files: List should have at most 3 items after validation, not 4"


def test_a_large_request_is_refused_by_its_header_or_as_it_comes(client):
    files = upload(bytes(300_000))
    assert detail(client.post("/predict", files=files), 413) == "the request has more than 0.2 megabytes"
    body = client.build_request("POST", "/predict", files=files)
    kind = {"content-type": body.headers["content-type"]}
    whole = body.read()
    pieces = (whole[at : at + 50_000] for at in range(0, len(whole), 50_000))
    assert (
        detail(client.post("/predict", content=pieces, headers=kind), 413)
        == "the request has more than 0.2 megabytes"
    )


def test_a_malformed_form_is_a_bad_request(client):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = client.post("/predict", content=b"nonsense", headers={"content-type": kind})
        assert "multipart" in detail(answer, 400)


def test_a_form_without_files_and_options_without_sense_are_named(client):
    assert "files" in detail(client.post("/predict", files={"image": picture(RED)}), 422)
    said = detail(client.post("/predict", params={"top": 0}, files=upload(picture(RED))), 422)
    assert said == "query top: Input should be greater than or equal to 1"
    said = detail(client.post("/predict", params={"threshold": "high"}, files=upload(picture(RED))), 422)
    assert said.startswith("query threshold: ")


def test_a_request_that_does_not_arrive_is_given_up(model):
    with served(Service(model, Limits(seconds=0.1))) as client:
        assert unfinished(client) == (408, b'{"detail":"the request did not arrive within 0.1 seconds"}')


def unfinished(client):
    """Send the beginning of a request; return the answer."""
    line = HTTPConnection(client.base_url.host, client.base_url.port, timeout=20)
    line.putrequest("POST", "/predict")
    line.putheader("Content-Type", "multipart/form-data; boundary=x")
    line.putheader("Content-Length", "99")
    line.endheaders(b"--x\r\n")
    answer = line.getresponse()
    said = answer.read()
    line.close()
    return answer.status, said


def test_where_as_many_requests_wait_as_may_the_next_is_not_even_read(model):
    held, running = Event(), Event()
    service = Service(model, Limits(files=1, waiting=1))
    plain = service.batcher.run

    def hold(pixels):
        running.set()
        assert held.wait(20)
        return plain(pixels)

    service.batcher.run = hold
    with served(service) as client, ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, "/predict", files=upload(picture(RED)))
        assert running.wait(20)
        assert unfinished(client)[0] == 503
        assert client.get("/health").status_code == 200
        held.set()
        assert first.result().status_code == 200


def test_where_no_more_may_wait_clients_are_told_to_come_back(model):
    """Three pictures may wait; the model holds two, a third and fourth come in one request, which is not taken in."""
    held, running = Event(), Event()
    service = Service(model, Limits(files=2, waiting=3), max_wait=0.0)
    plain = service.batcher.run

    def hold(pixels):
        running.set()
        assert held.wait(20)
        return plain(pixels)

    service.batcher.run = hold
    with served(service) as client, ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, "/predict", files=upload(picture(RED), picture(DARK)))
        assert running.wait(20)
        answer = client.post("/predict", files=upload(picture(RED), picture(RED)))
        assert detail(answer, 503) == "at most 3 images can wait: retry in one second"
        assert answer.headers["retry-after"] == "1"
        assert "partlabel_queue_length 2.0" in client.get("/metrics").text
        held.set()
        assert first.result().status_code == 200
        assert client.post("/predict", files=upload(picture(RED), picture(RED))).status_code == 200
        assert "partlabel_queue_length 0.0" in client.get("/metrics").text


def test_a_model_that_fails_is_the_servers_fault_and_is_logged(model, caplog):
    service = Service(model)

    def fail(pixels):
        raise RuntimeError("out of memory")

    plain, service.batcher.run = service.batcher.run, fail
    with served(service) as client:
        said = detail(client.post("/predict", files=upload(picture(RED))), 500)
        assert said == "the server failed; see its log"
        assert "out of memory" in caplog.text
        service.batcher.run = lambda pixels: np.full((len(pixels), 3), np.nan, np.float32)
        said = detail(client.post("/predict", files=upload(picture(RED))), 500)
        assert said == "file 1 ('0.png'): the model returned probabilities that are not finite"
        service.batcher.run = plain
        assert client.post("/predict", files=upload(picture(RED))).status_code == 200


def test_paths_and_methods_that_there_are_not(client):
    assert detail(client.get("/nowhere"), 404) == "Not Found"
    assert detail(client.get("/predict"), 405) == "Method Not Allowed"
    assert client.get("/label-studio/health").status_code == 404


def test_prometheus_gets_requests_by_route_and_status_and_batches_by_size(model):
    with served(Service(model, max_wait=1.0)) as client:
        client.post("/predict", files=upload(picture(RED), picture(DARK)))
        client.post("/predict", files=upload(b"nothing"))
        client.get("/one"), client.get("/other")
        said = client.get("/metrics").text
    for line in (
        'partlabel_requests_total{route="/predict",status="200"} 1.0',
        'partlabel_requests_total{route="/predict",status="415"} 1.0',
        'partlabel_requests_total{route="other",status="404"} 2.0',
        'partlabel_request_seconds_count{route="/predict"} 2.0',
        "partlabel_batch_size_sum 2.0",
        'partlabel_batch_size_bucket{le="1.0"} 0.0',
        "partlabel_queue_length 0.0",
    ):
        assert line in said.splitlines(), said


def test_requests_have_their_line_in_the_log_if_asked(model, caplog):
    caplog.set_level("INFO", "partlabel.deploy.serving")
    with served(Service(model)) as client:
        client.get("/health")
    assert not caplog.records
    with served(Service(model), lines=True) as client:
        client.get("/no%0Awhere")
    assert "GET '/no\\nwhere' 404 " in caplog.text


def test_names_no_disk_could_have_come_back_as_they_can_be_written(client):
    name = "../" * 100 + "ü\u2028.png"
    answer = client.post("/predict", files=[("files", (name, b"x"))])
    assert name[:200] in detail(answer, 415)


def test_every_error_is_in_the_description(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths["/predict"]["post"]["responses"]) == {
        "200", "400", "403", "408", "413", "415", "422", "500", "503",
    }  # fmt: skip
    problem = paths["/predict"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
    assert problem == {"$ref": "#/components/schemas/ErrorResponse"}


def test_the_page_explains_every_status_that_is_described():
    page = (Path(__file__).parents[3] / "docs/serving.md").read_text()
    for status in ERRORS:
        assert f"\n| {status} |" in page


def test_limits_that_let_nothing_in_are_refused():
    with pytest.raises(ValueError, match=r"megabytes: 0\.0 admits no request"):
        Limits(megabytes=0.0)
    with pytest.raises(ValueError, match="a request of 5 files does not fit into a queue of 4 images"):
        Limits(files=5, waiting=4)
