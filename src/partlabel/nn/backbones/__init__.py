"""Backbone sources: one file is one library of models; dropping a file in here makes `--backbone <its name>:` exist.

A backbone is named `source:model`; without a source it is a model of timm, or a short name of one (`_aliases.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from partlabel.core import registry
from partlabel.core.messages import some
from partlabel.nn.backbones._aliases import ALIASES, full_name
from partlabel.nn.backbones._base import BackboneSource, Joint, Trunk
from partlabel.nn.backbones._described import BackboneFacts, backbone_facts
from partlabel.nn.backbones._layout import MapLayout, layout_of
from partlabel.nn.backbones.timm import LITE0

__all__ = [
    "ALIASES",
    "LITE0",
    "BackboneFacts",
    "BackboneSource",
    "Joint",
    "MapLayout",
    "Trunk",
    "backbone_facts",
    "full_name",
    "get",
    "layout_of",
    "load_weights",
    "names",
    "trunk",
]


def names() -> list[str]:
    """List the names of all sources, in alphabetical order."""
    return registry.names(__name__)


def get(name: str) -> type[BackboneSource]:
    """Find the source of that name.

    Raises:
        ValueError: There is no such source; the message names the nearest.
    """
    return registry.find(__name__, name)


def trunk(name: str, pretrained: bool | Literal["auto"], image_size: int) -> Trunk:
    """Build the model that `source:model` names; arguments and errors are those of `BackboneSource.trunk`."""
    name = full_name(name)
    source, colon, model = name.partition(":")
    if not colon or source not in names():
        source, model = "timm", name
    return get(source)().trunk(model, pretrained, image_size)


def load_weights(trunk: Trunk, path: str | Path, name: str) -> None:
    """Load local weights into a model; a classifier's tensors that the model does not have are left out.

    Args:
        trunk: Trunk whose model is changed in place; of an image-text model both halves.
        path: A safetensors file, or a `.pth` file of tensors, alone or under `state_dict` or `model`. Nothing else in
            it is unpickled.
        name: Model name, for messages.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no tensors, or those of another model; the message names the tensors that do not fit.
    """
    model = trunk.whole or trunk.model
    state = trunk.fitted(_read_weights(Path(path)))
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or wrong:
        shapes = [
            f"{key} is {tuple(state[key].shape)} and should be {tuple(own[key].shape)}" for key in wrong
        ]
        lacking = [f"{len(missing)} are missing: {some(missing)}"] if missing else []
        raise ValueError(f"{path} does not fit {name}: {'; '.join([*lacking, *shapes[:3]])}")
    model.load_state_dict({key: state[key] for key in own})


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise OSError(f"there is no file {path}")
    content: Any
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            content = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged, or no safetensors file: {error}") from error
    else:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # pickle and zip raise many kinds at damaged files
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{path} holds no weights that can be read without running code: {reason}"
            ) from error
        for key in ("state_dict", "model"):
            content = content.get(key, content) if isinstance(content, Mapping) else content
    tensors = (
        {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    )
    if not tensors:
        raise ValueError(f"{path} holds no tensors by name")
    return tensors
