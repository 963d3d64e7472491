"""Cached predictions and image embeddings of a table for the review page, kept until the model or the images change."""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.files import atomic_write
from partlabel.core.progress_bar import track
from partlabel.data.images.dataset import ImageDataset, eval_transform
from partlabel.data.images.loader import loader
from partlabel.data.images.threads import ahead
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.heads import ClassOutput
from partlabel.training.datasets import method_backbone
from partlabel.training.run_folder import Run

if TYPE_CHECKING:
    from partlabel.tagger import Tagger


class Looked(NamedTuple):
    """Predictions and embeddings of all images.

    Attributes:
        logits: Logits before the evidence of texts and of known labels is added; NaN where an image cannot be read.
        features: Unit-length embeddings that measure the similarity of images; zeros where an image cannot be read.
        norms: Length of each embedding before; None if all are 1.
    """

    logits: Float[np.ndarray, "image class"]
    features: Float16[np.ndarray, "image feature"]
    norms: Float32[np.ndarray, " image"] | None = None

    def maps(self) -> Float32[np.ndarray, "image feature"]:
        """Return the embeddings with their lengths, the input of the last linear layer of a linear head."""
        unit = self.features.astype(np.float32)
        return unit if self.norms is None else unit * self.norms[:, None]


def load_predictions(
    tagger: "Tagger", run: Run, table: LabelTable, batch_size: int = 64, workers: int = 0
) -> Looked:
    """Compute predictions and embeddings of all images, or load them from the cache; unreadable images are left out.

    A damaged cache file is computed again.

    Args:
        tagger: Tagger of the run.
        run: Run folder, which holds the cache.
        table: Label table; its labels and texts are not used.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    file = run.review / f"looked-{_name(run, table)}.safetensors"
    with suppress(SafetensorError, FileNotFoundError):
        return Looked(**load_file(file))
    computed = _look(tagger, table, batch_size, workers)
    with atomic_write(file) as aside:
        save_file(computed._asdict(), aside)
    return computed


def _name(run: Run, table: LabelTable) -> str:
    """Return a cache key that depends on images and weights, not on labels and texts."""
    files = [path.stat() for path in (run.weights, run.config)]
    about = [
        table.images,
        str(Path(table.root or ".").resolve()),
        [(s.st_size, s.st_mtime_ns) for s in files],
        Looked._fields,
    ]
    return blake2b(json.dumps(about).encode(), digest_size=8).hexdigest()


def _look(tagger: "Tagger", table: LabelTable, batch_size: int, workers: int) -> Looked:
    model = tagger.model
    assert model is not None
    device = next(model.parameters()).device
    size = tagger.view[0]
    images = ImageDataset(table, eval_transform(*tagger.view), size=size, leave_out=True)
    batches = loader(images, batch_size, workers=workers)
    method_backbone(model).prepare(size, len(table))
    logits = np.full((len(table), len(tagger.classes)), np.nan, np.float32)
    norms = np.zeros(len(table), np.float32)
    features: Float16[np.ndarray, "image feature"] | None = None
    maps, heads = _Last(model.backbone), _Last(model.head)
    try:
        with torch.inference_mode():
            for batch in track(ahead(batches), "Computing predictions", len(table), "photos", batch_size):
                if not len(batch.inputs):
                    continue
                rows = batch.index.numpy()
                logits[rows] = model(batch.inputs.to(device)).float().cpu().numpy()
                embedded = _of_image(heads.output, maps.output).float()
                norms[rows] = embedded.norm(dim=1).cpu().numpy()
                made = normalize(embedded, dim=1).half().cpu().numpy()
                if features is None:
                    features = np.zeros((len(table), made.shape[1]), np.float16)
                features[rows] = made
    finally:
        maps.leave()
        heads.leave()
    return Looked(logits, np.zeros((len(table), 1), np.float16) if features is None else features, norms)


def _of_image(out: ClassOutput, feature_map: Tensor) -> Float[Tensor, "batch feature"]:
    """Return the head's image embedding if it has one, else the mean of the feature map."""
    return feature_map.flatten(2).mean(2) if out.image is None else out.image


class _Last:
    """Hook that keeps the last output of a module.

    Args:
        module: Module to observe until `leave` is called.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.output: Any = None
        self.leave: Callable[[], None] = module.register_forward_hook(self._keep).remove

    def _keep(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        self.output = output
