"""Refuse, on a CPU, what would make the host wait for a GPU, or its shapes depend on values of tensors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS = {
    getattr(torch.Tensor, name)
    for name in (
        *("item", "tolist", "numpy", "cpu", "nonzero", "equal", "is_nonzero", "unique", "new_tensor"),
        *("__bool__", "__float__", "__int__", "__index__", "__contains__", "masked_select"),
    )
}
MAKES = {torch.tensor, torch.as_tensor, torch.from_numpy, torch.unique, torch.nonzero, torch.masked_select}
AWAITED = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "is_nonzero")


class _Calls(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in READS or function in MAKES:
            raise AssertionError(f"{function.__name__} waits for the device")
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """What a call is made of, in the backward pass too."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if name in AWAITED or (name.startswith("index") and _chooses(name, args)):
            raise AssertionError(f"{name} waits for the device")
        return operation(*args, **(kwargs or {}))


def _chooses(name: str, args: tuple) -> bool:
    """Whether an index is a mask; one number written to a mask is a `masked_fill`, for which nothing waits."""
    masks = isinstance(args[1], list | tuple) and any(
        each is not None and each.dtype in (torch.bool, torch.uint8) for each in args[1]
    )
    return masks and not (name.startswith("index_put") and args[2].numel() == 1)


@contextmanager
def no_waiting(device: str) -> Iterator[None]:
    """Raise where the host would wait: as PyTorch says on a GPU, by the operations on a CPU."""
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    else:
        with _Operations(), _Calls():
            yield
