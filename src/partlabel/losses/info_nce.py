"""InfoNCE (van den Oord et al., 2018, arXiv:1807.03748), both ways as in CLIP (Radford et al., ICML 2021).

Not `(logits, Targets) -> scalar` but `(images, texts) -> scalar`: it compares images with texts, not with classes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class InfoNCE(nn.Module):
    """Mean cross-entropy of finding the text of each image among all texts of the batch, and the image of each text.

    With `s_ij = scale cos(image_i, text_j)`, it is `-mean_i (log softmax_j(s_ij)[i] + log softmax_j(s_ji)[i]) / 2`.
    """

    def forward(
        self,
        images: Float[Tensor, "pair dim"],
        texts: Float[Tensor, "pair dim"],
        scale: Float[Tensor, ""],
    ) -> Float[Tensor, ""]:
        """Compute the loss of a batch of pairs.

        Args:
            images: Unit vectors of images.
            texts: Unit vectors of their texts, in the same order.
            scale: Inverse temperature.
        """
        similarity = scale * images @ texts.T
        own = torch.arange(len(images), device=images.device)
        return (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2
