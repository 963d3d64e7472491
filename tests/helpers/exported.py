"""Exported models so small that their answers can be checked by hand, and a server for them on loopback.

Tests that import this are skipped where the extra `serve`, or what the tests of it need, is not installed.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

INSTALL = "pip install 'partlabel[serve,dev]'"
for package in ("fastapi", "onnxruntime", "prometheus_client", "python_multipart"):
    pytest.importorskip(package, reason=f"{package} is not installed: {INSTALL}")
httpx = pytest.importorskip("httpx", reason=f"httpx is not installed: {INSTALL}")
onnx = pytest.importorskip("onnx", reason=f"onnx is not installed: {INSTALL}")
uvicorn = pytest.importorskip("uvicorn", reason=f"uvicorn is not installed: {INSTALL}")

SIDE = 8
COLOURS = ("red", "green", "blue")
SAYS = {
    "format": 1,
    "name": "colours",
    "classes": list(COLOURS),
    "image_size": SIDE,
    "interpolation": "bicubic",
    "thresholds": None,
    "version": "0.1.0",
}


def write(path: Path, says: dict | str | None = None, nodes: list | None = None, classes: int = 3) -> Path:
    """A model whose logit for a colour is twelve times its mean in the picture, less six.

    `says` is what the file says of itself beside `SAYS`, or instead of it if it is a text; `nodes` another graph.
    """
    helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    pixels = helper.make_tensor_value_info("image", FLOAT, ["batch", 3, SIDE, SIDE])
    outputs = [
        helper.make_tensor_value_info(name, FLOAT, ["batch", classes]) for name in ("logits", "probability")
    ]
    weight = onnx.numpy_helper.from_array(12 * np.eye(3, dtype=np.float32), "weight")
    bias = onnx.numpy_helper.from_array(np.full(3, -6, np.float32), "bias")
    nodes = nodes or [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
    ]
    graph = helper.make_graph(nodes, "colours", [pixels], outputs, [weight, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if says != "":
        helper.set_model_props(
            model, {"partlabel": says if isinstance(says, str) else json.dumps(SAYS | (says or {}))}
        )
    onnx.save(model, path)
    return path


def picture(colour, size=(20, 12), format="PNG") -> bytes:
    """A picture of one colour."""
    file = BytesIO()
    Image.new("RGB", size, tuple(colour)).save(file, format)
    return file.getvalue()


def probability(colour) -> list[float]:
    """Predict the probabilities of a picture of one colour."""
    return (1 / (1 + np.exp(6 - 12 * np.asarray(colour, float) / 255))).tolist()


def upload(*contents: bytes) -> list:
    return [("files", (f"{at}.png", content)) for at, content in enumerate(contents)]


@contextmanager
def served(service, **options) -> Iterator["httpx.Client"]:
    """A client of a server in a thread, which has ended when the block has."""
    from partlabel.deploy.serving.app import create
    from partlabel.deploy.serving.running import config as configured

    config = configured(create(service, **options), service.limits, port=0)
    server = uvicorn.Server(config)
    with config.bind_socket() as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=20, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
