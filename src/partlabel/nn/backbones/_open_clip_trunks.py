"""Image halves of open_clip's models as trunks: its ResNets, its vision transformers, and models of timm."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.backbones._joint_space import JointTrunk, each_alone, image_and_places, itself_alone


class ResNetTrunk(JointTrunk):
    """A ResNet with an attention pool, whose value and output projections are applied place by place."""

    def forward_features(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vector of each image and those of its places."""
        body, pool = self.visual, self.visual.attnpool
        feature_map = body.layer4(body.layer3(body.layer2(body.layer1(body.stem(images)))))
        places = feature_map.flatten(2).transpose(1, 2)
        return image_and_places(pool(feature_map), pool.c_proj(pool.v_proj(places)).flatten(0, 1))

    def last_stage(self) -> tuple[nn.Module, ...]:
        """Return the last layer and the attention pool."""
        return self.visual.layer4, self.visual.attnpool


class TransformerTrunk(JointTrunk):
    """A vision transformer of open_clip, pooled by its class token, an average, or attention."""

    def forward_features(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vector of each image and those of its places."""
        body = self.visual
        *blocks, last = body.transformer.resblocks
        tokens = body._embeds(images)
        for block in blocks:
            tokens = block(tokens)
        whole = last(tokens)
        by_token = body.pool_type == "tok" and body.attn_pool is None
        places = (last(tokens, attn_mask=itself_alone(tokens)) if by_token else whole)[:, 1:]
        # A class token and a place: the pool takes one or the other, and both are the place.
        return image_and_places(self._pooled(whole), self._pooled(each_alone(places, 2)))

    def last_stage(self) -> tuple[nn.Module, ...]:
        """Return the last block, and the norm and the pool after it."""
        body = self.visual
        return tuple(
            each
            for each in (body.transformer.resblocks[-1], body.ln_post, body.attn_pool)
            if each is not None
        )

    def trained(self) -> set[str]:
        """Name the parameters of the last stage, and the projection, which is no module."""
        return super().trained() | ({"visual.proj"} if self.visual.proj is not None else set())

    def _pooled(self, tokens: Float[Tensor, "image token width"]) -> Float[Tensor, "image dim"]:
        pooled = self.visual._pool(tokens)[0]
        return pooled if self.visual.proj is None else pooled @ self.visual.proj


class TimmTrunk(JointTrunk):
    """A model of timm with the pool and the projection of open_clip: SigLIP, MobileCLIP, ConvNeXt and others."""

    def forward_features(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vector of each image and those of its places."""
        if getattr(self.visual.trunk, "global_pool", "") == "token":
            return self._by_class_token(images)
        features = self.visual.trunk.forward_features(images)
        prefix = getattr(self.visual.trunk, "num_prefix_tokens", 0)
        if features.ndim == 3:
            alone = each_alone(features[:, prefix:], prefix + 1)
        elif getattr(self.visual.trunk, "output_fmt", "NCHW") == "NHWC":
            alone = each_alone(features.flatten(1, 2))[:, None]
        else:
            alone = each_alone(features.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]
        return image_and_places(self._head(features), self._head(alone))

    def _by_class_token(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vectors of a transformer that is pooled by its class token: places by the last value path."""
        body: Any = self.visual.trunk
        before = len(body.blocks) - 2
        whole, inner = body.forward_intermediates(
            images, indices=[before], norm=False, output_fmt="NLC", return_prefix_tokens=True
        )
        patches, prefix = inner[0]
        tokens = torch.cat([prefix, patches], 1)
        alone = body.norm(body.blocks[-1](tokens, attn_mask=itself_alone(tokens)))[:, prefix.shape[1] :]
        return image_and_places(self._head(whole), self._head(each_alone(alone, prefix.shape[1] + 1)))

    def last_stage(self) -> tuple[nn.Module, ...]:
        """Return the head of open_clip; `trained` adds the last stage of timm."""
        return (self.visual.head,)

    def trained(self) -> set[str]:
        """Name the parameters of the last stage by timm, and those of the head."""
        from partlabel.nn.backbones.timm import last_stage_of

        return super().trained() | {f"visual.trunk.{name}" for name in last_stage_of(self.visual.trunk)}

    def _head(self, features: Tensor) -> Float[Tensor, "image dim"]:
        return self.visual.head(self.visual.trunk.forward_head(features))
