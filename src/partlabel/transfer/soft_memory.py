"""Images remembered with the probability of every class, and the votes of those that resemble an image.

The relative of `feature_bank.ImageMemory` for soft labels: after a teacher has labelled every training image, all of
them can vote, not only those with a known label.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.targets import Targets
from partlabel.transfer.feature_bank import Memory
from partlabel.transfer.kernel_density import kernel_sums, log_density


class SoftMemory(Memory):
    """Features of images as unit vectors with soft labels; of more images than fit, an evenly spaced sample.

    Features are rounded to half precision and kept in single precision, as in `ImageMemory`.

    Args:
        num_classes: Number of classes.
        size: Maximum number of images.
        dim: Length of a feature.
    """

    features: Float[Tensor, "slot feature"]
    probability: Float[Tensor, "slot class"]
    row: Int64[Tensor, " slot"]

    def __init__(self, num_classes: int, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("features", torch.zeros(0, dim))
        self.register_buffer("probability", torch.zeros(0, num_classes))
        self.register_buffer("row", torch.zeros(0, dtype=torch.int64))

    def store(
        self, features: Float[Tensor, "image feature"], probability: Float[Tensor, "image class"]
    ) -> None:
        """Replace what is stored.

        Args:
            features: One feature per image, in the order of the training table.
            probability: Probability that each class is present.
        """
        count = min(len(features), self.size)
        self.row = torch.linspace(0, len(features) - 1, count).round().long()
        self.features = normalize(features[self.row].detach().float(), dim=1).half().float()
        self.probability = probability[self.row].detach().half().float()

    def read(self, rows: Int64[Tensor, " image"]) -> Targets:
        """Return the soft labels of images, by their rows in the training table; of weight 0 for those not stored."""
        if not len(self.row):
            blank = self.probability.new_zeros(len(rows), self.probability.shape[1])
            return Targets(blank, blank)
        slot = torch.searchsorted(self.row, rows).clamp(max=len(self.row) - 1)
        value = self.probability[slot]
        return Targets(value, (self.row[slot] == rows).to(value)[:, None].expand_as(value))

    def votes(
        self,
        features: Float[Tensor, "image feature"],
        sharpness: float,
        own: Int64[Tensor, " image"] | None = None,
    ) -> Float[Tensor, "image class"]:
        """Compute the log-likelihood ratio of images that show a class against images that lack it.

        `log sum_k p_kc K(x, k) / sum_k p_kc - log sum_k (1 - p_kc) K(x, k) / sum_k (1 - p_kc)` with
        `K = exp(s cos(x, k))`.

        Args:
            features: One feature per image.
            sharpness: s; the larger, the more the nearest images dominate.
            own: Row of each image in the training table, which does not vote for itself; None for new images.
        """
        with torch.autocast(features.device.type, enabled=False):
            sums = kernel_sums(
                features,
                self.features,
                sharpness,
                lambda part: torch.cat([self.probability[part], 1 - self.probability[part]], 1),
                lambda part: None if own is None else own[:, None] == self.row[part],
            )
            shares = self.probability.sum(0), (1 - self.probability).sum(0)
            present, absent = (
                log_density(of, share.clamp(min=1e-6))
                for of, share in zip(sums.chunk(2, 1), shares, strict=True)
            )
            return present - absent

    def _save_to_state_dict(self, destination: dict[str, Tensor], prefix: str, keep_vars: bool) -> None:
        """Save features and probabilities in half precision."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in ("features", "probability"):
            destination[f"{prefix}{name}"] = destination[f"{prefix}{name}"].half()

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Allocate the number of images of the loaded state."""
        for name in ("features", "probability", "row"):
            saved = state_dict.get(f"{prefix}{name}")
            if saved is not None:
                setattr(self, name, getattr(self, name).new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
