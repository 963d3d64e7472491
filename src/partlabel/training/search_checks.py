"""Checks of a run before anything is computed: which solver fits it, and which options that solver does not use."""

import warnings
from collections.abc import Mapping
from typing import Any

from partlabel import methods
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn import heads
from partlabel.training.config import AUTO, TrainingConfig

UNUSED = (
    *(
        "epochs",
        "lr",
        "backbone_lr",
        "decay_biases",
        "optimizer",
        "schedule",
        "step_epochs",
        "clip",
        "accumulate",
    ),
    *("ema", "val", "augment", "cache_views", "precision", "strategy", "sync_batchnorm", "weight_decay"),
)
"""Options of training by steps, which the full-batch solver does not use."""


def check(settings: Mapping[str, Any], config: TrainingConfig) -> None:
    """Check that `auto` supports the settings.

    Raises:
        ValueError: The backbone is to be trained, or several devices are to be used; the message says what to do.
    """
    if settings["method"] != AUTO:
        return
    if settings["trainable"] != "none":
        raise ValueError(
            f"--method auto fits linear heads on a frozen backbone, and --trainable is {settings['trainable']}: leave "
            f"--trainable out, or name a method, as in --method soft_sst --trainable {settings['trainable']}"
        )
    if config.several:
        raise ValueError(
            "--method auto searches in one process on the CPU: leave out --devices and --num-nodes, or name a method, "
            "as in --method soft_sst --devices 2"
        )


def check_learnable(settings: Mapping[str, Any], train: LabelTable) -> None:
    """Check that a method can learn from the training images, of which perhaps only texts are known.

    Raises:
        ValueError: No label is known, and the method learns from labels alone.
    """
    if train.known:
        return
    if settings["method"] != AUTO and not methods.get(settings["method"]).learns_without_labels:
        raise ValueError(
            f"no label of the {len(train)} training images is known, and the method {settings['method']} learns from "
            "labels alone: leave out --method, so that the texts of the photos are learned from, or label some images"
        )


def fits_full_batch(settings: Mapping[str, Any], config: TrainingConfig) -> bool:
    """Return whether the full-batch solver is used: for `auto`, or a method it can fit without a given weight decay."""
    if settings["method"] == AUTO:
        return True
    frozen = settings["trainable"] == "none" and not config.several
    return (
        config.weight_decay is None
        and frozen
        and methods.get(settings["method"]).has_full_batch_fit()
        and heads.get(settings["head"]).is_linear
    )


def check_steps(settings: Mapping[str, Any]) -> None:
    """Check that a method can be trained by steps.

    Raises:
        ValueError: Only the full-batch solver fits it; the message says what to do.
    """
    if methods.get(settings["method"]).needs_full_batch:
        raise ValueError(
            f"--method {settings['method']} is fitted by the full-batch solver, on a frozen backbone with a linear "
            "head: leave out --weight-decay, --trainable and --devices, and take --head covariance or rooted_average"
        )


def warn_of_unused(settings: Mapping[str, Any], config: TrainingConfig) -> None:
    """Warn of options that were given and that the full-batch solver does not use."""
    default = TrainingConfig()
    names = [name for name in UNUSED if getattr(config, name) != getattr(default, name)]
    if names:
        typed = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        way = (
            "name a method to use them, as in --method soft_sst --weight-decay 0.02"
            if settings["method"] == AUTO
            else "also give --weight-decay to train by steps"
        )
        warnings.warn(f"--method {settings['method']} does not use {typed}: {way}", stacklevel=3)
