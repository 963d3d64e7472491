"""Semantic decoupling: one feature per class, by attention between its class vector and the image.

Chen et al., "Learning Semantic-Specific Graph Representation for Multi-Label Image Recognition", ICCV 2019,
section 3.2, as SST uses it.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from partlabel.nn.tiles import as_autocast, sums_like, tile_size

tanh_backward = torch.ops.aten.tanh_backward.grad_input


class SemanticDecoupling(nn.Module):
    """Attend to the places of an image that match each class's vector, and average the features there.

    The attention logit of class c at place p is `fc4(fc3(tanh(fc1(f_p) * fc2(x_c))))`. There is no non-linearity
    between fc3 and fc4, so they act as the one vector `v = fc4.W fc3.W`; their biases shift all places alike and cancel
    in the softmax over places, so they are left out. Both factors of v stay parameters, so that gradients, Adam and
    weight decay act as in the authors' code.

    Args:
        dim: Channels of the feature map and of the class features (paper: 1024).
        word_dim: Length of a class's vector (paper: 300).
        attention_dim: Width of the attention (paper: 512).
        class_block: Maximum number of classes attended to at a time. Bounds the memory, which otherwise grows with
            batch x places x classes x attention_dim: blocks are recomputed in the backward pass.
    """

    def __init__(self, dim: int, word_dim: int, attention_dim: int = 512, class_block: int = 32) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, attention_dim, bias=False)
        self.fc2 = nn.Linear(word_dim, attention_dim, bias=False)
        self.fc3 = nn.Linear(attention_dim, attention_dim, bias=False)
        self.fc4 = nn.Linear(attention_dim, 1, bias=False)
        self.class_block = class_block

    def forward(
        self, feature_map: Float[Tensor, "batch dim height width"], vectors: Float[Tensor, "class word"]
    ) -> tuple[Float[Tensor, "batch class dim"], Float[Tensor, "batch class height width"]]:
        """Compute the class features, and the attention that they were taken with."""
        places = feature_map.flatten(2).transpose(1, 2)
        v = (self.fc4.weight @ self.fc3.weight).squeeze(0)
        image, words, v = as_autocast(self.fc1(places), self.fc2(vectors), v)
        scores_of = _scores if torch.compiler.is_exporting() else _Scores.apply
        scores = scores_of(image, words, v, self.class_block)
        attention = scores.softmax(-1)
        return attention @ places, attention.unflatten(-1, feature_map.shape[2:])


def _scores(
    image: Float[Tensor, "batch place attention"],
    words: Float[Tensor, "class attention"],
    v: Float[Tensor, " attention"],
    class_block: int,
) -> Float[Tensor, "batch class place"]:
    """Compute `_Scores` in a graph that takes batches of any size: in a fixed number of blocks of classes."""
    blocks = [words[start : start + class_block] for start in range(0, len(words), class_block)]
    return torch.cat([(image[:, None] * block[:, None]).tanh() @ v for block in blocks], 1)


class _Scores(Function):
    """`s_bcp = v . tanh(x_bp * y_c)`, keeping only x, y and v for the backward pass.

    The tanh is computed tile by tile (some images, some classes, all places), and again in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        image: Float[Tensor, "batch place attention"],
        words: Float[Tensor, "class attention"],
        v: Float[Tensor, " attention"],
        class_block: int,
    ) -> Float[Tensor, "batch class place"]:
        ctx.save_for_backward(image, words, v)
        ctx.class_block = class_block
        scores = image.new_empty(len(image), len(words), image.shape[1])
        for some, block, (t,) in _tiles(image, words, class_block, 1):
            torch.mul(image[some, None], words[block, None], out=t).tanh_()
            scores[some, block] = t @ v
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_scores: Float[Tensor, "batch class place"]) -> tuple[Tensor | None, ...]:
        image, words, v = ctx.saved_tensors
        d_image, d_words, d_v = map(sums_like, (image, words, v))
        for some, block, (t, d_t) in _tiles(image, words, ctx.class_block, 2):
            x, y, d_s = image[some, None], words[block, None], d_scores[some, block].contiguous()
            torch.mul(x, y, out=t).tanh_()
            d_v += d_s.view(-1) @ t.view(-1, len(v))
            tanh_backward(d_s[..., None].expand_as(t), t, grad_input=d_t)  # v, the same in all, comes last
            d_image[some] += torch.mul(d_t, y, out=t).sum(1)
            d_words[block] += d_t.mul_(x).sum(2).sum(0)
        return (d_image * v).to(image), (d_words * v).to(words), d_v.to(v), None


def _tiles(
    image: Tensor, words: Tensor, class_block: int, spaces: int
) -> Iterator[tuple[slice, slice, list[Tensor]]]:
    """Divide images and classes into tiles, with work space for their tanh that all tiles share."""
    room = tile_size(image.device) // image[0].numel()
    classes = max(1, min(class_block, room, len(words)))
    images = max(1, min(room // classes, len(image)))
    space = image.new_empty(spaces, images * classes * image[0].numel())
    for first, start in itertools.product(range(0, len(image), images), range(0, len(words), classes)):
        some, block = slice(first, first + images), slice(start, start + classes)
        shape = len(image[some]), len(words[block]), *image.shape[1:]
        yield some, block, [each[: math.prod(shape)].view(shape) for each in space]
