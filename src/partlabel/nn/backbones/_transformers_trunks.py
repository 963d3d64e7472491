"""Models of Hugging Face as trunks: the image halves of CLIP and SigLIP, and models of images alone."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.backbones._joint_space import JointTrunk, each_alone, image_and_places, itself_alone


class ClipTrunk(JointTrunk):
    """The image half of CLIP, which is pooled by its class token; places by the value path of the last block.

    Args:
        visual: Vision transformer.
        projection: Linear map into the space of texts.
        resize: Whether images have another size than those of the training, so that positions are interpolated.
    """

    def __init__(self, visual: nn.Module, projection: nn.Module, resize: bool = False) -> None:
        super().__init__(visual)
        self.projection, self.resize = projection, resize

    def forward_features(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vector of each image and those of its places."""
        body = self.visual
        tokens = body.pre_layrnorm(body.embeddings(images, interpolate_pos_encoding=self.resize))
        *layers, last = body.encoder.layers
        for layer in layers:
            tokens = layer(tokens, None)
        image = last(tokens, None)[:, 0]
        places = last(tokens, itself_alone(tokens)[None, None])[:, 1:]
        vectors = self.projection(body.post_layernorm(torch.cat([image[:, None], places], 1)))
        return vectors

    def last_stage(self) -> tuple[nn.Module, ...]:
        """Return the last block, and what follows it."""
        return self.visual.encoder.layers[-1], self.visual.post_layernorm, self.projection


class SiglipTrunk(JointTrunk):
    """The image half of SigLIP and SigLIP 2, whose attention pool sees the image, or every place alone.

    Args:
        visual: Vision transformer with an attention pool.
        resize: Whether images have another size than those of the training, so that positions are interpolated.
    """

    def __init__(self, visual: nn.Module, resize: bool = False) -> None:
        super().__init__(visual)
        self.resize = resize

    def forward_features(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vector of each image and those of its places."""
        body = self.visual
        embedded = body.embeddings(images, interpolate_pos_encoding=self.resize)
        tokens = body.post_layernorm(body.encoder(inputs_embeds=embedded).last_hidden_state)
        return image_and_places(body.head(tokens), body.head(each_alone(tokens)))

    def last_stage(self) -> tuple[nn.Module, ...]:
        """Return the last block, and what follows it."""
        return self.visual.encoder.layers[-1], self.visual.post_layernorm, self.visual.head


class ImagesAlone(nn.Module):
    """A model of images without texts, up to its tokens or its map.

    Args:
        body: The model.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body: Any = body

    def forward_features(self, images: Float[Tensor, "image 3 height width"]) -> Tensor:
        """Compute the tokens or the map of each image."""
        return self.body(pixel_values=images).last_hidden_state

    def trained(self) -> set[str]:
        """Name the parameters of the last block, and of all after it; none where there are no blocks in a row."""
        lists = [(len(each), name) for name, each in self.named_modules() if isinstance(each, nn.ModuleList)]
        if not lists or max(lists)[0] < 2:
            return set()
        count, name = max(lists)
        names = [each for each, _ in self.named_parameters()]
        first = next(at for at, each in enumerate(names) if each.startswith(f"{name}.{count - 1}."))
        return set(names[first:])
