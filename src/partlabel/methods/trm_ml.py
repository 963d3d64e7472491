"""TRM-ML: regions of classes are matched with class names, and prototypes of both kinds label what is unknown.

Ma et al., "Text-Region Matching for Multi-Label Image Recognition with Missing Labels", ACM MM 2024, arXiv:2407.18520.
In the terms of this package it is the cross-image transfer of SST, with the name as one more prototype of a class.

Its code was not published, and of its equations none could be read. Known in words: queries of the classes attend to
the places of a frozen image encoder; each region is matched with the text of its class, one to one; prototypes of
classes, visual and of text, give pseudo-labels by relations within and between classes; a contrastive loss relates both
kinds. All formulas here are therefore ours. With the region r_c of class c (head `joint_query`), V_k the running mean
of the regions of images known to show class k, and T_k the vector of its name:

    q_V(c) = softmax_k(scale cos(r_c, V_k))_c,   q_T(c) = softmax_k(scale cos(r_c, T_k))_c
    s_c = (q_V(c) + q_T(c)) / 2
    L = BCE(known) + BCE(known + pseudo) - contrast_weight mean over known present labels of (log q_V + log q_T) / 2

An unknown label becomes present where s_c reaches a threshold. The softmax over classes compares prototypes of images
and of texts on the same scale, which their cosines are not on.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head
from partlabel.nn.heads.joint_query import JointQuery
from partlabel.nn.named_places import NO_TOWER, sharpness_of
from partlabel.transfer import pseudo_labels
from partlabel.transfer.prototypes import RunningMeans, own_log_share
from partlabel.transfer.thresholds import Falling, chosen


class TRMML(Method):
    """Text-region matching with multimodal prototypes (TRM-ML; Ma et al., ACM MM 2024, arXiv:2407.18520).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes, in the space of a tower: `joint_query`.
        start_epoch: First epoch (from 0) that trains on pseudo-labels.
        threshold: Share of its own class among the prototypes from which an unknown label becomes present.
        proportion: Share of the present labels that the class proportions among known labels make expected, in (0, 1]:
            as many unknown labels of each class, the highest, become present, in place of the threshold (CAP).
        text: Whether the class names are prototypes, beside those of images.
        contrast_weight: Weight of the contrastive loss.
        horizon: Number of regions up to which a prototype is the mean over all of them; then it follows.
        sharpness: Factor of a cosine in the softmax over prototypes. None: the tower's.

    Raises:
        ValueError: The head has no regions in the space of a tower.
    """

    default_head: ClassVar[str] = "joint_query"
    adds: ClassVar[str] = (
        "regions matched with class names, pseudo-labels from prototypes of images and of names"
    )
    needs: ClassVar[str] = "labels, a tower"
    needs_tower: ClassVar[bool] = True
    head: JointQuery

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        threshold: float = 0.5,
        proportion: float | None = None,
        text: bool = True,
        contrast_weight: float = 1.0,
        horizon: int = 100,
        sharpness: float | None = None,
    ) -> None:
        if not isinstance(head, JointQuery):
            raise ValueError(
                f"TRMML matches regions with class names, and the head {type(head).__name__} has none in the space "
                "of a tower: give --head joint_query"
            )
        super().__init__(backbone, head)
        self.bce = PartialBCE()
        self.prototypes = RunningMeans(head.num_classes, 1, head.feature_dim, horizon)
        self.prototypes.adopts_shapes = head.joint is None
        self.rule = chosen(
            Falling(threshold, 0.0, threshold, start_epoch), head.num_classes, None, proportion
        )
        self.start_epoch, self.contrast_weight, self.text = start_epoch, contrast_weight, text
        self.sharpness = sharpness_of(head.joint, sharpness)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` and `contrast`, and from `start_epoch` on `bce_prototypes`.

        Raises:
            ValueError: There is no tower.
        """
        if self.head.joint is None:
            raise ValueError(NO_TOWER)
        out = self.outputs(batch.inputs)
        assert out.features is not None
        known = Targets.known(batch.labels)
        shares, said = self.own_shares(out.features)
        terms = {
            "bce": self.bce(out.logits, known),
            "contrast": self.contrast_weight * self.contrast(shares, said, batch.labels),
        }
        score = (shares.exp() * said).sum(0).detach() / said.sum(0).clamp(min=1)
        self.rule.see(score, said.any(0).expand_as(score), batch, progress)
        found = pseudo_labels.accept(score, batch.labels, self.rule.at(progress))
        features, labels = distributed.all_gather_rows(out.features.detach(), batch.labels)
        self.prototypes.add(features, (labels == PRESENT)[..., None])
        if progress.epoch < self.start_epoch:
            return Step(terms)
        terms["bce_prototypes"] = self.bce(out.logits, known.fill(found))
        return Step(terms, {"prototypes": found})

    def own_shares(
        self, features: Float[Tensor, "batch class dim"]
    ) -> tuple[Float[Tensor, "kind batch class"], Float[Tensor, "kind 1 class"]]:
        """Compute log q_V and log q_T, and which of them are there: a class without a present label has no V."""
        visual = (self.prototypes.count[:, 0] > 0).float()
        kinds = [(self.prototypes.mean[:, 0], visual)]
        if self.text:
            kinds.append((self.head.text, torch.ones_like(visual)))
        shares = [own_log_share(features, means, there, self.sharpness) for means, there in kinds]
        return torch.stack(shares), torch.stack([there for _, there in kinds])[:, None]

    def contrast(
        self,
        shares: Float[Tensor, "kind batch class"],
        said: Float[Tensor, "kind 1 class"],
        labels: Labels,
    ) -> Float[Tensor, ""]:
        """Compute the mean of `-log q` over labels known to be present and the kinds of prototypes that are there."""
        weight = said * (labels == PRESENT)
        count = distributed.all_reduce_mean(weight.sum())
        return -(shares * weight).sum() / count.clamp(min=1)
