"""Images remembered with the probability of every class, and the votes of those that resemble an image.

The relative of `feature_bank.ImageMemory` for soft labels: after a teacher has labelled every training image, all of
them can vote, not only those with a known label.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

RAISED = 75.0
"""Log-weight of the nearest image, which leaves single precision room for all others (see `feature_bank`)."""
AT_ONCE = 1024
"""Images compared with the memory at a time."""


class SoftMemory(nn.Module):
    """Features of images as unit vectors, in half precision, with soft labels.

    Args:
        num_classes: Number of classes.
        dim: Length of a feature.
    """

    features: Float[Tensor, "stored feature"]
    probability: Float[Tensor, "stored class"]

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(0, dim, dtype=torch.float16))
        self.register_buffer("probability", torch.zeros(0, num_classes, dtype=torch.float16))

    def store(
        self, features: Float[Tensor, "image feature"], probability: Float[Tensor, "image class"]
    ) -> None:
        """Replace what is stored.

        Args:
            features: One feature per image.
            probability: Probability that each class is present.
        """
        self.features = normalize(features.detach().float(), dim=1).half()
        self.probability = probability.detach().half()

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
            own: Stored row of each image, which does not vote for itself; None for new images.
        """
        owns = [None] * -(-len(features) // AT_ONCE) if own is None else own.split(AT_ONCE)
        parts = zip(features.split(AT_ONCE), owns, strict=True)
        return torch.cat([self._votes(part, sharpness, rows) for part, rows in parts])

    def _votes(
        self, features: Float[Tensor, "image feature"], sharpness: float, own: Int64[Tensor, " image"] | None
    ) -> Float[Tensor, "image class"]:
        probability = self.probability.float()
        with torch.autocast(features.device.type, enabled=False):
            cosine = normalize(features.float(), dim=1) @ self.features.float().T
            if own is not None:
                cosine = cosine.scatter(1, own[:, None], -1.0)
            near = (sharpness * (cosine - cosine.amax(1, keepdim=True)) + RAISED).exp()
            if own is not None:
                near = near.scatter(1, own[:, None], 0.0)
            log = [self._log_density(near, share) for share in (probability, 1 - probability)]
        return log[0] - log[1]

    @staticmethod
    def _log_density(
        near: Float[Tensor, "image stored"], share: Float[Tensor, "stored class"]
    ) -> Float[Tensor, "image class"]:
        density = near @ share / share.sum(0).clamp(min=1e-6)
        return density.clamp(min=torch.finfo(torch.float32).tiny).log()

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Allocate the number of images of the loaded state."""
        for name in ("features", "probability"):
            saved = state_dict.get(f"{prefix}{name}")
            if saved is not None:
                setattr(self, name, getattr(self, name).new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
