"""How a run trains, in one frozen object: its fields are the options of `partlabel train` and the keys of a recipe.

Imports nothing heavy, so that the command line can read it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from partlabel.core.messages import did_you_mean, in_bytes

Cache = Literal["features", "none"]
AUTO = "auto"
"""The method that is no method: a search of settings (`selection/search.py`)."""
WEIGHT_DECAY = 0.02
"""Where none is given and none is searched."""
HERE_ONLY = frozenset({"workers", "cache_dir", "cache_size", "images", "devices", "num_nodes", "strategy"})
"""What may differ between a run and its resumption: facts about the machine."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step, in all processes together.
        lr: Learning rate at its highest, of everything but the backbone.
        backbone_lr: Learning rate of the backbone's trained part, as a multiple of `lr`.
        weight_decay: Of the parameters that are trained, unless the method has parameter groups of its own. By default
            it is searched, where the backbone is frozen (docs/selection.md); a value is used as given.
        decay_biases: Decay vectors too, biases and gains, as the authors of SST; by default only matrices.
        optimizer: `adam` has the decay in the gradient (L2, as the authors of SST), `adamw` decoupled.
        schedule: Of the learning rate: `onecycle`, `cosine` to zero, `constant`, or `step`: a tenth every
            `step_epochs` epochs, as the authors of SST.
        step_epochs: Epochs between the drops of `step`.
        clip: Largest norm of the gradient; 0 does not clip.
        accumulate: Batches whose gradients are averaged before a step. Each batch's loss is divided by its own count,
            as of its known labels, which is not the loss of one batch of that size; and an epoch's last step may have
            fewer batches, divided by `accumulate` all the same.
        ema: Decay of a moving average of the weights, which then is what is validated and kept; 0 for none.
        val: Share of the training images set apart to choose the best epoch; 0 keeps the last one.
        augment: `paper`: squares of five sizes, flip; `light`: random resized crop, flip; `none`.
        completion: Learn after training what known labels of an image say of its unknown ones, for `fill`.
        cache: `features` computes the frozen part of the backbone once per image and view, and trains on that; `none`
            decodes the images in every epoch. By default `features` where the whole backbone is frozen.
        cache_views: Views of each image in the cache: the plain one, and the others augmented.
        cache_dir: Where caches are; by default `partlabel` in the user's cache folder.
        cache_size: What caches may take together, as in `20GB`; those least recently used are deleted for that.
        workers: Processes that read images; 0 reads in this one.
        precision: Of the arithmetic, as Lightning names it: `32-true`, `16-mixed`, `bf16-mixed`.
        accelerator: As Lightning names it: `auto`, `cpu`, `gpu`.
        devices: How many a machine, or `auto`; each has a process that takes its share of every batch.
        num_nodes: Machines (docs/many-machines.md).
        strategy: Of several processes, as Lightning names it: `auto`, `ddp`, `ddp_find_unused_parameters_true`.
        sync_batchnorm: Normalise by the whole batch rather than by each process's share of it.
        seed: Of the split, the initial weights, the order, the augmentation and dropout.
    """

    epochs: int = 20
    batch_size: int = 64
    lr: float = 2e-3
    backbone_lr: float = 0.1
    weight_decay: float | None = None
    decay_biases: bool = False
    optimizer: Literal["adam", "adamw"] = "adam"
    schedule: Literal["cosine", "onecycle", "step", "constant"] = "cosine"
    step_epochs: int = 10
    clip: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    val: float = 0.1
    augment: Literal["light", "paper", "none"] = "light"
    completion: bool = True
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
                f"strategy is {self.strategy!r}, whose processes end with what they learned; give 'ddp', "
                "and start a script or the command line"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed is {self.seed}; it has to lie between 0 and 2147483647")

    @property
    def decay(self) -> float:
        """The weight decay: 0.02 where none was given or found."""
        return WEIGHT_DECAY if self.weight_decay is None else self.weight_decay

    @property
    def several(self) -> bool:
        """Whether more than one process may train."""
        return self.num_nodes > 1 or self.devices != 1

    def check_started(self, environment: Mapping[str, str]) -> None:
        """See that processes which torchrun started know of each other.

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
        """These settings with some changed.

        Raises:
            TypeError: There is no such setting; the message names the nearest.
        """
        known = [field.name for field in fields(self)]
        for name in options:
            if name not in known:
                raise TypeError(f"there is no training option {name!r}{did_you_mean(name, known)}")
        return replace(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)
