"""Class contrast: pulls features of a class together over the images that show it (SST, AAAI 2022, contrastive loss).

Not `(logits, Targets) -> scalar` but `(features, labels) -> scalar`: it compares features, not decisions.
"""

import torch
from jaxtyping import Float
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
        together = 1 - cosine[both]
        apart = [_thin(1 + cosine[kind], len(together), generator) for kind in (one, none)]
        kept = torch.cat([together, *apart])
        return kept.mean() if len(kept) else features.sum() * 0


def _thin(each: Float[Tensor, " pair"], n: int, generator: torch.Generator | None) -> Float[Tensor, " kept"]:
    """Select 2n values at random and the n largest; all of them if n is 0."""
    if n == 0:
        return each
    drawn = torch.randperm(len(each), generator=generator, device=each.device)[: 2 * n]
    largest = each.topk(min(n, len(each))).values
    return torch.cat([each[drawn], largest])
