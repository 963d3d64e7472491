"""Export of a tagger as a graph that runs without this package: ONNX, or a program of `torch.export`.

Both have the same input and outputs. Input: `image`, float32 [batch, 3, S, S], RGB between 0 and 1, already resized to
S x S; normalisation is inside. Outputs: `logits` and `probability`, float32 [batch, class]; the probability is
calibrated if the tagger was tuned, and obeys the rules between classes if it has any. Metadata, under the key
`partlabel`: a JSON text with classes, image size, interpolation and thresholds (docs/export.md).
"""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel import __version__
from partlabel.core.files import atomic_write, writing
from partlabel.core.quiet_logs import quiet_logs

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from partlabel.training.recognizer import Recognizer

KEY = "partlabel"
"""Key of the metadata."""
FORMAT = 1
"""Version of the metadata."""
IN, OUT = "image", ("logits", "probability")
ONE_FILE = 1_800_000_000
"""Size of the weights in bytes up to which an ONNX model is one file; the format's limit is two gigabytes."""
CLOSE = 1e-4
"""Maximum relative difference between the exported graph and the model."""

ModelCall = Callable[[Float[Tensor, "batch 3 height width"]], tuple[Any, Any]]


class Graph(nn.Module):
    """The exported module: from pixels to logits and calibrated probabilities.

    Args:
        tagger: Tagger whose model is used, without a copy.
    """

    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]
    slope: Float[Tensor, "*class"]
    offset: Float[Tensor, " class"]

    def __init__(self, tagger: "Recognizer") -> None:
        super().__init__()
        self.model = tagger.model
        scale = None if tagger.tuning is None else tagger.tuning.scale
        offset = torch.zeros(len(tagger.classes)) if scale is None else torch.from_numpy(scale.offset)
        self.register_buffer("mean", torch.tensor(tagger.view[1].mean)[:, None, None])
        self.register_buffer("std", torch.tensor(tagger.view[1].std)[:, None, None])
        self.register_buffer("slope", torch.as_tensor(1.0 if scale is None else scale.slope).float())
        self.register_buffer("offset", offset.float())
        self.coherence = tagger.coherence

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch class"], Float[Tensor, "batch class"]]:
        """Compute logits and probabilities."""
        assert self.model is not None
        logits = self.model((image - self.mean) / self.std)
        if self.coherence is None:
            return logits, (self.slope * logits + self.offset).sigmoid()
        logits = self.coherence.logits(logits)
        return logits, self.coherence((self.slope * logits + self.offset).sigmoid())


def metadata(tagger: "Recognizer") -> str:
    """Return as JSON what a program needs to know to run the graph."""
    return json.dumps(
        {
            "format": FORMAT,
            "name": tagger.name,
            "classes": list(tagger.classes),
            "image_size": tagger.view[0],
            "interpolation": "bicubic",
            "thresholds": None if tagger.tuning is None else list(tagger.tuning.thresholds),
            "version": __version__,
        },
        ensure_ascii=False,
    )


def to_torch(tagger: "Recognizer", path: str | Path) -> Path:
    """Write a program of `torch.export`, which `torch.export.load(path).module()` runs on batches of any size.

    Args:
        tagger: Fitted, or loaded.
        path: File to write, `.pt2`.

    Raises:
        ValueError: The path has another suffix, or the results of the program differ from the model's.
    """
    path = _suffixed(path, ".pt2")
    graph = _graph(tagger)
    program = _program(graph, tagger)
    _check(graph, tagger, program.module())
    with atomic_write(path) as aside, _quietly():
        torch.export.save(program, aside, extra_files={KEY: metadata(tagger)})
    return path


def to_onnx(tagger: "Recognizer", path: str | Path) -> Path:
    """Write an ONNX model, which any ONNX runtime runs on batches of any size.

    Above two gigabytes its weights are in a second file, `<name>.data`, which has to stay in the same folder.

    Args:
        tagger: Fitted, or loaded.
        path: File to write, `.onnx`.

    Raises:
        ImportError: The extra `export` is not installed.
        ValueError: The path has another suffix, or the results of onnxruntime differ from the model's.
    """
    path = _suffixed(path, ".onnx")
    try:
        import onnx  # noqa: F401 - needed by torch.onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"ONNX needs onnx, onnxscript and onnxruntime: pip install 'partlabel[export]' ({error})"
        ) from error
    graph = _graph(tagger)
    with _quietly():
        onnx_program = torch.onnx.export(
            _program(graph, tagger),
            input_names=[IN],
            output_names=list(OUT),
            dynamic_shapes={IN: {0: "batch"}},
            dynamo=True,
            verbose=False,
        )
    assert onnx_program is not None
    onnx_program.model.metadata_props[KEY] = metadata(tagger)
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path), TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        onnx_program.save(written, external_data=size > ONE_FILE)
        session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
        _check(graph, tagger, lambda image: session.run(list(OUT), {IN: image.numpy()}))
        del session
        for each in sorted(Path(folder).iterdir(), key=lambda each: each == written):  # the model last
            os.replace(each, path.parent / each.name)
    return path


def _suffixed(path: str | Path, suffix: str) -> Path:
    if Path(path).suffix != suffix:
        raise ValueError(f"{path} has to end in {suffix}")
    return Path(path)


def _graph(tagger: "Recognizer") -> Graph:
    """Create the graph of what prediction needs."""
    return Graph(tagger.for_prediction()).eval().requires_grad_(False)


def _program(graph: Graph, tagger: "Recognizer") -> "ExportedProgram":
    """Trace the graph for batches of any size."""
    size = tagger.view[0]
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad(), _quietly():
        return torch.export.export(graph, (torch.zeros(2, 3, size, size),), dynamic_shapes={IN: {0: batch}})


def _check(graph: Graph, tagger: "Recognizer", run: ModelCall) -> None:
    """Check that the exported graph and the model agree, for one image and for several.

    Raises:
        ValueError: They differ.
    """
    generator = torch.Generator().manual_seed(0)
    for number in (1, 3):
        image = torch.rand(number, 3, tagger.view[0], tagger.view[0], generator=generator)
        with torch.inference_mode():
            expected, found = graph(image), run(image)
        for name, ours, theirs in zip(OUT, expected, found, strict=True):
            off = np.abs(ours.numpy() - np.asarray(theirs)) / np.maximum(1, np.abs(ours.numpy()))
            if not off.max() <= CLOSE:
                raise ValueError(f"the exported graph differs from the model by {off.max():.1e} in {name}")


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporters' reports."""
    with quiet_logs("torch.onnx", "onnxscript", "onnx_ir", "torch.export"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
