"""Tiny models of open_clip with random weights, which open_clip knows by name, and files of their weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed: make test-clip")

DIM = 16
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
VIT = {"layers": 3, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
VISION: dict[str, dict[str, Any]] = {
    "ResNet": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 96, "head_width": 16},
    "ViT": VIT,
    "ViT, average": VIT | {"pool_type": "avg", "final_ln_after_pool": True},
    "ViT, attention": VIT | {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2},
    "SigLIP": {"timm_model_name": "test_vit3", "timm_pool": "map", "image_size": 160},
    "MobileCLIP": {"timm_model_name": "fastvit_t8", "timm_pool": "avg", "timm_proj": "", "image_size": 64},
    "token of timm": {"timm_model_name": "test_vit", "timm_pool": "token", "image_size": 160},
    "channels last": {"timm_model_name": "test_convnext", "timm_pool": "avg", "image_size": 64},
}
"""Image halves by family."""
NAMES = {"tiny-vit": "ViT", "tiny-resnet": "ResNet", "tiny-sigmoid": "SigLIP"}
"""Models that are registered, by name; for names with "siglip" open_clip downloads a tokenizer."""


def config_of(family: str) -> dict[str, Any]:
    """Describe a model as open_clip's files do."""
    custom = "timm_model_name" in VISION[family]
    bias = {"init_logit_bias": -1.0} if family == "SigLIP" else {}
    return {"embed_dim": DIM, "vision_cfg": VISION[family], "text_cfg": TEXT, **bias, "custom_text": custom}


def tiny(family: str) -> Any:
    """Build a model of a family with random weights, none of them zero everywhere."""
    parts = config_of(family)
    kind = open_clip.CustomTextCLIP if parts.pop("custom_text") else open_clip.CLIP
    vision, text = (
        open_clip.CLIPVisionCfg(**parts.pop("vision_cfg")),
        open_clip.CLIPTextCfg(**parts.pop("text_cfg")),
    )
    torch.manual_seed(0)
    whole = kind(parts.pop("embed_dim"), vision, text, **parts).eval()
    with torch.no_grad():
        for parameter in whole.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return whole


def register(folder: Path) -> Path:
    """Let open_clip know the models of `NAMES`, and write a file of weights of each."""
    for name, family in NAMES.items():
        (folder / f"{name}.json").write_text(json.dumps(config_of(family)))
        state = {key: value.contiguous() for key, value in tiny(family).state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    open_clip.add_model_config(folder)
    return folder
