"""A grid as a YAML file: read over its base, checked, and built."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any

import yaml

from partlabel.bench.grid import Arm, Grid, Protocol
from partlabel.core.messages import did_you_mean
from partlabel.data.tables.hiding import SCHEMES


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


def _over(base: Any, given: Any) -> Any:
    """Merge mappings key by key; other values are replaced."""
    if not isinstance(base, Mapping) or not isinstance(given, Mapping):
        return given
    return {**base, **{key: _over(base.get(key), value) for key, value in given.items()}}


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
    rest = {name: given for name, given in rest.items() if given is not None}
    for name, kind, example in (("known", int | float, "[0.1, 0.5]"), ("seeds", int, "[0, 1, 2]")):
        if name in rest:
            rest[name] = _numbers(rest[name], kind, f"{where}: {name!r}", example)
    _check_search(rest.get("search"), where)
    grid = Grid(tuple(arms), protocols=tuple(protocols), **rest)
    _check(grid, where)
    return grid


def _numbers(given: Any, kind: type | UnionType, what: str, example: str) -> tuple[Any, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(each, kind) for each in given):
        raise ValueError(f"{what} is {given!r}; give a list of numbers, as in {example}")
    if len(set(given)) < len(given):
        raise ValueError(f"{what} is {given!r}; list each once")
    return tuple(given)


def _named(given: Any, kind: type, what: str, where: str) -> list[Any]:
    """Parse arms or protocols from a list of names or a mapping."""
    entries = list(given.items()) if isinstance(given, Mapping) else [(name, {}) for name in given]
    for name, often in Counter(name for name, _ in entries).items():
        if often > 1:
            raise ValueError(f"{where} {name!r} is listed {often} times; list each once")
        if "," in str(name):
            raise ValueError(
                f"{where} {name!r} has a comma in its name, which separates names in --methods and --protocols: "
                f"name it {str(name).replace(', ', ' ').replace(',', ' ')!r}"
            )
    made = []
    for name, options in entries:
        options = {what: name} | {
            key: value for key, value in dict(options or {}).items() if value is not None
        }
        _check_keys(options, [each.name for each in fields(kind)], f"{where} {name!r}")
        _check_search(options.get("search"), f"{where} {name!r}")
        made.append(kind(name=name, **options))
    return made


def _check_search(given: Any, where: str) -> None:
    for name, values in (given or {}).items():
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
