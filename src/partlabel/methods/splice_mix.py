"""SpliceMix: grids of down-sampled images beside the images, and predictions of a grid's cells that follow the images'.

Wang, Li, Deng, Wang and Wang, "SpliceMix: A Cross-scale and Semantic Blending Augmentation Strategy for Multi-label
Image Classification", arXiv:2311.15200. The equations are those of the authors' code (github.com/zuiran/SpliceMix),
which was read; the paper was not. Its labels are complete; here those of a grid stay partial. Departures:
`docs/methods/splice_mix.md`.
"""

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.backbone import Backbone
from partlabel.nn.heads import Head
from partlabel.nn.pooling import FeatureMap
from partlabel.transfer import image_mixing
from partlabel.transfer.image_splicing import cut_cells, splice

KINDS = {(1, 2): 0.3, (2, 2): 0.4, (2, 3): 0.3}
"""Rows and columns of the grids, and how often each is drawn; half of those with unequal sides are turned."""


class Spliced(NamedTuple):
    """Grids of a batch.

    Attributes:
        images: The grids, of the size of an image.
        labels: What is known of them.
        partner: Row of the image in each cell of each grid, in the batch of all processes.
        kept: Whether each cell shows its image.
        shape: Rows and columns.
    """

    images: Float[Tensor, "grid channel height width"]
    labels: Labels
    partner: Int64[Tensor, "cell grid"]
    kept: Bool[Tensor, "cell grid"]
    shape: tuple[int, int]


class SpliceMix(Method):
    """SpliceMix with consistency, SpliceMix-CL (Wang et al., 2023, arXiv:2311.15200).

    `L = BCE(known, images and grids) + consistency BCE(s(logits of the image), logits of its cell)`

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        consistency: Weight of the second term; 0 is SpliceMix without it.
        dropped: Probability that some cells of the grids of a batch are left empty.
        images_per_grid: Number of images per grid that is made of them; at least 1.
    """

    default_head: ClassVar[str] = "max"
    adds: ClassVar[str] = "grids of small images, whose cells are predicted as the images are"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        consistency: float = 1.0,
        dropped: float = 0.3,
        images_per_grid: int = 4,
    ) -> None:
        super().__init__(backbone, head)
        if images_per_grid < 1 or not 0 <= dropped <= 1:
            raise ValueError(
                f"images_per_grid is {images_per_grid} and dropped {dropped}; the first has to be at least 1, and "
                "dropped from 0 to 1"
            )
        self.loss = PartialBCE()
        self.consistency = consistency
        self.dropped = dropped
        self.images_per_grid = images_per_grid

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of images and grids, and `consistency` of cells and images."""
        spliced = self.spliced(batch, progress)
        feature_map = self.backbone(torch.cat([batch.inputs, spliced.images]))
        logits = self.head(feature_map).logits
        known = Targets.known(torch.cat([batch.labels, spliced.labels]))
        terms = {"bce": self.loss(logits, known)}
        if self.consistency > 0:
            images = len(batch.labels)
            cell = self.cell_logits(feature_map[images:], spliced.shape)
            (plain,) = distributed.all_gather_rows(logits[:images].detach().float())
            weight = spliced.kept[..., None].expand_as(cell).float()
            target = Targets(plain.sigmoid()[spliced.partner], weight)
            terms["consistency"] = self.consistency * self.loss(cell, target)
        return Step(terms)

    def spliced(self, batch: Batch, progress: Progress) -> Spliced:
        """Draw the shape of the grids and the images in them, and splice these."""
        self._need_places(batch)
        (rows, columns), empty = self.drawn(batch.inputs.shape[2:], progress)
        plain = batch.inputs.as_subclass(Tensor)  # what collectives return need not keep the type
        every, labels = distributed.all_gather_rows(plain, batch.labels)
        generator = progress.generator(labels.device)
        partner = image_mixing.partners(len(labels), rows * columns, generator)
        order = torch.rand(partner.shape, generator=generator, device=labels.device).argsort(0).argsort(0)
        kept = order >= empty
        known = image_mixing.either(labels, partner, kept.float())
        own, each = distributed.local_rows(batch.labels), self.images_per_grid
        start = -(-own.start // each) * each  # the same rows with any number of processes
        first = slice(start, own.stop, each)
        partner, kept, known = (part[first] for part in (partner.T, kept.T, known))
        images = splice(every, partner, kept, (rows, columns)).as_subclass(type(batch.inputs))
        return Spliced(images, known, partner.T, kept.T, (rows, columns))

    def drawn(self, places: torch.Size, progress: Progress) -> tuple[tuple[int, int], int]:
        """Draw rows and columns of the grids of a step, and the number of their empty cells; equal in all processes."""
        draw = np.random.default_rng([progress.seed, progress.step])
        able = [kind for kind in KINDS if max(kind) <= min(places)]
        if not able:
            raise ValueError(
                f"SpliceMix fills grids of at least 1 x 2 cells, and the inputs have {places[0]} x {places[1]} places: "
                "take a smaller --pool, or train without the feature cache (--cache none)"
            )
        chance = np.array([KINDS[kind] for kind in able])
        rows, columns = able[draw.choice(len(able), p=chance / chance.sum())]
        if draw.random() < 0.5:
            rows, columns = columns, rows
        empty = int(draw.integers(1, rows * columns)) if draw.random() < self.dropped else 0
        return (rows, columns), empty

    def cell_logits(self, maps: FeatureMap, shape: tuple[int, int]) -> Float[Tensor, "cell grid class"]:
        """Compute the logits of every cell of the grids from its part of the feature map.

        Cells are no images: the head does not update the moments that it standardises by.
        """
        if shape[0] > maps.shape[2] or shape[1] > maps.shape[3]:
            raise ValueError(
                f"SpliceMix compares {shape[0]} x {shape[1]} cells with images, and the feature map has "
                f"{maps.shape[2]} x {maps.shape[3]} places: take larger images (--image-size) or --method.consistency 0"
            )
        training = self.head.training
        self.head.eval()
        logits = [self.head(part).logits for part in cut_cells(maps, shape)]
        self.head.train(training)
        return torch.stack(logits)

    def _need_places(self, batch: Batch) -> None:
        if isinstance(self.backbone, Backbone) and not self.backbone.has_places(batch.inputs):
            raise ValueError(
                "SpliceMix splices images or feature maps, and the stem of this backbone gives neither: train without "
                "the feature cache (--cache none)"
            )
