"""Fitting of the projections of a tower to pairs of an image feature and text embeddings.

InfoNCE both ways, with a learned temperature, dropout on the inputs and weight decay. The epoch is chosen by recall on
pairs that were set apart; labels play no part.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core.progress_bar import track
from partlabel.losses.info_nce import InfoNCE
from partlabel.nn.projections import Projections
from partlabel.training.towers.config import AlignmentConfig

RANKS = (1, 5, 10)
"""Ranks up to which recall counts a pair as found; the mean over them and both directions is the criterion."""
FEWEST = 8
"""Smallest number of photos with text."""


class AlignmentPairs(NamedTuple):
    """Photos and their texts.

    Attributes:
        images: Feature of each photo.
        texts: Embedding of each text.
        photo: Row of the photo of each text, ascending; every photo has a text.
    """

    images: Float[Tensor, "image channel"]
    texts: Float[Tensor, "text embedding"]
    photo: Int64[Tensor, " text"]

    def drawn(self, generator: torch.Generator) -> Float[Tensor, "image embedding"]:
        """Draw one text of every photo."""
        count = torch.bincount(self.photo, minlength=len(self.images))
        first = count.cumsum(0) - count
        return self.texts[first + (torch.rand(len(count), generator=generator) * count).long()]

    def rows(self, chosen: Int64[Tensor, " row"]) -> "AlignmentPairs":
        """Select photos, with all their texts."""
        place = torch.full((len(self.images),), -1)
        place[chosen] = torch.arange(len(chosen))
        photo = place[self.photo]
        kept = torch.where(photo >= 0)[0]
        kept = kept[photo[kept].argsort(stable=True)]
        return AlignmentPairs(self.images[chosen], self.texts[kept], photo[kept])


class Fit(NamedTuple):
    """Result of `fit_projections`.

    Attributes:
        projections: The projections of the best epoch.
        recalls: Recall on validation after each epoch, from 0 to 1.
        chance: Recall of a random order.
        train: Number of photos that were fitted to.
        val: Number of photos that were set apart.
    """

    projections: Projections
    recalls: Sequence[float]
    chance: float
    train: int
    val: int

    @property
    def epoch(self) -> int:
        """Number of the best epoch, from 1; of equal ones the last."""
        return max(range(len(self.recalls)), key=lambda at: (self.recalls[at], at)) + 1


def fit_projections(pairs: AlignmentPairs, config: AlignmentConfig) -> Fit:
    """Fit the projections to pairs, with the epoch chosen on some that are set apart.

    Raises:
        ValueError: There are too few pairs.
    """
    check_count(len(pairs.images))
    random = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(pairs.images), generator=random)
    apart = max(int(len(order) * config.val), 2)
    val, train = pairs.rows(order[:apart]), pairs.rows(order[apart:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        projections = Projections(pairs.images.shape[1], pairs.texts.shape[1], config.dim, config.dropout)
        projections.standardise_as(train.images)
        recalls, best = _train(projections, train, val, config, random)
    projections.load_state_dict(best)
    return Fit(projections.eval(), recalls, chance(len(val.images)), len(train.images), len(val.images))


def check_count(photos: int) -> None:
    """Check that there are enough photos with text.

    Raises:
        ValueError: There are too few.
    """
    if photos < FEWEST:
        raise ValueError(
            f"{photos} photos with text are too few to align images and texts: at least {FEWEST} are needed, and "
            "thousands are useful; give more photos, and their texts by --texts captions.csv (docs/texts.md)"
        )


def _train(
    projections: Projections,
    train: AlignmentPairs,
    val: AlignmentPairs,
    config: AlignmentConfig,
    random: torch.Generator,
) -> tuple[list[float], dict[str, Tensor]]:
    """Train by steps; return the recall after each epoch, and the state of the best one."""
    matrices = [each for each in projections.parameters() if each.ndim > 1]
    others = [each for each in projections.parameters() if each.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.lr,
    )
    steps = config.epochs * -(-len(train.images) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss, recalls, best = InfoNCE(), list[float](), dict[str, Tensor]()
    for _ in track(range(config.epochs), "Aligning images and texts", unit="epochs"):
        projections.train()
        texts, order = train.drawn(random), torch.randperm(len(train.images), generator=random)
        for rows in order.split(config.batch_size):
            optimizer.zero_grad()
            cost = loss(
                projections.image(train.images[rows]), projections.text(texts[rows]), projections.scale
            )
            cost.backward()
            optimizer.step()
            schedule.step()
        recalls.append(recall(projections, val))
        if recalls[-1] == max(recalls):
            best = copy.deepcopy(projections.state_dict())
    return recalls, best


@torch.no_grad()
def recall(projections: Projections, pairs: AlignmentPairs) -> float:
    """Compute recall at 1, 5 and 10, from images to texts and back, and average all six; the first text of a photo."""
    projections.eval()
    first = torch.searchsorted(pairs.photo, torch.arange(len(pairs.images)))
    similarity = projections.image(pairs.images) @ projections.text(pairs.texts[first]).T
    own = similarity.diagonal()
    ranks = torch.cat([(similarity > own[:, None]).sum(1), (similarity > own[None]).sum(0)])
    return float(torch.stack([(ranks < rank).float().mean() for rank in RANKS]).mean())


def chance(count: int) -> float:
    """Compute the recall of a random order of that many pairs."""
    return sum(min(rank / count, 1.0) for rank in RANKS) / len(RANKS)
