"""The backbone: a network up to its feature map, in two parts, a frozen stem and a last stage that is trained.

SST freezes ResNet-101 but for `layer4` (arXiv:2112.10941, and its code); here the same is done to any model of any
source in `nn/backbones/`. Batch normalisation of frozen parts stays in eval mode. As the stem never changes, its output
can be computed once and cached (`data/cache/feature_cache.py`).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.types import Preprocessing, StemOutput
from partlabel.nn import backbones, frozen_runtime
from partlabel.nn.backbones import LITE0, MapLayout, Trunk
from partlabel.nn.frozen_runtime import CPU_BATCH, FrozenRuntime, few_at_a_time, is_exporting
from partlabel.nn.pooling import CovariancePooling

__all__ = ["LITE0", "Backbone", "Trainable", "create", "fit_pooling"]

Trainable = Literal["last", "none", "all"]


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?")


class Backbone(nn.Module):
    """`last(stem(images))`, the stem without gradients and always in eval mode.

    Args:
        stem: The frozen part; may be `nn.Identity`.
        last: The rest. Whatever in it needs no gradient stays in eval mode too.
        channels: Number of channels of the feature map.
        preprocessing: Normalisation of the images that the backbone expects.
    """

    def __init__(
        self, stem: nn.Module, last: nn.Module, channels: int, preprocessing: Preprocessing | None = None
    ) -> None:
        super().__init__()
        self.stem = stem.requires_grad_(False).eval()
        self.last = last
        self.channels = channels
        self.preprocessing = preprocessing or Preprocessing()
        self.runtime: FrozenRuntime | None = None

    @property
    def has_stem(self) -> bool:
        """Whether there is a frozen part that can be computed beforehand."""
        return not isinstance(self.stem, nn.Identity)

    @property
    def is_frozen(self) -> bool:
        """Whether none of it is trained."""
        return self.has_stem and not any(True for _ in self.last.parameters())

    def has_places(self, inputs: Float[Tensor, "batch *shape"]) -> bool:
        """Return whether inputs have height and width last: the stems of some models give tokens, or channels last."""
        layouts = [module.layout for module in self.last.modules() if isinstance(module, MapLayout)]
        return not isinstance(inputs, StemOutput) or all(layout == "NCHW" for layout in layouts)

    def forward(self, inputs: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch channel height width"]:
        """Compute the feature map of images, or of the stem's output for them (`StemOutput`)."""
        features = inputs.as_subclass(Tensor) if isinstance(inputs, StemOutput) else self.stem_outputs(inputs)
        return self.last(features) if self.training else few_at_a_time(self.last, features)

    def stem_outputs(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *features"]:
        """Compute the output of the stem, without gradients."""
        if self.pooling is None or is_exporting():
            return self._without_gradients(self.stem, images)
        return self.pooled(self.maps(images))

    def prepare(self, size: int, images: int) -> None:
        """Compute the frozen part by OpenVINO from now on, if that saves time on this number of images."""
        if self.has_stem and (self.runtime is None or self.runtime.shape[1] != size):
            self.runtime = frozen_runtime.create(self._before_pooling, size, images)

    @property
    def _before_pooling(self) -> nn.Module:
        """The stem up to the pooling at its end, if there is one."""
        if self.pooling is None:
            return self.stem
        assert isinstance(self.stem, nn.Sequential)
        return self.stem[:-1].eval()

    def _without_gradients(
        self, module: nn.Module, images: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "batch *features"]:
        """Apply the frozen part, by its graph where there is one."""
        if self.runtime is not None and not is_exporting() and self.runtime.is_for(module, images):
            return self.runtime(images)
        if images.ndim == 4:  # a third faster on CPUs than planes
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return few_at_a_time(module, images)

    @property
    def pooling(self) -> CovariancePooling | None:
        """The pooling at the end of the stem, which is to be fitted; None where there is none."""
        last = self.stem[-1] if isinstance(self.stem, nn.Sequential) and len(self.stem) else None
        return last if isinstance(last, CovariancePooling) else None

    def maps(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channel map_height map_width"]:
        """Compute the input of the pooling at the end of the stem."""
        return self._without_gradients(self._before_pooling, images)

    def pooled(
        self, maps: Float[Tensor, "batch channel map_height map_width"]
    ) -> Float[Tensor, "batch *features"]:
        """Compute the output of the pooling at the end of the stem for `maps`."""
        with torch.no_grad():
            return torch.cat([self.stem[-1](few) for few in maps.split(CPU_BATCH)])  # type: ignore[index]

    def train(self, mode: bool = True) -> "Backbone":
        """Switch the trained parts alone: frozen ones stay in eval mode."""
        super().train(mode)
        self.stem.eval()
        for module in self.last.modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()
        return self


def refuse_elsewhere(file: Path, name: str) -> None:
    """Refuse a backbone that is no plain model of a source: a name such as `hf-hub:owner/model` needs network access.

    Args:
        file: File that contains the name, for the message.
        name: Name of the backbone.

    Raises:
        ValueError: The name is an address or a path.
    """
    source, colon, model = name.partition(":")
    if not _PLAIN_NAME.fullmatch(model if colon and source in backbones.names() else name):
        raise ValueError(
            f"{file}: the backbone {name!r} is no plain name of a model, and would be loaded from a network or "
            "from another folder; if you trust the model, give --trust (trust=True)"
        )


def create(
    name: str = LITE0,
    pretrained: bool | Literal["auto"] = "auto",
    trainable: Trainable = "last",
    image_size: int = 224,
    pool: int = 1,
    covariance_rank: int = 0,
    weights: str | Path | None = None,
    class_token: bool = False,
) -> Backbone:
    """Build a backbone from a model of one of the sources in `nn/backbones/`.

    Args:
        name: Model name, as timm has it, or `source:name` for another source.
        pretrained: `auto` loads ImageNet weights from an installed package where there is one, else the source's
            download; True always the source's download; False random weights.
        trainable: Trained part: the `last` stage, `none` or `all`.
        image_size: Side of the images in pixels, for models that need it.
        pool: Side of the squares of the feature map that are averaged (2 in the code of SST's authors).
        covariance_rank: Number of components of `CovariancePooling`, which `fit_pooling` fits; 0 keeps the map.
        weights: Local weights of the model, a safetensors or `.pth` file; takes the place of `pretrained`.
        class_token: Append the class token of a transformer to the features of every place, for heads that average
            the map to a vector.

    Raises:
        ValueError: There is no such model, it has no feature map, its last stage is not known, or the weights are of
            another model.
        OSError: Weights cannot be read or downloaded; the message says what to do.
    """
    trunk = backbones.trunk(name, False if weights else pretrained, image_size)
    if weights is not None:
        backbones.load_weights(trunk, weights, name)
    images = torch.zeros(1, 3, image_size, image_size).normal_(generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = _Features(trunk.model.eval())(images)
    layout = backbones.layout_of(name, trunk, features, class_token)
    after: list[nn.Module] = [layout, *([nn.AvgPool2d(pool)] if pool > 1 else [])]
    channels = layout(features).shape[1]
    if covariance_rank:
        token_channels = trunk.width if layout.class_token else 0
        after.append(CovariancePooling(channels, covariance_rank, token_channels))
        channels = after[-1].out_channels
    stem, last = _parts(name, trunk, images, features, trainable)
    if trainable == "none":  # then all of it can be computed beforehand
        backbone = Backbone(nn.Sequential(stem, *after), nn.Sequential(), channels, trunk.preprocessing)
    else:
        backbone = Backbone(stem, nn.Sequential(*last, *after), channels, trunk.preprocessing)
    # On a CPU lite0's stem takes 9 ms an image in channels last, and 13 without.
    return backbone.to(memory_format=torch.channels_last)


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

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.forward_features(images)  # type: ignore[operator]


def _parts(
    name: str, trunk: Trunk, images: Tensor, features: Tensor, trainable: Trainable
) -> tuple[nn.Module, list[nn.Module]]:
    """Divide a model, which gives these features for these images, into its stem and the modules after it."""
    model = trunk.model
    whole = _Features(model)
    _drop_unused(model, images)
    if trainable == "none":
        return whole, []
    if trainable == "all":
        return nn.Identity(), [whole]
    trained = trunk.last_stage(model)
    if not trained:
        raise ValueError(f"the last stage of {name} is not known; give --trainable none or all")
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key in trained)
    places = list(_whole_modules(model, trained))
    modules = [module for _, _, module in places]
    for parent, child, _ in places:
        setattr(parent, child, nn.Identity())
    if _gives(nn.Sequential(whole, *modules), images, features):
        return whole, modules
    for parent, child, module in places:  # its last stage is more than modules in a row: run it as one
        setattr(parent, child, module)
    return nn.Identity(), [whole]


def _drop_unused(model: nn.Module, images: Tensor) -> None:
    """Remove parameters that features do not pass through, such as a norm before the classifier."""
    used: set[nn.Module] = set()
    hooks = [module.register_forward_hook(lambda m, *_: used.add(m)) for module in model.modules()]
    with torch.no_grad():
        model.eval().forward_features(images)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    for child, module in model.named_children():
        if used.isdisjoint(module.modules()) and any(True for _ in module.parameters()):
            setattr(model, child, nn.Identity())


def _whole_modules(
    module: nn.Module, trained: set[str], prefix: str = ""
) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Yield the largest modules with only trained parameters, each after its parent and its name there."""
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
