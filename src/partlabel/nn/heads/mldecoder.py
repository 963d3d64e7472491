"""ML-Decoder, from timm: a query per group of classes attends to the places (Ridnik et al., arXiv:2111.12933)."""

from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassOutput, FeatureMap, Head

ATTENTION_HEADS = 8
"""Number of attention heads of timm's layer."""


class MLDecoder(Head):
    """A transformer decoder layer whose fixed queries attend to the places; a linear unit per class on its query.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes; biases start at their prevalence.
        dim: Width of queries and places; a multiple of 8.
        groups: Maximum number of queries; with more classes, each query serves several.
    """

    def __init__(self, channels: int, classes: Classes, dim: int = 768, groups: int = 100) -> None:
        super().__init__(channels, classes)
        if dim % ATTENTION_HEADS or dim <= 0:
            raise ValueError(
                f"dim is {dim}; it has to be a multiple of {ATTENTION_HEADS}, the attention heads of ML-Decoder"
            )
        from timm.layers.ml_decoder import MLDecoder as TimmMLDecoder

        self.decoder = TimmMLDecoder(len(classes), groups, dim, channels)
        self.decoder.decoder = _Layers(self.decoder.decoder.layers)  # type: ignore[assignment]
        self.decoder.duplicate_pooling_bias.data.copy_(classes.prior_logits)

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits."""
        return ClassOutput(self.decoder(feature_map.float()))


class _Layers(nn.Module):
    """Decoder layers in sequence; torch's container requires self-attention, which timm's layers do not have."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, queries: Tensor, places: Tensor) -> Tensor:
        for layer in self.layers:
            queries = layer(queries, places)
        return queries
