"""Checkpoints of the authors' code (HCPLab-SYSU/HCP-MLR-PL), for people who want to move over.

Names in these checkpoints: `changeChannel` reduces the channels, `SemanticDecoupling` and `GraphNeuralNetwork` are the
modules of that name, `fc` is the joint layer, `classifiers` are the linear units; `intra_*` is the pair head. Sizes are
read from the tensors.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from partlabel.core.messages import some
from partlabel.methods.sst import SST
from partlabel.nn.backbone import Backbone, create
from partlabel.nn.classes import Classes
from partlabel.nn.heads.ssgrl import SSGRL

State = Mapping[str, Tensor]

# ours <- theirs, where one tensor is one tensor
RENAMED = {
    "head.reduce.0.weight": "changeChannel.0.weight",
    "head.reduce.1.weight": "changeChannel.1.weight",
    "head.reduce.1.bias": "changeChannel.1.bias",
    "head.reduce.1.running_mean": "changeChannel.1.running_mean",
    "head.reduce.1.running_var": "changeChannel.1.running_var",
    "head.reduce.1.num_batches_tracked": "changeChannel.1.num_batches_tracked",
    "head.vectors": "wordFeatures",
    "head.decoupling.fc1.weight": "SemanticDecoupling.fc1.weight",
    "head.decoupling.fc2.weight": "SemanticDecoupling.fc2.weight",
    "head.decoupling.fc3.weight": "SemanticDecoupling.fc3.weight",
    "head.decoupling.fc4.weight": "SemanticDecoupling.fc4.weight",
    "head.graph.graph": "inMatrix",
    "head.graph.candidate.weight": "GraphNeuralNetwork.fc_3_u.weight",
    "head.graph.candidate.bias": "GraphNeuralNetwork.fc_3_u.bias",
    "head.join.weight": "fc.weight",
    "head.join.bias": "fc.bias",
    "head.classifier.weight": "classifiers.weight",
    "head.classifier.bias": "classifiers.bias",
    "pairs.fc1.weight": "intra_fc_1.weight",
    "pairs.fc1.bias": "intra_fc_1.bias",
    "pairs.fc2.weight": "intra_fc_2.weight",
    "pairs.fc2.bias": "intra_fc_2.bias",
    "pairs.fc3.weight": "intra_fc_3.weight",
    "pairs.fc3.bias": "intra_fc_3.bias",
    "pairs.classifier.weight": "intra_classifiers.weight",
    "pairs.classifier.bias": "intra_classifiers.bias",
}
# ours <- several of theirs, one below the other
STACKED = {
    "head.graph.message": tuple(f"GraphNeuralNetwork.fc_{n}_w" for n in (1, 2, 3)),
    "head.graph.gates": tuple(f"GraphNeuralNetwork.fc_{n}_u" for n in (1, 2)),
}


def load_sst(
    state: State | str | Path, class_names: Sequence[str] | None = None, backbone: nn.Module | None = None
) -> SST:
    """Build an SST with the weights of a checkpoint of the authors' code, in eval mode.

    The feature memory is not in their checkpoints, so it starts empty. The biases of their attention (`fc3.bias`,
    `fc4.bias`) have no effect on any output and are dropped.

    Args:
        state: A state dict, or the path of a `.pth` file that holds one, alone or under `state_dict`, with or without
            the `module.` prefix of DataParallel. Files are read without unpickling code.
        class_names: Class names; by default `class 0`, `class 1`, ...
        backbone: Network from images to a feature map; by default the authors' ResNet-101 with 2 x 2 pooling, from the
            state's `backbone.*`, or the identity where the state has none, so that the SST takes feature maps.

    Raises:
        ValueError: A tensor is missing, or the file holds no state dict.
    """
    tensors = _plain(_read(state) if isinstance(state, str | Path) else state)
    _check(tensors)
    vectors = tensors["wordFeatures"]
    names = tuple(class_names or (f"class {i}" for i in range(len(vectors))))
    if len(names) != len(vectors):
        raise ValueError(f"the checkpoint has {len(vectors)} classes, and {len(names)} names were given")
    dim, channels = tensors["changeChannel.0.weight"].shape[:2]
    head = SSGRL(
        channels,
        Classes(names, vectors, tensors["inMatrix"]),
        dim=dim,
        attention_dim=len(tensors["SemanticDecoupling.fc1.weight"]),
        output_dim=len(tensors["fc.weight"]),
    )
    sst = SST(
        _backbone(tensors, channels) if backbone is None else backbone,
        head,
        pair_dim=len(tensors["intra_fc_1.weight"]),
        pair_hidden_dim=len(tensors["intra_fc_2.weight"]),
    )
    ours = {name: tensors[theirs] for name, theirs in RENAMED.items() if theirs in tensors}
    for name, theirs in STACKED.items():
        for kind in ("weight", "bias"):
            ours[f"{name}.{kind}"] = torch.cat([tensors[f"{each}.{kind}"] for each in theirs])
    sst.load_state_dict(ours, strict=False)
    return sst.eval()


def _backbone(state: State, channels: int) -> nn.Module:
    """Build the authors' ResNet-101, whose tensors are named as torchvision's and timm's; None if missing."""
    theirs = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    if not theirs:
        return Backbone(nn.Identity(), nn.Identity(), channels)
    backbone = create("resnet101", pretrained=False, pool=2)
    last = "layer4."
    ours = {
        f"last.0.{k.removeprefix(last)}" if k.startswith(last) else f"stem.model.{k}": v
        for k, v in theirs.items()
    }
    if missing := [k for k in backbone.state_dict() if k not in ours]:
        raise ValueError(
            f"the checkpoint's backbone is no ResNet-101: it lacks what would be {some(missing)}"
        )
    backbone.load_state_dict(ours, strict=False)  # theirs may hold a classifier too
    return backbone


def _read(path: str | Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors, and reading it could run code: it was not read"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds no state dict but a {type(content).__name__}")
    return content


def _plain(state: Mapping[str, Any]) -> dict[str, Tensor]:
    inner = state.get("state_dict", state)
    return {name.removeprefix("module."): value for name, value in inner.items() if isinstance(value, Tensor)}


def _check(state: State) -> None:
    stacked = [
        f"{each}.{kind}" for parts in STACKED.values() for each in parts for kind in ("weight", "bias")
    ]
    needed = [name for name in (*RENAMED.values(), *stacked) if not name.endswith("num_batches_tracked")]
    if missing := [name for name in needed if name not in state]:
        raise ValueError(
            f"this is no checkpoint of the authors' SST: it lacks {some(missing)}. "
            "HST, SARB and DSRB checkpoints have other parts"
        )
