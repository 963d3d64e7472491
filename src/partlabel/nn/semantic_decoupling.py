"""Semantic decoupling: one feature per class, by attention between its word vector and the image.

Chen et al., "Learning Semantic-Specific Graph Representation for Multi-Label Image Recognition", ICCV 2019,
section 3.2, as SST uses it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class SemanticDecoupling(nn.Module):
    """Attend to the places of an image that match each class's vector, and average the features there.

    The attention logit of class c at place p is `fc4(fc3(tanh(fc1(f_p) * fc2(x_c))))`. Nothing non-linear stands
    between fc3 and fc4, so they act as the one vector `v = fc4.W fc3.W`; their biases shift all places alike and the
    softmax over places cancels them, so they are left out. Both factors of v stay parameters, so that gradients, Adam
    and weight decay see what the authors' do.

    Args:
        dim: Channels of the feature map and of the class features (paper: 1024).
        word_dim: Length of a class's vector (paper: 300).
        attention_dim: Width of the attention (paper: 512).
        class_block: Classes attended to at a time. Bounds the memory, which otherwise grows with
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
        """The class features, and the attention they were taken with."""
        places = feature_map.flatten(2).transpose(1, 2)
        image, words = self.fc1(places), self.fc2(vectors)
        v = (self.fc4.weight @ self.fc3.weight).squeeze(0)
        if len(words) <= self.class_block:
            scores = _scores(image, words, v)
        else:
            blocks = words.split(self.class_block)
            scores = torch.cat(
                [checkpoint(_scores, image, block, v, use_reentrant=False) for block in blocks], 1
            )
        attention = scores.softmax(-1)
        return attention @ places, attention.unflatten(-1, feature_map.shape[2:])


def _scores(
    image: Float[Tensor, "batch place attention"],
    words: Float[Tensor, "class attention"],
    v: Float[Tensor, " attention"],
) -> Float[Tensor, "batch class place"]:
    return torch.tanh(image[:, None] * words[:, None]) @ v
