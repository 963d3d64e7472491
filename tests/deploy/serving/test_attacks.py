"""What one client can do to the server: pictures made to keep it busy, connections that say nothing, other sites."""

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from attacks import deep, encapsulated_postscript, many_scans
from exported import httpx, picture, served, upload, write
from partlabel.deploy.serving.decoding import Decoders
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.running import connections
from partlabel.deploy.serving.service import Service
from partlabel.deploy.serving.uploads import Limits, Refused, Shape

RED = (255, 0, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model.load(write(tmp_path_factory.mktemp("model") / "colours.onnx"), threads=1)


@pytest.fixture(scope="module")
def client(model):
    with served(Service(model, Limits(header_seconds=0.5, connections=20))) as client:
        yield client


def detail(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


def connected(client):
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)


def test_jpegs_of_many_scans_are_refused_before_they_are_decoded(client):
    answer = client.post("/predict", files=upload(many_scans(8000, 400), picture(RED)))
    assert "file 1 ('0.png'): a JPEG of more than 16 scans" in detail(answer, 422)


def test_a_progressive_photo_is_read(client):
    photo = many_scans(200, 1)
    assert client.post("/predict", files=upload(photo)).status_code == 200


def test_pictures_of_32_bits_count_four_times(client):
    said = detail(client.post("/predict", files=upload(deep(5000))), 413)
    assert "5000 x 5000 pixels of more than 8 bits; at most 16 million are read" in said


def test_formats_that_start_a_program_are_not_read(client):
    assert "not an image in a supported format" in detail(
        client.post("/predict", files=upload(encapsulated_postscript())), 415
    )


def test_a_picture_that_takes_too_long_ends_its_decoder_alone(model):
    """The deadline is shorter than any picture takes; the next one has a new process."""
    decoders = Decoders(1, model.shape, 64.0, seconds=20.0)
    try:
        assert decoders.read(picture(RED)).shape == (8, 8, 3)
        decoders.seconds = 0.0
        with pytest.raises(Refused, match="takes more than 0 seconds to decode") as refused:
            decoders.read(picture(RED, (2000, 2000)))
        assert refused.value.status == 422
        decoders.seconds = 20.0
        assert decoders.read(picture(RED))[0, 0].tolist() == list(RED)
    finally:
        decoders.stop()


def test_a_decoder_that_dies_is_replaced(model):
    decoders = Decoders(1, model.shape, 64.0, seconds=20.0)
    try:
        decoders.read(picture(RED))
        decoders._all[0]._process.kill()
        decoders._all[0]._process.wait()
        assert decoders.read(picture(RED))[0, 0].tolist() == list(RED)
    finally:
        decoders.stop()


def test_decoders_that_were_stopped_read_nothing():
    decoders = Decoders(1, Shape(8, "bicubic"), 64.0, seconds=20.0)
    decoders.stop()
    with pytest.raises(Refused, match="the server is stopping"):
        decoders.read(picture(RED))


def test_a_request_with_half_a_header_is_given_up(client):
    with connected(client) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-")
        said = b"".join(iter(lambda: line.recv(4096), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body) == {"detail": "the request's headers did not arrive within 0.5 seconds"}


def test_a_connection_that_says_nothing_is_closed(client):
    with connected(client) as line:
        assert line.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_half_a_second_request_on_a_connection_is_given_up_too(client):
    with connected(client) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b""
        while not said.endswith(b"}"):
            said += line.recv(4096)
        assert said.startswith(b"HTTP/1.1 200 ")
        line.sendall(b"GET /hea")
        assert line.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_bytes_in_drops_do_not_keep_a_connection_open(client):
    with connected(client) as line:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011, PT012 - reset or broken pipe
            for _ in range(200):
                line.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - began < 9


def test_many_open_connections_leave_the_server_answering(client):
    lines = [connected(client) for _ in range(60)]
    try:
        for line in lines:
            line.sendall(b"GET / HTTP/1.1\r\nHos")
        refused = [line.recv(4096)[:12] for line in lines[-20:]]
        assert set(refused) <= {b"HTTP/1.1 503", b"HTTP/1.1 408"} and b"HTTP/1.1 503" in refused
    finally:
        for line in lines:
            line.close()
    with httpx.Client(base_url=client.base_url, trust_env=False, timeout=20) as other:
        until = time.monotonic() + 10
        while (answer := other.get("/health")).status_code == 503 and time.monotonic() < until:
            time.sleep(0.1)
        assert answer.status_code == 200


def test_connections_take_no_more_than_half_of_the_files_a_process_may_have_open(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    assert connections(Limits()) == 128
    assert connections(Limits(connections=10)) == 10


@pytest.mark.parametrize("path", ["/health", "/classes", "/metrics", "/openapi.json"])
def test_a_name_that_was_made_to_point_here_is_refused(client, path):
    said = detail(client.get(path, headers={"host": "evil.example"}), 400)
    assert said == "unknown host name 'evil.example': add it with --known-as"


def test_pages_of_other_sites_are_not_answered(client):
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        said = detail(client.post("/predict", files=upload(picture(RED)), headers=headers), 403)
        assert said == "requests from pages of other sites are refused"
    own = {"origin": f"http://{client.base_url.host}:{client.base_url.port}"}
    assert client.post("/predict", files=upload(picture(RED)), headers=own).status_code == 200


def test_other_names_are_given_with_known_as(model):
    with served(Service(model), known_as="photos.example,backend") as client:
        assert client.get("/health", headers={"host": "photos.example"}).status_code == 200
        assert client.get("/health", headers={"host": "backend:9090"}).status_code == 200


def test_one_request_leaves_a_decoder_to_others(model):
    """Sixteen pictures of one request wait for one another, not for all decoders."""
    service = Service(model, decoders=2)
    assert service._turns == 1
    with served(service) as client, ThreadPoolExecutor(2) as pool:
        many = pool.submit(client.post, "/predict", files=upload(*[picture(RED, (1500, 1500))] * 16))
        assert client.post("/predict", files=upload(picture(RED))).status_code == 200
        assert many.result().status_code == 200


def test_a_server_that_is_told_to_end_ends_within_seconds_whatever_clients_hold(tmp_path):
    """One connection has half a header, one half a body; neither client goes away."""
    words = ["serve", str(write(tmp_path / "m.onnx")), "--port", "0", "--threads", "1"]
    server = subprocess.Popen(
        [sys.executable, "-m", "partlabel", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        port = int(server.stdout.readline().split("127.0.0.1:")[1].split("/")[0])
        with (
            socket.create_connection(("127.0.0.1", port)) as half,
            socket.create_connection(("127.0.0.1", port)) as slow,
        ):
            half.sendall(b"GET / HTTP/1.1\r\n")
            slow.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
            )
            httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=20).raise_for_status()
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.wait(20)
            assert time.monotonic() - began < 15  # five seconds, on a busy machine
        assert "Traceback" not in server.stderr.read()
    finally:
        server.kill()
        server.wait()


def test_a_run_folder_is_no_model_yet(tmp_path):
    with pytest.raises(
        IsADirectoryError, match=r"is a folder; serve needs the file that this command writes: partlabel"
    ):
        Model.load(tmp_path)
