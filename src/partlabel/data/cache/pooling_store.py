"""Fitted poolings next to the feature cache: later runs on the same images load what the first run fitted."""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import nn

from partlabel.core.files import atomic_write
from partlabel.nn.pooling import CovariancePooling

FOLDER = "pooling"


def path_of(
    home: Path, body: nn.Module, pooling: CovariancePooling, about: str, images: Sequence[str]
) -> Path:
    """Return the file of a fitted pooling.

    Args:
        home: Folder of caches.
        body: Layers before the pooling, whose feature maps it was fitted on.
        pooling: Pooling; only its shape matters.
        about: Further properties that the maps depend on, such as the transform.
        images: Hashes of the images that it was fitted on.
    """
    digest = blake2b(f"{about} {body} {pooling}".encode(), digest_size=16)
    digest.update(weights_digest(body))
    digest.update(" ".join(images).encode())
    digest.update(str(tuple(pooling.basis.shape)).encode())
    return home / FOLDER / f"{digest.hexdigest()}.npz"


def weights_digest(module: nn.Module) -> bytes:
    """Hash a module's parameters and buffers."""
    digest = blake2b(digest_size=16)
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.digest()


def load(path: Path, pooling: CovariancePooling) -> bool:
    """Load a fitted pooling if its file exists and is valid; return whether it was loaded."""
    with suppress(OSError, ValueError, KeyError, EOFError), np.load(path, allow_pickle=False) as stored:
        mean, basis = torch.from_numpy(stored["mean"]), torch.from_numpy(stored["basis"])
        if mean.shape == pooling.mean.shape and basis.shape == pooling.basis.shape:
            pooling.mean.copy_(mean)
            pooling.basis.copy_(basis)
            return pooling.fitted
    return False


def save(path: Path, pooling: CovariancePooling) -> None:
    """Write a fitted pooling, whole or not at all."""
    with atomic_write(path) as aside, open(aside, "wb") as file:
        np.savez(file, mean=pooling.mean.cpu().numpy(), basis=pooling.basis.cpu().numpy())
