"""ML-Decoder as timm has it: a query per group of classes looks at the places (Ridnik et al., arXiv:2111.12933)."""

from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassOutput, FeatureMap, Head

ATTENTION_HEADS = 8
"""Of timm's layer."""


class MLDecoder(Head):
    """One transformer decoder layer whose fixed queries attend to the places; a linear unit per class of a query.

    Args:
        channels: Of the feature map.
        classes: Their prevalence is where the biases start.
        dim: Of queries and places; a multiple of 8.
        groups: Queries at most; with more classes than that, each query serves several.
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
        """Logits."""
        return ClassOutput(self.decoder(feature_map.float()))


class _Layers(nn.Module):
    """Decoder layers in a row: torch's own container asks them for self-attention, which timm's do not have."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, queries: Tensor, places: Tensor) -> Tensor:
        for layer in self.layers:
            queries = layer(queries, places)
        return queries
