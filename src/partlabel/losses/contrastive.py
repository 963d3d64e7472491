"""Class contrast: features of a class draw together over the images that show it (SST, AAAI 2022, contrastive loss).

Not `(logits, Targets) -> scalar` but `(features, labels) -> scalar`: it judges features, not decisions.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels


class Contrastive(nn.Module):
    """Per class, over the pairs of images whose label is known in both: `1 - cos` if both are present, else `1 + cos`.

    Two images that both lack the class are pushed apart too, as in the authors' code. There are far more of the
    `1 + cos` pairs, so with n both-present pairs (all classes together) each other kind, one-present and none-present,
    is thinned to 2n drawn at random plus its n largest; a pair may be in both. With n = 0 all are used. The mean is
    over everything kept.
    """

    def forward(
        self,
        features: Float[Tensor, "batch class feature"],
        labels: Labels,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch; 0, with a gradient of 0, where no pair of images is known.

        Args:
            features: One per image and class.
            labels: PRESENT, ABSENT or UNKNOWN.
            generator: Draws the pairs.
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
    """2n at random and the n largest; all of them if n is 0."""
    if n == 0:
        return each
    drawn = torch.randperm(len(each), generator=generator, device=each.device)[: 2 * n]
    largest = each.topk(min(n, len(each))).values
    return torch.cat([each[drawn], largest])
