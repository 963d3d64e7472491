"""Collectives that make distributed training equivalent to training in a single process.

Each process (a *rank*) has its share of every batch. PyTorch averages the gradients, which is the gradient of the
whole batch if the mean of the ranks' losses is the loss of the whole batch:

- a loss that is a sum divided by a count divides by `all_reduce_mean(count)`: a rank with more known labels then has a
  larger weight;
- a loss or a memory that compares images takes the rows of all ranks, by `all_gather_rows`;
- batch normalisation takes its moments over all ranks, by `share_moments`.

In one process each of these returns its input.
"""

import os
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def rank_and_world_size() -> tuple[int, int]:
    """Return the number of this process and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_rank_zero() -> bool:
    """Return whether this process writes, according to the environment, before the process group exists."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return os.environ[name] == "0"
    return all(os.environ.get(name, "0") == "0" for name in ("NODE_RANK", "LOCAL_RANK"))


def all_reduce_sum(value: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Sum over ranks; differentiable."""
    return value if rank_and_world_size()[1] == 1 else _Total.apply(value)


class _Total(torch.autograd.Function):
    """A sum over ranks. Every rank's loss depends on all parts, so the gradient of a part sums over ranks."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        there = value.to(_meeting(value.device), copy=True, memory_format=torch.contiguous_format)
        dist.all_reduce(there)
        return there.to(value.device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return all_reduce_sum(gradient)


def _meeting(device: torch.device) -> torch.device:
    """Return the device of collectives for tensors on a device: NCCL works on GPUs alone."""
    on_gpu = dist.get_backend() == "nccl" and device.type == "cpu"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else device


def all_reduce_mean(value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Average over ranks; differentiable."""
    ranks = rank_and_world_size()[1]
    return value if ranks == 1 else all_reduce_sum(value) / ranks


def all_gather_rows(*parts: Shaped[Tensor, "row ..."]) -> tuple[Shaped[Tensor, "all_rows ..."], ...]:
    """Concatenate the rows of all ranks in the order of the whole batch, the same on every rank; differentiable.

    Args:
        *parts: Tensors with the same number of rows, which may differ between ranks.
    """
    if rank_and_world_size()[1] == 1:
        return parts
    start, rows = _rows(parts[0])
    return tuple(_placed(part, start, rows) for part in parts)


def local_rows(part: Shaped[Tensor, "row ..."]) -> slice:
    """Return the slice of this rank's rows in the result of `all_gather_rows`."""
    start = 0 if rank_and_world_size()[1] == 1 else _rows(part)[0]
    return slice(start, start + len(part))


def _rows(part: Shaped[Tensor, "row ..."]) -> tuple[int, int]:
    """Count the rows of the ranks before this one, and of all ranks."""
    rank, ranks = rank_and_world_size()
    counts = part.new_zeros(ranks, dtype=torch.int64)
    counts[rank] = len(part)
    rows = all_reduce_sum(counts).tolist()
    return sum(rows[:rank]), sum(rows)


def _placed(part: Shaped[Tensor, "row ..."], start: int, rows: int) -> Shaped[Tensor, "all_rows ..."]:
    """Sum over ranks of zeros with each rank's own rows filled in: shares may be uneven, and a sum has a gradient."""
    whole = part.new_zeros(rows, *part.shape[1:])
    whole[start : start + len(part)] = part
    return all_reduce_sum(whole)


def unsynchronized(state: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors that differ between ranks, compared by their sums."""
    if rank_and_world_size()[1] == 1 or not state:
        return []
    sums = torch.stack([value.detach().double().sum() for value in state.values()]).nan_to_num()
    low, high = sums.clone(), sums.clone()
    dist.all_reduce(low, dist.ReduceOp.MIN)
    dist.all_reduce(high, dist.ReduceOp.MAX)
    return [name for name, same in zip(state, (low == high).tolist(), strict=True) if not same]


def share_moments(model: nn.Module) -> None:
    """Make the batch normalisation layers of a model take mean and variance over all ranks.

    PyTorch's `SyncBatchNorm` does not run on a CPU, and drops the activation in timm's layers. In evaluation, and where
    a layer is frozen, its own `forward` is used.
    """
    for module in _norms(model):
        module.forward = _Shared(module)  # type: ignore[method-assign, assignment]


def own_moments(model: nn.Module) -> None:
    """Undo `share_moments`."""
    for module in _norms(model):
        vars(module).pop("forward", None)


def average_moments(model: nn.Module) -> None:
    """Average the running means and variances over ranks, for layers that normalised each rank's own share."""
    for module in _norms(model):
        for running in (module.running_mean, module.running_var):
            if running is not None:
                running.copy_(all_reduce_mean(running))


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


class _Shared:
    """The forward pass of a batch normalisation layer whose batch is distributed over ranks."""

    def __init__(self, module: _BatchNorm) -> None:
        self.module = module

    def __call__(self, x: Float[Tensor, "batch channel *place"]) -> Float[Tensor, "batch channel *place"]:
        module = self.module
        if not module.training:
            return type(module).forward(module, x)
        over = [0, *range(2, x.ndim)]
        shape = (1, -1, *[1] * (x.ndim - 2))
        values = x.float()
        count = all_reduce_sum(values.new_full((), values.numel() / values.shape[1]))
        mean = all_reduce_sum(values.sum(over)) / count
        centred = values - mean.view(shape)
        variance = all_reduce_sum(centred.square().sum(over)) / count
        _follow(module, mean.detach(), (variance * count / (count - 1).clamp(min=1)).detach())
        normal = centred * (variance + module.eps).rsqrt().view(shape)
        if module.affine:
            normal = normal * module.weight.view(shape) + module.bias.view(shape)
        for after in ("drop", "act"):  # timm's layers have these inside
            normal = getattr(module, after, nn.Identity())(normal)
        return normal.to(x.dtype)


@torch.no_grad()
def _follow(module: _BatchNorm, mean: Float[Tensor, " channel"], variance: Float[Tensor, " channel"]) -> None:
    """Update the running moments with those of a batch."""
    if module.running_mean is None or module.running_var is None:
        return
    assert module.num_batches_tracked is not None
    module.num_batches_tracked += 1
    pace = module.momentum if module.momentum is not None else 1 / float(module.num_batches_tracked)
    module.running_mean.lerp_(mean.to(module.running_mean.dtype), pace)
    module.running_var.lerp_(variance.to(module.running_var.dtype), pace)
