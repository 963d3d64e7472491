"""How a run trains, in one frozen object: its fields are the options of `partlabel train` and the keys of a recipe.

Imports nothing heavy, so that the command line can read it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from partlabel.core.messages import did_you_mean, in_bytes

Cache = Literal["features", "none"]
AUTO = "auto"
"""Value of `method` that starts a search of settings (`selection/search.py`)."""
WEIGHT_DECAY = 0.02
"""Weight decay if none is given and none is searched."""
HERE_ONLY = frozenset({"workers", "cache_dir", "cache_size", "images", "devices", "num_nodes", "strategy"})
"""Fields that may differ when a run is resumed, because they describe the machine."""


@dataclass(frozen=True)
class TrainingConfig:
    """Training configuration.

    Attributes:
        epochs: Number of passes over the training images.
        batch_size: Images per step, over all processes.
        lr: Maximum learning rate, of all parameters but those of the backbone.
        backbone_lr: Learning rate of the backbone's trained part, as a multiple of `lr`.
        weight_decay: Weight decay of the trained parameters, unless the method has its own parameter groups. By default
            it is searched, where the backbone is frozen (docs/selection.md); a value is used as given.
        decay_biases: Whether vectors (biases, gains) decay too, as in the code of SST's authors, rather than only
            matrices.
        optimizer: `adam` has the decay in the gradient (L2, as the authors of SST), `adamw` decoupled; `sgd` is
            gradient descent with a momentum of 0.9.
        schedule: Schedule of the learning rate: `onecycle`, `cosine` to zero, `constant`, or `step`: divided by 10
            every `step_epochs` epochs, as the authors of SST.
        step_epochs: Number of epochs between the drops of `step`.
        clip: Maximum norm of the gradient; 0 does not clip.
        accumulate: Number of batches whose gradients are averaged before a step. Each batch's loss is divided by its
            own number of known labels, which is not the loss of one large batch; the last step of an epoch may have
            fewer batches, and is divided by `accumulate` too.
        ema: Decay of an exponential moving average of the weights, which is then validated and saved; 0 for none.
        val: Share of the training images that becomes the validation set, which chooses the best epoch (early
            stopping); 0 keeps the last epoch.
        augment: `paper`: squares of five sizes, flip; `light`: random resized crop, flip; `none`.
        completion: Whether to fit, after training, a label completion: how known labels of an image predict its
            unknown ones in `fill`.
        embedder: Embedder of the texts beside the photos (docs/texts.md); `auto` takes the best one installed, `none`
            does not use texts.
        tower: Tower, which compares photos with the names of the classes (docs/towers.md): a folder, or an image-text
            model such as `open_clip:ViT-B-32` or `open_clip:ViT-B-32@FILE` with its weights; by default none is used.
        teacher_backbone: Second backbone, of other features, which informs the unknown labels of the training images
            (docs/evidence.md); the trained tagger does not need it. By default none is used.
        cache: `features` computes the frozen part of the backbone once per image and view, and trains on that; `none`
            decodes the images in every epoch. By default `features` where the whole backbone is frozen.
        cache_views: Number of views of each image in the cache: the first is plain, the others are augmented.
        cache_dir: Folder of the feature caches; by default `partlabel` in the user's cache folder.
        cache_size: Maximum size of all caches together, as in `20GB`; the least recently used are deleted.
        workers: DataLoader worker processes; 0 loads in the main process.
        precision: Precision of the arithmetic, as in Lightning: `32-true`, `16-mixed`, `bf16-mixed`.
        accelerator: Accelerator, as in Lightning: `auto`, `cpu`, `gpu`.
        devices: Number of devices per machine, or `auto`; each has a process, which gets its share of every batch.
        num_nodes: Number of machines (docs/many-machines.md).
        strategy: Strategy for several processes, as in Lightning: `auto`, `ddp`, `ddp_find_unused_parameters_true`.
        sync_batchnorm: Whether batch normalisation uses the whole batch rather than each process's share of it.
        seed: Random seed of the split, the initial weights, the order of images, the augmentation and dropout.
    """

    epochs: int = 20
    batch_size: int = 64
    lr: float = 2e-3
    backbone_lr: float = 0.1
    weight_decay: float | None = None
    decay_biases: bool = False
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["cosine", "onecycle", "step", "constant"] = "cosine"
    step_epochs: int = 10
    clip: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    val: float = 0.1
    augment: Literal["light", "paper", "none"] = "light"
    completion: bool = True
    embedder: str = "auto"
    tower: str | None = None
    teacher_backbone: str | None = None
    cache: Cache | None = None
    cache_views: int = 4
    cache_dir: str | None = None
    cache_size: str | None = None
    workers: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    num_nodes: int = 1
    strategy: str = "auto"
    sync_batchnorm: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "step_epochs", "cache_views", "num_nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if self.cache_size is not None:
            in_bytes(self.cache_size)
        if not 0 <= self.val < 1:
            raise ValueError(f"val is {self.val}; it is a share of the training images, from 0 up to below 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is {self.ema}; it is a decay such as 0.999, and 0 for none")
        if "fsdp" in self.strategy:
            raise ValueError(
                f"strategy is {self.strategy!r}, and sharded parameters are not supported: give 'ddp' (--strategy ddp)"
            )
        if any(word in self.strategy for word in ("spawn", "fork", "notebook")):
            raise ValueError(
                f"strategy is {self.strategy!r}, whose processes end with the trained weights; give 'ddp', "
                "and start it from a script or the command line"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed is {self.seed}; it has to lie between 0 and 2147483647")

    @property
    def decay(self) -> float:
        """Weight decay; 0.02 if none was given or found."""
        return WEIGHT_DECAY if self.weight_decay is None else self.weight_decay

    @property
    def several(self) -> bool:
        """Whether more than one process may train."""
        return self.num_nodes > 1 or self.devices != 1

    def check_started(self, environment: Mapping[str, str]) -> None:
        """Check that processes which torchrun started train together.

        Args:
            environment: The variables of this process.

        Raises:
            ValueError: Each would train alone.
        """
        started = environment.get("WORLD_SIZE", "1")
        if "TORCHELASTIC_RUN_ID" in environment and started != "1" and not self.several:
            raise ValueError(
                f"torchrun started {started} processes, and devices is 1, so each would train alone: give devices "
                f"(--devices {environment.get('LOCAL_WORLD_SIZE', 'auto')}), and num_nodes (--num-nodes) if there are "
                "more machines"
            )

    def with_options(self, **options: Any) -> "TrainingConfig":
        """Return a copy with some settings changed.

        Raises:
            TypeError: There is no such setting; the message names the most similar one.
        """
        known = [field.name for field in fields(self)]
        for name in options:
            if name not in known:
                raise TypeError(f"there is no training option {name!r}{did_you_mean(name, known)}")
        return replace(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Convert the configuration to plain values."""
        return asdict(self)
