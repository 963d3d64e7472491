"""Hiding known labels, as the benchmarks of this field do; the table that went in is the truth.

A scheme is a public function of this file: `(labels, ..., seed) -> labels`, more UNKNOWN than before, nothing else
changed. `SCHEMES` finds them, so `partlabel hide --scheme <name>` has whatever is written here.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int8

from partlabel.codes import PRESENT, UNKNOWN
from partlabel.text import did_you_mean

Labels = Int8[np.ndarray, "image class"]

_BLOCK = 1 << 22  # draws at a time: the stream is the same, 32 MB instead of 8 bytes a label


def uniform(labels: Labels, known: float, seed: int = 0) -> Labels:
    """Keep each label with the same probability, whatever it is; the masks of a seed are nested in `known`.

    The recipe of Chen et al. (SST, AAAI 2022) and their followers, bit for bit: `np.random.seed(seed)`, one uniform
    draw a label in row-major order, kept if it is below `known`. Rows and columns must be in their order too.

    Args:
        labels: The truth.
        known: The share to keep, in [0, 1]; 1 keeps everything.
        seed: 0 in the literature.

    Raises:
        ValueError: `known` is no share.
    """
    _check_shares(known)
    return labels.copy() if known == 1 else _where(labels, _kept(labels.shape, np.float64(known), seed))


def per_class(labels: Labels, rates: Sequence[float] | Float64[np.ndarray, "class"], seed: int = 0) -> Labels:
    """Keep each label with the probability of its class: some classes are looked for more often than others.

    With equal rates this is `uniform`.

    Args:
        labels: The truth.
        rates: The share to keep, one a class.
        seed: Of the draw.

    Raises:
        ValueError: A rate is no share, or there are more or fewer than classes.
    """
    each = np.asarray(rates, dtype=np.float64)
    if each.shape != labels.shape[1:]:
        raise ValueError(f"{each.size} rates for {labels.shape[1]} classes: give one a class")
    _check_shares(*each.tolist())
    return _where(labels, _kept(labels.shape, each, seed))


def single_positive(labels: Labels, seed: int = 0) -> Labels:
    """Keep one PRESENT label an image, drawn evenly, and nothing else (Cole et al., CVPR 2021).

    An image without one becomes all UNKNOWN.
    """
    kept = np.zeros(labels.shape, bool)
    start = 0
    for draws in _draws(labels.shape, seed):
        rows = slice(start, start + len(draws))
        draws[labels[rows] != PRESENT] = -1
        chosen = draws.argmax(axis=1) if draws.size else np.empty(0, np.int64)
        kept[np.arange(rows.start, rows.start + len(chosen)), chosen] = True
        start = rows.stop
    return _where(labels, kept & (labels == PRESENT))


def positives_only(labels: Labels) -> Labels:
    """Keep every PRESENT label and no ABSENT one: what tags say."""
    return _where(labels, labels == PRESENT)


def hide(labels: Labels, scheme: str = "uniform", **options: Any) -> Labels:
    """Hide by the scheme of that name; a `seed` is passed on to those that draw.

    Raises:
        ValueError: There is no such scheme, it takes no such option, or lacks one.
    """
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise ValueError(
            f"there is no hiding scheme {scheme!r}{did_you_mean(scheme, SCHEMES)}; there are: {known}"
        )
    takes = list(inspect.signature(SCHEMES[scheme]).parameters.values())[1:]
    names = [option.name for option in takes]
    if "seed" not in names:
        options.pop("seed", None)
    for name in options:
        if name not in names:
            raise ValueError(
                f"scheme {scheme!r} takes no {name!r}{did_you_mean(name, names)}: {', '.join(names)}"
            )
    for option in takes:
        if option.default is option.empty and option.name not in options:
            raise ValueError(f"scheme {scheme!r} needs {option.name}=")
    return SCHEMES[scheme](labels, **options)


def _draws(shape: tuple[int, ...], seed: int) -> Iterator[Float64[np.ndarray, "row class"]]:
    """Uniform draws for all labels in row-major order, some rows at a time."""
    random = np.random.RandomState(seed)
    rows, columns = shape
    block = max(1, _BLOCK // max(columns, 1))
    for start in range(0, rows, block):
        yield random.random_sample((min(block, rows - start), columns))


def _kept(
    shape: tuple[int, ...], share: np.ndarray | np.float64, seed: int
) -> Bool[np.ndarray, "image class"]:
    return np.concatenate([draws < share for draws in _draws(shape, seed)] or [np.zeros(shape, bool)])


def _where(labels: Labels, kept: Bool[np.ndarray, "image class"]) -> Labels:
    return np.where(kept, labels, np.int8(UNKNOWN))


def _check_shares(*shares: float) -> None:
    for share in shares:
        if not 0 <= share <= 1:
            raise ValueError(f"a share of labels to keep is between 0 and 1, not {share}")


SCHEMES: dict[str, Callable[..., Labels]] = {
    name: thing
    for name, thing in list(vars().items())
    if inspect.isfunction(thing)
    and thing.__module__ == __name__
    and not name.startswith("_")
    and name != "hide"
}
