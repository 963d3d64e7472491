"""How a tower is made: its locked encoders, and the fit of its projections. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class EncoderConfig:
    """The locked encoders of a new tower.

    Attributes:
        backbone: Name of the backbone, as in `partlabel train`.
        pretrained: Source of the backbone's weights: `auto`, true or false, as in `partlabel train`.
        image_size: Side of the images in pixels.
        weights: Local weights of the backbone, in place of `pretrained`.
        embedder: Embedder of texts (docs/texts.md); `auto` takes the best one installed.
        cache_dir: Folder of the feature caches; by default `partlabel` in the user's cache folder.
    """

    backbone: str = "lite0"
    pretrained: bool | Literal["auto"] = "auto"
    image_size: int = 224
    weights: Path | None = None
    embedder: str = "auto"
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if self.embedder == "none":
            raise ValueError("embedder is none, and a tower needs one: leave --embedder out, or name one")


@dataclass(frozen=True)
class AlignmentConfig:
    """How the projections are fitted.

    Attributes:
        dim: Number of dimensions of the common space.
        epochs: Maximum number of passes over the pairs; the best one on validation is kept.
        batch_size: Photos per step, whose images and texts are compared with each other.
        lr: Maximum learning rate; it falls to 0 by a cosine.
        weight_decay: Weight decay of the projections, decoupled (AdamW).
        dropout: Share of the inputs that is dropped in each step.
        val: Share of the photos that is set apart to choose the epoch by recall.
        sentences: Maximum number of texts that the tower keeps; images are classified by those that mention a class.
            0 keeps none, and images are compared with names alone.
        seed: Random seed.
    """

    dim: int = 384
    epochs: int = 12
    batch_size: int = 512
    lr: float = 2e-3
    weight_decay: float = 3.0
    dropout: float = 0.5
    val: float = 0.1
    sentences: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dim", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if self.sentences < 0:
            raise ValueError(f"sentences is {self.sentences}; it is a number of texts, from 0 on")
        if not 0 < self.val < 1:
            raise ValueError(f"val is {self.val}; it is a share of the photos, above 0 and below 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is a share of the inputs, from 0 up to below 1")
