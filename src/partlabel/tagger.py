"""The door for a user's code: a tagger is fitted to a label table, evaluated, asked for probabilities, saved, loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from jaxtyping import Float

from partlabel.config import TrainingConfig

if TYPE_CHECKING:
    import polars as pl

    from partlabel.data.filled import FilledTable
    from partlabel.data.table import LabelTable
    from partlabel.metrics import Evaluation


class Tagger:
    """Tells which classes are in an image.

    Args:
        classes: Their names, in the order of every output.
        method: How to learn: a name in `methods`, or a dotted path to a `Method`.
        method_args: Its options.
        head: From feature map to classes: a name in `nn/heads`; by default the method's own.
        head_args: Its options.
        backbone: A timm model.
        pretrained: `auto` takes ImageNet weights from an installed package for `tf_efficientnet_lite0` and timm's
            download for others; True always timm's; False none.
        trainable: What of the backbone is trained: its `last` stage, `none` or `all`.
        image_size: Side in pixels that images are resized to.
        pool: Average the feature map over squares of so many places a side (the authors of SST: 2).
        words: Where class vectors come from: `learned`, a GloVe text or npz file, or an embedder's name.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        classes: Sequence[str],
        method: str = "sst",
        method_args: Mapping[str, Any] | None = None,
        head: str | None = None,
        head_args: Mapping[str, Any] | None = None,
        backbone: str = "tf_efficientnet_lite0",
        pretrained: bool | Literal["auto"] = "auto",
        trainable: Literal["last", "none", "all"] = "last",
        image_size: int = 224,
        pool: int = 1,
        words: str | Path | None = None,
    ) -> None:
        raise NotImplementedError

    def fit(
        self,
        table: "LabelTable",
        *,
        val: "LabelTable | None" = None,
        truth: "LabelTable | None" = None,
        out: str | Path = "runs/a",
        resume: bool | Literal["auto"] = False,
        skip_broken: bool = False,
        config: TrainingConfig | None = None,
        **options: Any,
    ) -> Self:
        """Train on the known labels of a table.

        Args:
            table: If it has a split, its part `train` is trained on and its part `val`, if any, chooses the epoch.
            val: Chooses the epoch instead of a share of the training images.
            truth: The same images and classes with all labels known: measures pseudo-labels, never trains.
            out: The run's folder.
            resume: Go on where the run in `out` stopped; `auto` starts anew if there is none.
            skip_broken: Leave images out that cannot be read, and list them in `skipped.csv`.
            config: How to train.
            **options: Fields of `TrainingConfig`, changed in `config`.
        """
        raise NotImplementedError

    def scores(self, table: "LabelTable", batch_size: int = 64, workers: int = 0) -> Float[np.ndarray, "image class"]:
        """Logits of every image of a table."""
        raise NotImplementedError

    def evaluate(self, table: "LabelTable", batch_size: int = 64, workers: int = 0) -> "Evaluation":
        """Scores against the known labels of a table."""
        raise NotImplementedError

    def predict(
        self,
        source: "LabelTable | str | Path | Sequence[str | Path]",
        batch_size: int = 64,
        workers: int = 0,
        skip_broken: bool = False,
    ) -> "pl.DataFrame":
        """A row per image: its path in `image`, and the probability of every class in a column of its name."""
        raise NotImplementedError

    def fill(
        self,
        table: "LabelTable",
        accept: float | None = None,
        reject: float | None = None,
        batch_size: int = 64,
        workers: int = 0,
        skip_broken: bool = False,
    ) -> "FilledTable":
        """The table with a probability for every unknown label; known labels stay untouched."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> Path:
        """Write `model.safetensors` and `config.json`."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: str | Path) -> "Tagger":
        """The tagger that `save`, or a run, left in a folder. Nothing is unpickled."""
        raise NotImplementedError
