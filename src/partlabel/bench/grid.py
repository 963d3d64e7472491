"""What is compared: arms (a method, its head, their hyperparameters), protocols of hiding, and seeds.

A grid is a YAML file; `benchmarks/grids/` holds those behind the published tables.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from inspect import signature
from itertools import product
from typing import Any

from partlabel.data.tables.hiding import SCHEMES
from partlabel.training.config import TrainingConfig

SETTINGS = {"epochs": 20, "batch_size": 128, "lr": 2e-3, "val": 0.15}
"""Training settings of every arm that the grid does not set; all others are the defaults of `TrainingConfig`."""
SEARCH = {"weight_decay": [0.005, 0.02, 0.08]}
"""Candidates tried on validation for every arm that the grid does not set."""


@dataclass(frozen=True)
class Arm:
    """One of the compared configurations.

    Attributes:
        name: Name in tables.
        method: A name in `partlabel.methods`, or a dotted path.
        method_args: Options of the method.
        head: A name in `partlabel.nn.heads`, or a dotted path; the method's default if None.
        head_args: Options of the head.
        pool: Side of the squares of the feature map that are averaged.
        words: Class vectors, as `partlabel train --words` takes them.
        training: Fields of `TrainingConfig` that differ from the grid's.
        search: Candidates tried on validation instead of the grid's; the same number as for other arms.
        tuned_as: Arm whose hyperparameters are used instead of a search.
        fine_tuned: Options of category-wise fine-tuning after training (`posthoc/category_finetuning.py`).
    """

    name: str
    method: str
    method_args: dict[str, Any] = field(default_factory=dict)
    head: str | None = None
    head_args: dict[str, Any] = field(default_factory=dict)
    pool: int = 1
    words: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    search: dict[str, list[Any]] | None = None
    tuned_as: str | None = None
    fine_tuned: dict[str, Any] | None = None


@dataclass(frozen=True)
class Protocol:
    """A way to hide labels.

    Attributes:
        name: Name in tables.
        scheme: A function of `partlabel.data.tables.hiding`.
        options: Options of the function, other than `known` and `seed`.
    """

    name: str
    scheme: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def takes_known(self) -> bool:
        """Whether it is run for every share of known labels."""
        return "known" in signature(SCHEMES[self.scheme]).parameters and "known" not in self.options


@dataclass(frozen=True)
class Grid:
    """All that is compared.

    Attributes:
        arms: Arms by name.
        known: Shares of known labels.
        protocols: Protocols by name.
        seeds: Random seeds of hiding, validation split and training.
        training: Training settings of every arm.
        search: Candidates tried for every arm on validation with the first seed; the best is used for all seeds.
        backbone: Backbone, as `partlabel train --backbone` takes it; frozen.
        image_size: Side of the images in pixels.
    """

    arms: tuple[Arm, ...]
    known: tuple[float, ...] = (0.1, 0.5, 0.9)
    protocols: tuple[Protocol, ...] = (Protocol("uniform", "uniform"),)
    seeds: tuple[int, ...] = (0, 1, 2)
    training: dict[str, Any] = field(default_factory=dict)
    search: dict[str, list[Any]] = field(default_factory=lambda: dict(SEARCH))
    backbone: str = "tf_efficientnet_lite0"
    image_size: int = 224

    def config(self, arm: Arm, seed: int, found: Mapping[str, Any]) -> TrainingConfig:
        """Build the training settings of an arm.

        Args:
            arm: An arm of this grid.
            seed: Random seed of the cell.
            found: Hyperparameters that the search found.
        """
        options = SETTINGS | self.training | arm.training | dict(found) | {"seed": seed, "cache": "features"}
        return TrainingConfig(accelerator="cpu").with_options(**options)

    def tries(self, arm: Arm) -> list[dict[str, Any]]:
        """List the hyperparameters that are tried on validation."""
        search = self.search if arm.search is None else arm.search
        return [dict(zip(search, values, strict=True)) for values in product(*search.values())]

    @property
    def named(self) -> list[Any]:
        """Names and options of the arms' methods and heads; any text in them may be a dotted path."""
        return [[arm.method, arm.method_args, arm.head, arm.head_args] for arm in self.arms]

    def jobs(self) -> Iterator["GridJob"]:
        """List the jobs of the grid: arms that are tuned together, at one share, over all seeds."""
        for protocol in self.protocols:
            for known in self.known if protocol.takes_known else (None,):
                for arm in self.arms:
                    if arm.tuned_as is None:
                        same = [other for other in self.arms if other.tuned_as == arm.name]
                        yield GridJob(protocol, known, (arm, *same))


@dataclass(frozen=True)
class GridJob:
    """Runs that one process does in sequence, because later ones use what earlier ones found on validation.

    Attributes:
        protocol: Protocol of hiding.
        known: Share of known labels; None where the protocol determines it.
        arms: Arms; the first is tuned, the others take its hyperparameters.
    """

    protocol: Protocol
    known: float | None
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class GridCell:
    """One result.

    Attributes:
        grid: Grid with the shared settings.
        arm: Arm that is trained.
        protocol: Protocol of hiding.
        known: Share of known labels; None where the protocol determines it.
        seed: Random seed.
        table: Digest of the table.
    """

    grid: Grid
    arm: Arm
    protocol: Protocol
    known: float | None
    seed: int
    table: str

    def settings(self) -> dict[str, Any]:
        """Return everything that the result depends on."""
        shared = {"backbone": self.grid.backbone, "image_size": self.grid.image_size}
        training = self.grid.config(self.arm, self.seed, {}).to_dict()
        search = (
            {} if self.arm.tuned_as else {"search": self.grid.tries(self.arm), "first": self.grid.seeds[0]}
        )
        arm = asdict(self.arm)
        del arm["name"], arm["training"], arm["search"]
        if self.arm.fine_tuned is None:  # as results were named before there was a choice
            del arm["fine_tuned"]
        return {
            "table": self.table, "arm": arm, "training": training, "protocol": asdict(self.protocol),
            "known": self.known, "seed": self.seed, **shared, **search,
        }  # fmt: skip

    @property
    def key(self) -> str:
        """Return the name of the cell's file, a hash of its settings."""
        return blake2b(json.dumps(self.settings(), sort_keys=True).encode(), digest_size=10).hexdigest()
