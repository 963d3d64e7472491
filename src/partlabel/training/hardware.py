"""Checks that this machine has the accelerator, devices and strategy of a run, before anything is written.

Lightning would report them only after the run folder was created.
"""

from importlib.util import find_spec

from partlabel.core.messages import did_you_mean
from partlabel.training.config import TrainingConfig

NEEDS = {"deepspeed": "deepspeed", "bagua": "bagua", "colossalai": "colossalai"}
"""Packages that strategies need, by the first word of the strategy's name."""


def check(config: TrainingConfig) -> None:
    """Check that this machine has what a run is to be trained on.

    Args:
        config: Training configuration.

    Raises:
        ValueError: There is no such accelerator, device or strategy here; the message lists those that exist.
    """
    _check_accelerator(config.accelerator)
    if isinstance(config.devices, int) and config.devices < 1 and config.devices != -1:
        raise ValueError(f"devices (--devices) is {config.devices}; it has to be at least 1, or auto")
    _check_strategy(config.strategy)


def _check_accelerator(wanted: str) -> None:
    from lightning.pytorch.accelerators import AcceleratorRegistry

    kinds = {name: AcceleratorRegistry[name]["accelerator"] for name in AcceleratorRegistry}
    there = [name for name, kind in kinds.items() if kind.is_available()]
    if wanted == "auto" or wanted in there or (wanted == "gpu" and {"cuda", "mps"} & {*there}):
        return
    listed = f"(there are: {', '.join(there)}); give auto or one of these"
    if wanted in ("gpu", "cuda", "mps"):
        what = {"mps": "no Apple GPU"}.get(wanted, "no GPU that this PyTorch can use")
        raise ValueError(f"accelerator (--accelerator) is {wanted!r}, and this machine has {what} {listed}")
    known = ["auto", "gpu", *kinds]
    raise ValueError(f"accelerator (--accelerator) is {wanted!r}{did_you_mean(wanted, known)} {listed}")


def _check_strategy(wanted: str) -> None:
    from lightning.pytorch.strategies import StrategyRegistry

    known = ["auto", *(name for name in StrategyRegistry.available_strategies() if "fsdp" not in name)]
    if wanted not in known:
        raise ValueError(
            f"strategy (--strategy) is {wanted!r}, which does not exist{did_you_mean(wanted, known)}; give auto, ddp "
            "or ddp_find_unused_parameters_true"
        )
    package = NEEDS.get(wanted.partition("_")[0])
    if package is not None and find_spec(package) is None:
        raise ValueError(
            f"strategy (--strategy) is {wanted!r}, which needs {package}, and that is not installed: pip install "
            f"{package}, or give auto or ddp"
        )
