"""Image-text models of open_clip (Ilharco et al., "OpenCLIP", 2021): CLIP, SigLIP, SigLIP 2, MobileCLIP and others.

`open_clip:ViT-B-32` takes the first weights that open_clip lists for the model, `open_clip:ViT-B-32:openai` those of a
tag, and `--weights FILE` a local file.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core.messages import did_you_mean, some
from partlabel.core.types import Preprocessing
from partlabel.nn.backbones._base import BackboneSource, Joint, Trunk
from partlabel.nn.backbones._joint_space import TEXTS_AT_ONCE, JointTrunk
from partlabel.nn.joint_space import TextNetwork


class OpenClip(BackboneSource):
    """Any model of open_clip, with features in the space of its texts. Images are squashed to a square."""

    def trunk(self, name: str, pretrained: bool | Literal["auto"], image_size: int) -> Trunk:
        """Build a model of open_clip; the arguments are those of `BackboneSource.trunk`.

        Raises:
            ImportError: The package is not installed.
        """
        library, model_name, tag = _named(name)
        whole = _model(
            library, model_name, _tag(library, model_name, tag) if pretrained else None, image_size
        )
        return trunk_of(whole, lambda: _tokenizer(library, model_name))

    def side(self, name: str) -> int:
        """Return the image size of a model; arguments and errors are those of `BackboneSource.side`."""
        library, model_name, _ = _named(name)
        return int(library.get_model_config(model_name)["vision_cfg"].get("image_size", 224))


def trunk_of(whole: Any, tokenizer: Any) -> Trunk:
    """Make a trunk of a model of open_clip.

    Args:
        whole: The model, image half and text half.
        tokenizer: Function that returns the function from sentences to token numbers; called when first needed.
    """
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    from open_clip.model import get_model_preprocess_cfg

    model = _image_half(whole.visual)
    config = get_model_preprocess_cfg(whole)
    return Trunk(
        model,
        Preprocessing(
            tuple(config.get("mean", OPENAI_DATASET_MEAN)), tuple(config.get("std", OPENAI_DATASET_STD))
        ),
        lambda _: model.trained(),
        _width(whole, model),
        prefix_tokens=1,
        whole=whole,
        fitted=lambda state: _fitted(whole, state),
        joint=lambda: _joint(whole, tokenizer),
    )


def _named(name: str) -> tuple[Any, str, str]:
    """Return the library, the name of a model and the tag of its weights."""
    try:
        import open_clip
    except ImportError as error:
        raise ImportError(
            "the backbone source open_clip needs a package: pip install 'partlabel[clip]'"
        ) from error
    model_name, _, tag = name.partition(":")
    known = open_clip.list_models()
    if model_name not in known:
        raise ValueError(f"open_clip has no model {model_name!r}{did_you_mean(model_name, known)}")
    return open_clip, model_name, tag


def _tag(library: Any, name: str, tag: str) -> str:
    """Return the tag of the weights: the one given, else the first that open_clip lists."""
    tags = library.list_pretrained_tags_by_model(name)
    if not tags or (tag and tag not in tags):
        known = f"it knows {some(tags)}" if tags else "it knows none"
        raise ValueError(
            f"open_clip has no weights {tag or 'of its own'} of {name}: {known}; give a local file by --weights"
        )
    return tag or tags[0]


def _model(library: Any, name: str, tag: str | None, image_size: int) -> Any:
    native = library.get_model_config(name)["vision_cfg"].get("image_size", 224)
    size = {} if native == image_size else {"force_image_size": image_size}
    try:
        with _silent():
            return library.create_model(
                name, pretrained=tag, weights_only=True, pretrained_text=False, **size
            )
    except Exception as error:
        if tag is None or isinstance(
            error, TypeError | AssertionError | ImportError | torch.OutOfMemoryError
        ):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise OSError(
            f"cannot get the weights {tag} of {name}: {reason}; give a local file by --weights, or random weights by "
            "--pretrained false"
        ) from error


def _tokenizer(library: Any, name: str) -> Any:
    """Return the tokenizer of a model, which some models download.

    Raises:
        OSError: It cannot be downloaded.
    """
    try:
        with _silent():
            return library.get_tokenizer(name)
    except Exception as error:
        raise OSError(
            f"cannot get the tokenizer of {name} ({type(error).__name__}): it is downloaded when it is first used, so "
            "that a network is needed once; CLIP's own models have theirs in the package"
        ) from error


def _image_half(visual: nn.Module) -> JointTrunk:
    """Make a trunk of an image half, by its kind.

    Raises:
        ValueError: It is of no known kind.
    """
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    from partlabel.nn.backbones import _open_clip_trunks as trunks

    kinds: list[tuple[type, type[JointTrunk]]] = [
        (ModifiedResNet, trunks.ResNetTrunk),
        (VisionTransformer, trunks.TransformerTrunk),
        (TimmModel, trunks.TimmTrunk),
    ]
    for kind, trunk in kinds:
        if isinstance(visual, kind):
            return trunk(visual)
    raise ValueError(
        f"a {type(visual).__name__} of open_clip gives no vectors of places; take another backbone"
    )


def _width(whole: Any, model: JointTrunk) -> int:
    size = whole.visual.image_size
    side = size[0] if isinstance(size, tuple) else size
    with torch.no_grad():
        return int(model.eval().forward_features(torch.zeros(1, 3, side, side)).shape[-1])


def _fitted(whole: Any, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Rename tensors of other programs' files, and resize positions to those of the model."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import resize_pos_embed, resize_text_pos_embed

    found = {name.removeprefix("module."): value for name, value in state.items()}
    found = convert_state_dict(whole, found)
    with _silent():
        if "visual.positional_embedding" in found:
            resize_pos_embed(found, whole)
        resize_text_pos_embed(found, whole)
    return found


def _joint(whole: Any, tokenizer: Any) -> Joint:
    """Return the text half of a model."""
    text_model = nn.Module()
    for name, module in whole.named_children():
        if name != "visual":
            text_model.add_module(name, module)
    for name, parameter in whole.named_parameters(recurse=False):
        text_model.register_parameter(name, parameter)
    bias = getattr(whole, "logit_bias", None)
    made: list[Any] = []

    def tokens(sentences: Sequence[str]) -> Int64[Tensor, "text position"]:
        if not made:
            made.append(tokenizer())
        return made[0](list(sentences))

    @torch.no_grad()
    def encode(sentences: Sequence[str]) -> Float[Tensor, "text dim"]:
        whole.eval()
        parts = [sentences[at : at + TEXTS_AT_ONCE] for at in range(0, len(sentences), TEXTS_AT_ONCE)]
        return torch.cat([whole.encode_text(tokens(part)).float() for part in parts])

    return Joint(
        encode,
        text_model,
        float(whole.logit_scale.detach().exp()),
        None if bias is None else float(bias.detach()),
        lambda: TextNetwork.of(tokens, whole.encode_text, whole, of=text_model),
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Leave out what open_clip logs while it builds a model."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
