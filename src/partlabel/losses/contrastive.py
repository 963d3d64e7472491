"""Class contrast: pulls features of a class together over the images that show it (SST, AAAI 2022, contrastive loss).

Not `(logits, Targets) -> scalar` but `(features, labels) -> scalar`: it compares features, not decisions.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels


class Contrastive(nn.Module):
    """Average over pairs of images known for a class: `1 - cos` if both are present, else `1 + cos`.

    Two images that both lack the class are pushed apart too, as in the authors' code. There are far more `1 + cos`
    pairs, so with n both-present pairs (over all classes) each of the other two kinds, one present and none present, is
    reduced to 2n pairs drawn at random plus the n with the largest cost; a pair may be in both. With n = 0 all pairs
    are used. The mean is over all pairs that remain.
    """

    def forward(
        self,
        features: Float[Tensor, "batch class feature"],
        labels: Labels,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Compute the loss of a batch; 0, with a gradient of 0, where no pair of images is known.

        Args:
            features: One feature per image and class.
            labels: PRESENT, ABSENT or UNKNOWN.
            generator: Random generator that draws the pairs.
        """
        first, second = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        with torch.autocast(features.device.type, enabled=False):
            unit = normalize(features.float(), dim=-1)
            cosine = torch.einsum("bcd,ecd->bec", unit, unit)[first, second]
        i, j = labels[first], labels[second]
        known = (i != UNKNOWN) & (j != UNKNOWN)
        presents = (i == PRESENT).int() + (j == PRESENT).int()
        both, one, none = (known & (presents == n) for n in (2, 1, 0))
        n, total = both.sum(), torch.where(both, 1 - cosine, 0.0).sum()
        apart = [_thinned((1 + cosine).flatten(), kind.flatten(), n, generator) for kind in (one, none)]
        count = n + sum(each.number for each in apart)
        return (total + sum(each.total for each in apart)) / count.clamp(min=1)


class _Thinned(NamedTuple):
    """Sum and number of selected values."""

    total: Float[Tensor, ""]
    number: Int64[Tensor, ""]


def _thinned(
    each: Float[Tensor, " pair"],
    kind: Bool[Tensor, " pair"],
    n: Int64[Tensor, ""],
    generator: torch.Generator | None,
) -> _Thinned:
    """Select 2n of the values of a kind at random and the n largest; all of them if n is 0.

    All values are sorted, those of other kinds to the end: sizes that depend on the labels would make a GPU wait.
    """
    there, place = kind.sum(), torch.arange(len(each), device=each.device)
    chance = torch.rand(len(each), generator=generator, device=each.device).masked_fill(~kind, 2.0)
    among = torch.minimum(torch.where(n == 0, there, 2 * n), there)
    drawn = torch.where(place < among, each[chance.argsort()], 0.0)
    top = torch.minimum(n, there)
    ranked = each.masked_fill(~kind, -torch.inf).sort(descending=True).values
    largest = torch.where(place < top, ranked, 0.0)
    return _Thinned(drawn.sum() + largest.sum(), among + top)
