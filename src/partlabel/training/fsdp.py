"""Parameters in shards: Lightning's FSDP, made to come to what one process comes to, on GPUs and on CPUs.

As they are, Lightning 2.6.6 and torch 2.14 refuse FSDP on a CPU (the first by the class of the strategy, though torch
can), crash there when full weights are copied (Lightning-AI/pytorch-lightning#21804), refuse to clip, cast buffers
(counts, memories) to the precision of the arithmetic, and number what the optimiser remembers by the order of the
model's parameters, where a plain run numbers it by the order of its groups. Here the whole model is one unit of FSDP,
for methods reach into parts of it: between steps each process holds its share of weights, gradients and what the
optimiser remembers; in a step, all weights.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.precision import FSDPPrecision
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision
from torch.optim import Optimizer

from partlabel.core import distributed


class Precision(FSDPPrecision):
    """Arithmetic as without shards: autocast alone lowers precision, and gradients are clipped by their whole norm."""

    strategy: "Sharded"

    def forward_context(self) -> AbstractContextManager[Any]:
        """Autocast, on whatever device there is."""
        if "mixed" not in self.precision:
            return super().forward_context()
        kind = torch.bfloat16 if self.precision == "bf16-mixed" else torch.float16
        return torch.autocast(self.strategy.root_device.type, dtype=kind)

    def clip_grad_by_norm(self, optimizer: Optimizer, clip_val: int | float, *_: Any, **__: Any) -> None:
        """Clip by the norm over all shards."""
        assert isinstance(self.strategy.model, FullyShardedDataParallel)
        self.strategy.model.clip_grad_norm_(clip_val)


class Sharded(FSDPStrategy):
    """Lightning's strategy, whose checkpoints are those of a run without shards.

    Args:
        precision: As Lightning names it.
        cpu_offload: Keep the shards in the memory of the host.
    """

    def __init__(self, precision: str, cpu_offload: bool = False) -> None:
        plugin = Precision(precision)  # type: ignore[arg-type]
        # Without types of their own, weights, gradients and buffers keep those they have.
        super().__init__(precision_plugin=plugin, mixed_precision=MixedPrecision(), cpu_offload=cpu_offload)
        plugin.strategy = self

    def _setup_model(self, model: nn.Module) -> nn.Module:
        """Name the device, as torch asks where it is a CPU; and leave single numbers whole, as it cannot share them."""
        device = self.root_device
        numbers = [parameter for parameter in model.parameters() if parameter.ndim == 0]
        for number in numbers:
            number.data = number.data.to(device)
            if number.requires_grad:
                number.register_hook(distributed.all_reduce_mean)
        return FullyShardedDataParallel(
            model,
            cpu_offload=None if device.type == "cpu" else self.cpu_offload,
            mixed_precision=self.mixed_precision,
            sharding_strategy=self.sharding_strategy,
            device_id=device,
            ignored_states=numbers,
            **self.kwargs,
        )

    def _options(self) -> StateDictOptions:
        # Weights that lie on the CPU already must not be moved there: torch frees what it believes to have copied.
        return StateDictOptions(full_state_dict=True, cpu_offload=self.root_device.type != "cpu")

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """All weights, in the first process."""
        assert self.model is not None
        return get_model_state_dict(self.model, options=self._options())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """All that the optimiser remembers, in the first process, numbered as the optimiser does itself."""
        assert self.model is not None
        optimizer = getattr(optimizer, "_optimizer", optimizer)
        return numbered(get_optimizer_state_dict(self.model, optimizer, options=self._options()))

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Take up weights and what the optimiser remembers, from a run with shards or without."""
        assert self.model is not None and self.lightning_module is not None
        checkpoint: dict[str, Any] = torch.load(
            checkpoint_path, map_location="cpu", weights_only=weights_only
        )
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=options)
        names = {id(parameter): name for name, parameter in self.lightning_module.named_parameters()}
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
            set_optimizer_state_dict(self.model, optimizer, named(state, order), options=options)
        return checkpoint


def numbered(state: Mapping[str, Any]) -> dict[str, Any]:
    """What an optimiser remembers of parameters by name, as torch's own have it: by number, group after group."""
    if not state:
        return {}
    order = list(chain.from_iterable(group["params"] for group in state["param_groups"]))
    number = {name: position for position, name in enumerate(order)}
    return {
        "state": {number[name]: state["state"][name] for name in order if name in state["state"]},
        "param_groups": [
            group | {"params": [number[name] for name in group["params"]]} for group in state["param_groups"]
        ],
    }


def named(state: Mapping[str, Any], order: list[str]) -> dict[str, Any]:
    """The reverse of `numbered`.

    Args:
        state: What an optimiser remembers, by number.
        order: The names of its parameters, group after group.
    """
    numbers = chain.from_iterable(group["params"] for group in state["param_groups"])
    name = dict(zip(numbers, order, strict=True))
    return {
        "state": {name[number]: remembered for number, remembered in state["state"].items()},
        "param_groups": [
            group | {"params": [name[number] for number in group["params"]]}
            for group in state["param_groups"]
        ],
    }


@contextmanager
def whole(model: nn.Module | None) -> Iterator[None]:
    """Have all of a model's parameters in every process; what is changed in them is kept."""
    if not isinstance(model, FullyShardedDataParallel):
        yield
        return
    with FullyShardedDataParallel.summon_full_params(model):
        yield


def own(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a module whose parameters were made shards whole ones of its own again.

    Args:
        module: Changed in place.
        state: What it is to have; its buffers are left to `load_state_dict`.
    """
    made: dict[int, nn.Parameter] = {}
    for prefix, part in module.named_modules():
        for name, shard in list(part.named_parameters(recurse=False)):
            key = f"{prefix}.{name}" if prefix else name
            setattr(
                part, name, made.setdefault(id(shard), nn.Parameter(state[key].clone(), shard.requires_grad))
            )
