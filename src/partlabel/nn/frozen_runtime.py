"""The frozen part of a network as a graph of OpenVINO: the numbers of PyTorch on a CPU, in a fraction of the time.

PyTorch computes one operation after the other as it is written; OpenVINO (https://docs.openvino.ai) fuses convolution,
batch normalisation and activation, and lays weights out for the processor. docs/images.md has the figures, also of what
it was compared with. The graph is made in memory in a few seconds, so that it is made for many images alone, and is
checked against the module before it is used.
"""

import os
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.progress_bar import say
from partlabel.core.quiet_logs import quiet_logs

MANY = 300
"""Number of images from which on making a graph takes less time than it saves."""
CLOSE = 1e-4
"""Maximum difference of graph and module, relative to the largest value of the module."""
CPU_BATCH = 8
"""Images per call.

Fits a processor's cache: PyTorch takes 5.5 ms for lite0 on an image of 128 pixels, and 9 in batches of 64."""
SWITCH = "PARTLABEL_RUNTIME"
"""Environment variable; `eager` computes everything by PyTorch."""


class FrozenRuntime:
    """A module of images as a graph, valid until a tensor of the module changes.

    Args:
        module: Module in eval mode, on the CPU in float32.
        size: Side of the images in pixels.

    Raises:
        ImportError: OpenVINO is not installed.
        Exception: The module cannot be converted; the converter raises errors of many types.
        ValueError: The graph gives other numbers than the module.
    """

    def __init__(self, module: nn.Module, size: int) -> None:
        assert not module.training, "the conversion would leave all its parts in training mode"
        self.shape = (3, size, size)
        self._stamp = _stamp(module)
        self._compiled = compiled(graph(module, size))
        self._check(module)

    def is_for(self, module: nn.Module, images: Tensor) -> bool:
        """Return whether the graph computes these images by this module, with its tensors as they are now."""
        plain = images.device.type == "cpu" and images.dtype == torch.float32 and not images.requires_grad
        return plain and images.shape[1:] == self.shape and self._stamp == _stamp(module)

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch *features"]:
        """Compute the output of the module, `CPU_BATCH` images at a time; the last ones are filled up with zeros."""
        parts = [torch.from_numpy(self._compiled(_filled(few))[0].copy()) for few in images.split(CPU_BATCH)]
        return torch.cat(parts)[: len(images)]

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Return None: the graph of a copied module is made again where it is needed."""

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Pickle as None, as `__deepcopy__`."""
        return type(None), ()

    @torch.no_grad()
    def _check(self, module: nn.Module) -> None:
        images = torch.randn(3, *self.shape, generator=torch.Generator().manual_seed(0))
        expected = module(images)
        off = float((self(images) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
        if not off <= CLOSE:
            raise ValueError(f"its results differ by {off:.1e}")


def create(module: nn.Module, size: int, images: int) -> FrozenRuntime | None:
    """Make the graph of a module, if that saves time on this number of images; None if PyTorch is to compute them.

    Args:
        module: Module in eval mode.
        size: Side of the images in pixels.
        images: Number of images to compute.
    """
    if images < MANY or os.environ.get(SWITCH) == "eager" or not find_spec("openvino"):
        return None
    tensors = [*module.parameters(), *module.buffers()]
    if any(each.device.type != "cpu" or each.dtype not in (torch.float32, torch.int64) for each in tensors):
        return None
    try:
        return FrozenRuntime(module, size)
    except Exception as error:  # exporters raise errors of many types; PyTorch computes the same
        say(f"OpenVINO cannot run this backbone ({_first_line(error)}); PyTorch does, which takes longer")
        return None


def few_at_a_time(module: nn.Module, images: Tensor) -> Tensor:
    """Apply a module that treats images independently, on a CPU in small batches."""
    if is_exporting():  # a graph takes batches of any size
        return module(images)
    if images.device.type != "cpu" or len(images) <= CPU_BATCH or not any(True for _ in module.parameters()):
        return module(images)
    return torch.cat([module(few) for few in images.split(CPU_BATCH)])


def is_exporting() -> bool:
    """Return whether a graph is being traced by either exporter."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def graph(module: nn.Module, size: int) -> Any:
    """Convert a module to a graph of `CPU_BATCH` images."""
    import openvino

    images = torch.zeros(CPU_BATCH, 3, size, size)
    with warnings.catch_warnings(), quiet_logs("torch", "openvino"), torch.no_grad():
        warnings.simplefilter("ignore")
        found = openvino.convert_model(module, example_input=(images,))
    found.reshape(list(images.shape))
    return found


def compiled(model: Any, precision: str = "f32") -> Any:
    """Compile a graph for this processor, with the threads of PyTorch.

    Args:
        model: Graph.
        precision: Precision of the arithmetic. OpenVINO's default is bfloat16 where the processor has it, which moves
            features by some percent.
    """
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # the thread that decodes the next photos runs beside them
    }
    return openvino.Core().compile_model(model, "CPU", options)


def _filled(images: Float[Tensor, "batch 3 height width"]) -> Float[np.ndarray, "cpu_batch 3 height width"]:
    whole = np.zeros((CPU_BATCH, *images.shape[1:]), np.float32)
    whole[: len(images)] = images.numpy()
    return whole


def _stamp(module: nn.Module) -> tuple[tuple[int, int], ...]:
    """Identify the tensors of a module and their versions, which change with every write to them."""
    tensors = (*module.parameters(), *module.buffers())
    return tuple((each.data_ptr(), 0 if each.is_inference() else each._version) for each in tensors)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
