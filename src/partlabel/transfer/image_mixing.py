"""Images mixed before the network sees them: who is mixed with whom, and by how much.

Under several processes the partners come from the whole batch, so that all draw what one would.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core import distributed
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets


def partners(rows: int, most: int, generator: torch.Generator) -> Int64[Tensor, "mixed row"]:
    """For every row itself, and rows drawn at random: each draw gives every row once, to some row itself.

    Args:
        rows: Of the whole batch.
        most: How many are mixed, at most.
        generator: The same in all processes.
    """
    itself = torch.arange(rows, device=generator.device)
    drawn = [torch.randperm(rows, generator=generator, device=generator.device) for _ in range(most - 1)]
    return torch.stack([itself, *drawn])


def mix(
    images: Float[Tensor, "batch *shape"],
    partner: Int64[Tensor, "mixed all"],
    share: Float[Tensor, "mixed all"],
) -> Float[Tensor, "batch *shape"]:
    """`sum_k share_k x_k`.

    Args:
        images: Of this process.
        partner: By row of the whole batch, the rows that are mixed.
        share: Of each.
    """
    own = distributed.local_rows(images)
    (every,) = distributed.all_gather_rows(images)
    shape = (-1, *[1] * (images.ndim - 1))
    parts = [
        every[rows[own]] * of[own].view(shape).to(images) for rows, of in zip(partner, share, strict=True)
    ]
    return torch.stack(parts).sum(0)


def either(labels: Labels, partner: Int64[Tensor, "mixed all"], share: Float[Tensor, "mixed all"]) -> Labels:
    """What is known of mixed images (LogicMix): PRESENT if any shows it, ABSENT if none does, else UNKNOWN.

    Args:
        labels: Of the whole batch.
        partner: By row, the rows that are mixed.
        share: Of each; a row of which nothing is taken says nothing.
    """
    taken, of = (share > 0)[..., None], labels[partner]
    present = ((of == PRESENT) & taken).any(0)
    absent = ((of == ABSENT) | ~taken).all(0)
    return torch.full_like(labels, UNKNOWN).masked_fill(absent, ABSENT).masked_fill(present, PRESENT)


def halves(labels: Labels, partner: Int64[Tensor, "mixed all"], share: Float[Tensor, "mixed all"]) -> Targets:
    """What is to be said of mixed images (MixUp-PME): the mean of labels, an unknown one as likely present as not.

    Nothing is said where the row's own label is unknown. Arguments as `either`.
    """
    known = Targets.known(labels)
    value = torch.where(labels == UNKNOWN, 0.5, known.value)
    return Targets((value[partner] * share[..., None].to(value)).sum(0), known.weight)
