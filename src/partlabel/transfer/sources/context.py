"""Source `context`: photos of the same folder, the same minute or the same place often show the same.

    score_c = sum over folder, minute, place of logit((present_c + 2 share_c) / (known_c + 2)) - logit(share_c)

The numbers are those of known labels of other photos with the same key (`data/images/context.py`); a photo is no
evidence for itself. It is not among the default sources, because names and times of most collections give no
information.
"""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.transfer.sources._base import EvidenceSource, Observed

PRIOR_LABELS = 2.0
"""Labels that are added to those of each key, with the share of present labels of all photos."""
MISSING = 0
"""Key of a photo of which nothing is known."""


class Context(EvidenceSource):
    """Share of present labels among other photos of the same folder, minute and place.

    Args:
        classes: Number of classes.
    """

    needs: ClassVar[tuple[str, ...]] = ("context",)
    keys: Int64[Tensor, " group"]
    """Distinct keys of all kinds, in ascending order."""
    counts: Float[Tensor, "2 group class"]
    """Known present and absent labels of each key."""
    share: Float[Tensor, " class"]
    """Share of present labels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(2, 0, classes))
        self.register_buffer("share", torch.full((classes,), 0.5))

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Count the known labels of each key; no photo counts for itself."""
        assert given.context is not None
        known = torch.stack([given.labels == PRESENT, given.labels == ABSENT]).float()
        self.keys, group = torch.unique(given.context, return_inverse=True)
        self.counts = known.new_zeros(2, len(self.keys), known.shape[2])
        for of_kind in group.T:
            self.counts.index_add_(1, of_kind, known)
        present, absent = known.sum(1)
        self.share.copy_((present + 0.5) / (present + absent + 1))
        return self._score(given.context, known)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compare other photos with those that were counted."""
        assert given.context is not None
        return self._score(given.context, torch.zeros(2, *given.labels.shape))

    def _score(
        self, context: Int64[Tensor, "image kind"], own: Float[Tensor, "2 image class"]
    ) -> Float[Tensor, "image class"]:
        total = torch.zeros(own.shape[1:])
        for keys in context.T:
            group = torch.searchsorted(self.keys, keys.contiguous()).clamp(max=max(len(self.keys) - 1, 0))
            found = (keys != MISSING) & (self.keys[group] == keys)
            present, absent = (self.counts[:, group] - own).clamp(min=0)
            rate = (present + PRIOR_LABELS * self.share) / (present + absent + PRIOR_LABELS)
            total += torch.where(found[:, None], rate.logit() - self.share.logit(), 0.0)
        return total

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Allocate the number of keys of the loaded state."""
        for name in ("keys", "counts"):
            saved = state_dict.get(f"{prefix}{name}")
            if saved is not None:
                setattr(self, name, getattr(self, name).new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
