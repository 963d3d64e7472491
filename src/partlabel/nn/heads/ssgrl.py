"""SSGRL's head: semantic decoupling, gated graph, per-class linear (Chen et al., ICCV 2019, arXiv:1908.07325).

The head of SST, SARB and HST, with the dimensions that their authors use.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from partlabel.nn.classes import Classes
from partlabel.nn.gated_graph import GatedGraph
from partlabel.nn.heads._base import ClassOutput, FeatureMap, Head
from partlabel.nn.per_class_linear import PerClassLinear
from partlabel.nn.semantic_decoupling import SemanticDecoupling


class SSGRL(Head):
    """Attention extracts each class's feature, a graph network mixes them, and a linear unit per class classifies.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes: class vectors guide the attention, the graph carries the messages.
            Without vectors, 300 numbers per class are learned; without a graph, each class sees itself alone.
        dim: Channels after reduction, and length of a class's feature.
        attention_dim: Width of the attention.
        output_dim: Length of the joint feature that the classifiers see.
        steps: Number of message passing steps.
        class_block: Number of classes attended to at a time; bounds the memory.
    """

    def __init__(
        self,
        channels: int,
        classes: Classes,
        dim: int = 1024,
        attention_dim: int = 512,
        output_dim: int = 1024,
        steps: int = 3,
        class_block: int = 32,
    ) -> None:
        super().__init__(channels, classes)
        self.feature_dim = dim
        self.reduce = nn.Sequential(nn.Conv2d(channels, dim, 1, bias=False), nn.BatchNorm2d(dim))
        if classes.vectors is None:
            self.vectors = nn.Parameter(torch.randn(len(classes), 300))
        else:
            self.register_buffer("vectors", classes.vectors.float())
        self.decoupling = SemanticDecoupling(dim, self.vectors.shape[1], attention_dim, class_block)
        self.graph = GatedGraph(dim, classes.graph_or_identity, steps)
        self.join = nn.Linear(2 * dim, output_dim)
        self.classifier = PerClassLinear(len(classes), output_dim)

    @property
    def last_linear(self) -> PerClassLinear:
        """The per-class linear layer on the joint features."""
        return self.classifier

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits, the features before the graph (which SST compares), and the attention."""
        features, attention = self.decoupling(self._reduced(feature_map), self.vectors)
        return ClassOutput(self.classify(features), features, attention)

    def classify(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch class"]:
        """Mix class features by the graph and classify each by its linear unit."""
        joint = torch.cat([self.graph(features), features], -1)
        return self.classifier(torch.tanh(self.join(joint)))

    def _reduced(self, feature_map: FeatureMap) -> Float[Tensor, "batch dim height width"]:
        """Apply the convolution `reduce` as one product over all places; PyTorch runs one product per image."""
        weight = self.reduce[0].weight.flatten(1)  # type: ignore[operator]  # no parameter while it is gathered of shards
        places = feature_map.permute(0, 2, 3, 1)
        return self.reduce[1](linear(places, weight).permute(0, 3, 1, 2))
