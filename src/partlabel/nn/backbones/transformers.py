"""Models of Hugging Face (Wolf et al., "Transformers", EMNLP 2020): CLIP, SigLIP, SigLIP 2, DINOv2, DINOv3 and others.

`transformers:owner/model` is downloaded as safetensors, `transformers:folder` is read from a folder. No code of a
model's repository is run.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.types import Preprocessing
from partlabel.nn.backbones._base import BackboneSource, Joint, Trunk
from partlabel.nn.backbones._joint_space import TEXTS_AT_ONCE, JointTrunk
from partlabel.nn.joint_space import TextNetwork


class Transformers(BackboneSource):
    """Any vision model or image-text model of Hugging Face. Images are squashed to a square."""

    def trunk(self, name: str, pretrained: bool | Literal["auto"], image_size: int) -> Trunk:
        """Build a model of Hugging Face; the arguments are those of `BackboneSource.trunk`.

        Raises:
            ImportError: The package is not installed.
        """
        config = _config(name)
        library = _library()
        try:
            whole = (
                library.AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
                if pretrained
                else library.AutoModel.from_config(config)
            )
        except OSError as error:
            raise OSError(
                f"cannot get the weights of {name}: {str(error).splitlines()[0]}; give a local file by --weights, or "
                "random weights by --pretrained false"
            ) from error
        return trunk_of_model(whole, name, image_size)

    def side(self, name: str) -> int:
        """Return the image size of a model; arguments and errors are those of `BackboneSource.side`."""
        return side_of(_config(name))


def side_of(config: Any) -> int:
    """Return the image size that a configuration states; 224 if it states none."""
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", 224)
    return int(size if isinstance(size, int) else size[0])


def trunk_of_model(whole: Any, name: str, image_size: int) -> Trunk:
    """Make a trunk of a model of Hugging Face.

    Args:
        whole: The model; of an image-text model both halves.
        name: Where its tokenizer and its preprocessing are.
        image_size: Side of the images in pixels.

    Raises:
        ValueError: It gives no features of places.
    """
    from partlabel.nn.backbones._transformers_trunks import ImagesAlone

    resize = image_size != side_of(whole.config)
    joint = _image_half(whole, resize)
    model: Any = ImagesAlone(whole) if joint is None else joint
    with torch.no_grad():
        features = model.eval().forward_features(torch.zeros(1, 3, image_size, image_size))
    tokens = features.ndim == 3
    return Trunk(
        model,
        _preprocessing(name),
        lambda _: model.trained(),
        int(features.shape[2 if tokens else 1]),
        prefix_tokens=_prefix(whole.config, features, image_size) if tokens else 0,
        whole=whole,
        joint=None if joint is None else lambda: _joint(whole, name),
    )


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "the backbone source transformers needs a package: pip install 'partlabel[clip]'"
        ) from error
    return transformers


def _config(name: str) -> Any:
    library = _library()
    try:
        return library.AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise OSError(
            f"cannot read the description of the model {name}: {str(error).strip().splitlines()[0]}; give a name of "
            "the hub, or a folder with config.json, as in --backbone transformers:folder"
        ) from error


def _image_half(whole: Any, resize: bool) -> JointTrunk | None:
    """Make a trunk of the image half of an image-text model; None for a model of images alone.

    Raises:
        ValueError: It is an image-text model of another kind.
    """
    from partlabel.nn.backbones._transformers_trunks import ClipTrunk, SiglipTrunk

    if not hasattr(whole, "get_text_features"):
        return None
    if hasattr(whole, "visual_projection") and hasattr(whole.vision_model, "pre_layrnorm"):
        return ClipTrunk(whole.vision_model, whole.visual_projection, resize)
    if hasattr(whole.vision_model, "head") and hasattr(whole, "logit_bias"):
        return SiglipTrunk(whole.vision_model, resize)
    raise ValueError(
        f"a {type(whole).__name__} of transformers gives no vectors of places; take another backbone"
    )


def _prefix(config: Any, tokens: Tensor, image_size: int) -> int:
    """Count the tokens before those of the places: the class token, and registers."""
    patch = getattr(getattr(config, "vision_config", config), "patch_size", 16)
    side = image_size // int(patch if isinstance(patch, int) else patch[0])
    return max(tokens.shape[1] - side * side, 0)


def _preprocessing(name: str) -> Preprocessing:
    """Read mean and standard deviation of the preprocessing; .5 where the model states none."""
    from transformers.image_processing_utils import ImageProcessingMixin

    try:
        about, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except OSError:
        return Preprocessing()
    default = Preprocessing()
    return Preprocessing(
        tuple(about.get("image_mean") or default.mean), tuple(about.get("image_std") or default.std)
    )


def _joint(whole: Any, name: str) -> Joint:
    """Return the text half of a model."""
    text_model = nn.Module()
    for child, module in whole.named_children():
        if child not in ("vision_model", "visual_projection"):
            text_model.add_module(child, module)
    for child, parameter in whole.named_parameters(recurse=False):
        text_model.register_parameter(child, parameter)
    bias = getattr(whole, "logit_bias", None)
    length = whole.config.text_config.max_position_embeddings
    tokenizers: list[Any] = []

    def tokens(sentences: Sequence[str]) -> dict[str, Tensor]:
        if not tokenizers:
            tokenizers.append(_library().AutoTokenizer.from_pretrained(name, trust_remote_code=False))
        given = tokenizers[0](
            list(sentences),
            # SigLIP was trained on sentences of one length, and without a mask
            padding="max_length" if bias is not None else True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        wanted = ("input_ids",) if bias is not None else ("input_ids", "attention_mask")
        return {each: given[each] for each in wanted}

    def vectors(given: dict[str, Tensor]) -> Float[Tensor, "text dim"]:
        out = whole.get_text_features(**given)
        return getattr(out, "pooler_output", out).float()

    @torch.no_grad()
    def encode(sentences: Sequence[str]) -> Float[Tensor, "text dim"]:
        whole.eval()
        parts = [sentences[at : at + TEXTS_AT_ONCE] for at in range(0, len(sentences), TEXTS_AT_ONCE)]
        return torch.cat([vectors(tokens(part)) for part in parts])

    scale = float(whole.logit_scale.detach().exp())
    return Joint(
        encode,
        text_model,
        scale,
        None if bias is None else float(bias.detach()),
        lambda: TextNetwork.of(tokens, vectors, whole, of=text_model),
    )
