"""What is compared: arms (a method, its head, their hyperparameters), protocols of hiding, and seeds.

A grid is a YAML file; `benchmarks/grids/` holds those behind the published tables.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from inspect import signature
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Any

import yaml

from partlabel.core.messages import did_you_mean
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
        tuned_as: Arm whose hyperparameters are taken over instead of a search.
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
        said = SETTINGS | self.training | arm.training | dict(found) | {"seed": seed, "cache": "features"}
        return TrainingConfig(accelerator="cpu").with_options(**said)

    def tries(self, arm: Arm) -> list[dict[str, Any]]:
        """List the hyperparameters that are tried on validation."""
        search = self.search if arm.search is None else arm.search
        return [dict(zip(search, values, strict=True)) for values in product(*search.values())]

    @property
    def named(self) -> list[Any]:
        """What arms say of their methods and heads, in which anything may be a dotted path."""
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


def read(path: str | Path) -> Grid:
    """Read a grid from a YAML file, merged over the file it names as its `base`.

    Raises:
        ValueError: A key or a value is invalid; the message names it.
    """
    return parse(_with_base(Path(path)), str(path))


def _with_base(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Merge a file over its base, recursively."""
    if path.resolve() in above:
        raise ValueError(
            f"{above[-1]}: its base {path} has it as a base in turn: remove 'base' from one of them"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    except FileNotFoundError as error:
        if not above:
            raise
        raise ValueError(
            f"{above[-1]}: its base {path} does not exist; the path of a base is relative to the folder of its grid"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must have keys such as 'arms', 'known' and 'seeds'")
    content.pop("common", None)  # a place for YAML's anchors
    base = content.pop("base", None)
    if base is None:
        return content
    return _over(_with_base(path.parent / str(base), (*above, path.resolve())), content)


def _over(base: Any, said: Any) -> Any:
    """Merge mappings key by key; other values are replaced."""
    if not isinstance(base, Mapping) or not isinstance(said, Mapping):
        return said
    return {**base, **{key: _over(base.get(key), value) for key, value in said.items()}}


def parse(content: Mapping[str, Any], where: str = "the grid") -> Grid:
    """Build a grid from a mapping.

    Args:
        content: Content of the YAML file: `arms` and `protocols` by name, or lists of names of methods and schemes.
        where: Name of the grid in messages.

    Raises:
        ValueError: A key or a value is invalid; the message names it.
    """
    _check_keys(content, [each.name for each in fields(Grid)], where)
    if not content.get("arms"):
        raise ValueError(
            f"{where}: there are no 'arms' to compare; list methods, as in 'arms: [bce, soft_sst]'"
        )
    arms = _named(content["arms"], Arm, "method", f"{where}: arm")
    protocols = _named(content.get("protocols", ["uniform"]), Protocol, "scheme", f"{where}: protocol")
    rest = {name: content[name] for name in content if name not in ("arms", "protocols")}
    rest = {name: said for name, said in rest.items() if said is not None}
    for name, kind, example in (("known", int | float, "[0.1, 0.5]"), ("seeds", int, "[0, 1, 2]")):
        if name in rest:
            rest[name] = _numbers(rest[name], kind, f"{where}: {name!r}", example)
    _check_search(rest.get("search"), where)
    grid = Grid(tuple(arms), protocols=tuple(protocols), **rest)
    _check(grid, where)
    return grid


def _numbers(said: Any, kind: type | UnionType, what: str, example: str) -> tuple[Any, ...]:
    if not isinstance(said, list | tuple) or not all(isinstance(each, kind) for each in said):
        raise ValueError(f"{what} is {said!r}; give a list of numbers, as in {example}")
    if len(set(said)) < len(said):
        raise ValueError(f"{what} is {said!r}; list each once")
    return tuple(said)


def _named(said: Any, kind: type, what: str, where: str) -> list[Any]:
    """Parse arms or protocols from a list of names or a mapping."""
    entries = list(said.items()) if isinstance(said, Mapping) else [(name, {}) for name in said]
    for name, often in Counter(name for name, _ in entries).items():
        if often > 1:
            raise ValueError(f"{where} {name!r} is listed {often} times; list each once")
    made = []
    for name, options in entries:
        options = {what: name} | {
            key: value for key, value in dict(options or {}).items() if value is not None
        }
        _check_keys(options, [each.name for each in fields(kind)], f"{where} {name!r}")
        _check_search(options.get("search"), f"{where} {name!r}")
        made.append(kind(name=name, **options))
    return made


def _check_search(said: Any, where: str) -> None:
    for name, values in (said or {}).items():
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"{where}: 'search' has {values!r} for {name!r}; give a list of values to try, as in [0.01, 0.1]"
            )


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise ValueError(
                f"{where}: there is no key {key!r}{did_you_mean(key, known)}; keys are: {', '.join(known)}"
            )


def _check(grid: Grid, where: str) -> None:
    names = [arm.name for arm in grid.arms]
    for arm in grid.arms:
        if arm.tuned_as is not None and arm.tuned_as not in names:
            raise ValueError(
                f"{where}: arm {arm.name!r} is tuned as {arm.tuned_as!r}, which is not an arm"
                f"{did_you_mean(arm.tuned_as, names)}"
            )
        if arm.tuned_as is not None and grid.arms[names.index(arm.tuned_as)].tuned_as is not None:
            raise ValueError(
                f"{where}: arm {arm.name!r} is tuned as {arm.tuned_as!r}, which is not tuned itself"
            )
        try:
            for tried in grid.tries(arm):
                grid.config(arm, 0, tried)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: arm {arm.name!r}: {error}") from error
    _check_effort(grid, where)
    for protocol in grid.protocols:
        if protocol.scheme not in SCHEMES:
            raise ValueError(
                f"{where}: there is no hiding scheme {protocol.scheme!r}{did_you_mean(protocol.scheme, SCHEMES)}; "
                f"schemes are: {', '.join(SCHEMES)}"
            )
    if not grid.seeds:
        raise ValueError(f"{where}: there are no seeds")


def _check_effort(grid: Grid, where: str) -> None:
    """Check that no arm has more candidates than another: the best of ten is luckier than the best of three."""
    tries = {arm.name: len(grid.tries(arm)) for arm in grid.arms if arm.tuned_as is None}
    few, many = min(tries, key=tries.__getitem__), max(tries, key=tries.__getitem__)
    if tries[few] != tries[many]:
        raise ValueError(
            f"{where}: arm {few!r} tries {tries[few]} settings on validation and arm {many!r} {tries[many]}: give the "
            "'search' of all arms the same number of values, or set 'tuned_as' to another arm"
        )
