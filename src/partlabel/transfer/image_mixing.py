"""Mixing of images before the network: which images are mixed, and in which shares.

In distributed training the partners are rows of the whole batch, so that the draws equal those of one process.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core import distributed
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets


def partners(rows: int, most: int, generator: torch.Generator) -> Int64[Tensor, "mixed row"]:
    """Draw the rows that each row is mixed with: itself, then one random permutation per further image.

    Args:
        rows: Number of rows of the whole batch.
        most: Maximum number of images in a mixture.
        generator: Random generator, equal in all processes.
    """
    itself = torch.arange(rows, device=generator.device)
    drawn = [torch.randperm(rows, generator=generator, device=generator.device) for _ in range(most - 1)]
    return torch.stack([itself, *drawn])


def mix(
    images: Float[Tensor, "batch *shape"],
    partner: Int64[Tensor, "mixed all"],
    share: Float[Tensor, "mixed all"],
) -> Float[Tensor, "batch *shape"]:
    """Compute `sum_k share_k x_k`.

    Args:
        images: Images of this process, or their stem outputs; the mixtures are of the same type.
        partner: Rows that are mixed, for each row of the whole batch.
        share: Share of each of these rows.
    """
    plain = images.as_subclass(Tensor)  # what collectives return need not keep the type
    own = distributed.local_rows(plain)
    (every,) = distributed.all_gather_rows(plain)
    shape = (-1, *[1] * (plain.ndim - 1))
    parts = [
        every[rows[own]] * of[own].view(shape).to(plain) for rows, of in zip(partner, share, strict=True)
    ]
    return torch.stack(parts).sum(0).as_subclass(type(images))


def either(labels: Labels, partner: Int64[Tensor, "mixed all"], share: Float[Tensor, "mixed all"]) -> Labels:
    """Combine labels of mixed images (LogicMix): PRESENT if any image shows it, ABSENT if none does, else UNKNOWN.

    Args:
        labels: Labels of the whole batch.
        partner: Rows that are mixed, for each row.
        share: Share of each; a row with a share of 0 has no influence.
    """
    taken, of = (share > 0)[..., None], labels[partner]
    present = ((of == PRESENT) & taken).any(0)
    absent = ((of == ABSENT) | ~taken).all(0)
    return torch.full_like(labels, UNKNOWN).masked_fill(absent, ABSENT).masked_fill(present, PRESENT)


def halves(labels: Labels, partner: Int64[Tensor, "mixed all"], share: Float[Tensor, "mixed all"]) -> Targets:
    """Combine labels of mixed images (MixUp-PME): the mean of the labels, where an unknown one counts as 1/2.

    Weight 0 where the row's own label is unknown. The arguments are those of `either`.
    """
    known = Targets.known(labels)
    value = torch.where(labels == UNKNOWN, 0.5, known.value)
    return Targets((value[partner] * share[..., None].to(value)).sum(0), known.weight)
