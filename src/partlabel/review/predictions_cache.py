"""What a model says of every image of a table: computed once, and kept beside the run until either changes."""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.files import atomic_write
from partlabel.core.progress_bar import track
from partlabel.data.images.dataset import ImageDataset, eval_transform
from partlabel.data.images.loader import ahead, loader
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.run_folder import Run

if TYPE_CHECKING:
    from partlabel.tagger import Tagger


class Looked(NamedTuple):
    """What came of looking.

    Attributes:
        logits: Before the known labels of an image vote; NaN where it cannot be read.
        features: What images are compared by, of unit length; zeros where an image cannot be read.
    """

    logits: Float[np.ndarray, "image class"]
    features: Float16[np.ndarray, "image feature"]


def load_predictions(
    tagger: "Tagger", run: Run, table: LabelTable, batch_size: int = 64, workers: int = 0
) -> Looked:
    """Look at every image of a table, or take up what was seen before. Images that cannot be read are left out.

    What was kept and is damaged is looked at again.

    Args:
        tagger: Of the run.
        run: Keeps what was seen.
        table: Its labels do not matter.
        batch_size: Images at a time.
        workers: Processes that read images.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    kept = run.review / f"looked-{_name(run, table)}.safetensors"
    with suppress(SafetensorError, FileNotFoundError):
        return Looked(**load_file(kept))
    found = _look(tagger, table, batch_size, workers)
    with atomic_write(kept) as aside:
        save_file(found._asdict(), aside)
    return found


def _name(run: Run, table: LabelTable) -> str:
    """Changes with the images and with the weights, not with labels."""
    files = [path.stat() for path in (run.weights, run.config)]
    about = [
        table.images,
        str(Path(table.root or ".").resolve()),
        [(s.st_size, s.st_mtime_ns) for s in files],
    ]
    return blake2b(json.dumps(about).encode(), digest_size=8).hexdigest()


def _look(tagger: "Tagger", table: LabelTable, batch_size: int, workers: int) -> Looked:
    model = tagger.model
    assert model is not None
    device = next(model.parameters()).device
    size = tagger.view[0]
    images = ImageDataset(table, eval_transform(*tagger.view), size=size, leave_out=True)
    batches = loader(images, batch_size, workers=workers)
    logits = np.full((len(table), len(tagger.classes)), np.nan, np.float32)
    features: Float16[np.ndarray, "image feature"] | None = None
    maps, heads = _Last(model.backbone), _Last(model.head)
    try:
        with torch.inference_mode():
            for batch in track(ahead(batches), "Looking at photos", len(table), "photos", batch_size):
                if not len(batch.inputs):
                    continue
                rows = batch.index.numpy()
                logits[rows] = model(batch.inputs.to(device)).float().cpu().numpy()
                made = normalize(_of_image(heads.output, maps.output).float(), dim=1).half().cpu().numpy()
                if features is None:
                    features = np.zeros((len(table), made.shape[1]), np.float16)
                features[rows] = made
    finally:
        maps.leave()
        heads.leave()
    return Looked(logits, np.zeros((len(table), 1), np.float16) if features is None else features)


def _of_image(out: Any, feature_map: Tensor) -> Float[Tensor, "batch feature"]:
    """The head's feature of the image where it has one; else the mean of the feature map."""
    image = getattr(out, "image", None)
    return feature_map.flatten(2).mean(2) if image is None else image


class _Last:
    """The last output of a module.

    Args:
        module: That is listened to, until `leave`.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.output: Any = None
        self.leave: Callable[[], None] = module.register_forward_hook(self._keep).remove

    def _keep(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        self.output = output
