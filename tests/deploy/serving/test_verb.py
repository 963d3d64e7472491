"""`partlabel serve` as it is typed: it answers, ends in good order, and says what it lacks."""

import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from exported import httpx, picture, upload, write
from partlabel.cli.main import main


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("model") / "colours.onnx")


def refused(capsys, *words):
    assert main(["serve", *map(str, words)]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends_when_told_having_answered_what_it_had_taken_in(file, stop):
    """A client with half of its request sent when the signal comes still gets its answer."""
    words = ["serve", str(file), "--port", "0", "--log", "--threads", "1"]
    server = subprocess.Popen(
        [sys.executable, "-m", "partlabel", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has those it runs in the background ignore Ctrl-C, tests and all.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        said = server.stdout.readline()
        address = re.fullmatch(
            r"colours: (http://127\.0\.0\.1:\d+)/predict; API description: \S+/openapi\.json\n", said
        )[1]
        with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
            client.get("/health").raise_for_status()
            body = client.build_request("POST", "/predict", files=upload(picture((255, 0, 0))))
            whole, sent, found = body.read(), threading.Event(), []

            def slowly():
                yield whole[:40]
                sent.set()
                assert told.wait(20)
                yield whole[40:]

            told = threading.Event()
            asking = threading.Thread(
                target=lambda: found.append(
                    client.post("/predict", content=slowly(), headers=dict(body.headers))
                )
            )
            asking.start()
            assert sent.wait(20)
            while True:  # until the server has seen the beginning
                if 'partlabel_requests_total{route="/metrics"' in client.get("/metrics").text:
                    break
            server.send_signal(stop)
            told.set()
            asking.join()
        assert found[0].status_code == 200
        log = server.stderr.read()
    finally:
        server.kill()
        server.wait()
    assert server.returncode in (-stop, 130)
    assert re.search(r"INFO GET '/health' 200 \d+ ms\n", log) and "POST '/predict' 200" in log
    assert "Traceback" not in log


def test_a_port_that_is_taken_is_said(file, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(capsys, file, "--port", port)
    assert f"cannot listen at 127.0.0.1, port {port}: " in said and "give another --host or --port" in said
    assert "port 70000: " in refused(capsys, file, "--port", 70000)


def test_files_and_options_that_make_no_sense_are_said(file, tmp_path, capsys):
    assert "no.onnx: there is no such file" in refused(capsys, tmp_path / "no.onnx")
    assert "--max-batch 0: give 1 or more" in refused(capsys, file, "--max-batch", 0)
    assert "--decoders 0: give 1 or more" in refused(capsys, file, "--decoders", 0)
    assert "megapixels: 0.0 admits no request" in refused(capsys, file, "--max-megapixels", 0)
    said = refused(capsys, file, "--label-studio-files", tmp_path / "no")
    assert f"--label-studio-files {tmp_path / 'no'}: there is no such folder" in said


def test_without_its_packages_it_says_how_to_get_them(file, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'partlabel[serve]'" in refused(capsys, file)
