"""Optimiser with parameter groups, and schedule of the learning rate."""

from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from partlabel.methods import Method
from partlabel.training.config import TrainingConfig

MOMENTUM = 0.9


def optimizer(method: Method, config: TrainingConfig) -> Optimizer:
    """Build Adam, AdamW, or gradient descent with momentum, over the trained parameters.

    The groups are those of `Method.parameter_groups`: by default the backbone has `backbone_lr` times the learning rate
    of the other parameters.
    """
    groups = _groups(method, config)
    if config.optimizer == "sgd":
        return SGD(groups, lr=config.lr, weight_decay=config.decay, momentum=MOMENTUM)
    kind = AdamW if config.optimizer == "adamw" else Adam
    return kind(groups, lr=config.lr, weight_decay=config.decay)


def _groups(method: Method, config: TrainingConfig) -> list[dict[str, Any]]:
    own = method.parameter_groups(config.lr, config.decay)
    if own is not None:
        return [group | {"params": list(group["params"])} for group in own]
    backbone = {id(parameter) for parameter in method.backbone.parameters()}
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for parameter in method.parameters():
        if not parameter.requires_grad:
            continue
        in_backbone, decays = id(parameter) in backbone, parameter.ndim > 1 or config.decay_biases
        rate = config.lr * (config.backbone_lr if in_backbone else 1.0)
        decay = config.decay if decays else 0.0
        empty: dict[str, Any] = {"params": [], "lr": rate, "weight_decay": decay}
        groups.setdefault((in_backbone, not decays), empty)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]  # the head's first, whose learning rate is logged


def schedule(optimizer: Optimizer, config: TrainingConfig, steps: int) -> LRScheduler:
    """Return the schedule of the learning rate over the given number of steps."""
    if config.schedule == "onecycle":
        return OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    if config.schedule == "step":
        return StepLR(optimizer, max(config.step_epochs * steps // config.epochs, 1), 0.1)
    return ConstantLR(optimizer, 1.0)
