"""Hiding known labels, as the benchmarks of this field do; the table that went in is the truth.

A scheme is a public function of this file: `(labels, ..., seed) -> labels`, more UNKNOWN than before, nothing else
changed. `SCHEMES` finds them, so `partlabel hide --scheme <name>` has whatever is written here.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int8

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean

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
    return labels.copy() if known == 1 else _drawn(labels, np.float64(known), seed)


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
    return _drawn(labels, each, seed)


def single_positive(labels: Labels, seed: int = 0) -> Labels:
    """Keep one PRESENT label an image, drawn evenly, and nothing else (Cole et al., CVPR 2021).

    An image without one becomes all UNKNOWN.
    """
    hidden = np.full(labels.shape, UNKNOWN, np.int8)
    for rows, draws in _draws(labels.shape, seed):
        there = labels[rows] == PRESENT
        draws[~there] = -1
        chosen = np.flatnonzero(there.any(axis=1))
        hidden[rows][chosen, draws[chosen].argmax(axis=1) if len(chosen) else chosen] = PRESENT
    return hidden


def positives_only(labels: Labels) -> Labels:
    """Keep every PRESENT label and no ABSENT one: what tags say."""
    return np.where(labels == PRESENT, labels, np.int8(UNKNOWN))


def by_prevalence(labels: Labels, known: float, seed: int = 0) -> Labels:
    """Keep labels of frequent classes more often than of rare ones: who tags names what is common.

    A class is kept at a rate in proportion to how often it is present, at most 1, the rates' mean being `known`.

    Args:
        labels: The truth.
        known: The mean share to keep, in [0, 1].
        seed: Of the draw.

    Raises:
        ValueError: `known` is no share.
    """
    _check_shares(known)
    present = (labels == PRESENT).mean(axis=0) + 1e-12
    return _drawn(labels, _proportional(present, np.ones_like(present), known), seed)


def editor(labels: Labels, known_present: float = 0.45, known_absent: float = 0.09, seed: int = 0) -> Labels:
    """Keep some PRESENT labels, those of common classes more often, and few ABSENT ones, as an editor sets tags.

    A class's PRESENT labels are kept at a rate in proportion to the square root of their number, at most 1, so that
    `known_present` of all PRESENT labels is kept on average. Every ABSENT label is kept with probability
    `known_absent`. With the defaults about 13 % of the labels are known where a tenth are PRESENT, and a third of the
    known labels are PRESENT.

    Args:
        labels: The ground truth.
        known_present: The share of PRESENT labels to keep, in [0, 1].
        known_absent: The share of ABSENT labels to keep, in [0, 1].
        seed: Seed of the random draw.

    Raises:
        ValueError: `known_present` or `known_absent` is not in [0, 1].
    """
    _check_shares(known_present, known_absent)
    count = (labels == PRESENT).sum(axis=0) + 1e-12
    rates = _proportional(np.sqrt(count), count, known_present)
    kept = np.where(labels == PRESENT, rates, known_absent)
    hidden = labels.copy()
    for rows, draws in _draws(labels.shape, seed):
        hidden[rows][draws >= kept[rows]] = UNKNOWN
    return hidden


def whole_images(labels: Labels, known: float, seed: int = 0) -> Labels:
    """Keep all labels of some images and none of the others, as where a part of a collection was annotated.

    Args:
        labels: The truth.
        known: The share of images to keep, in [0, 1].
        seed: Of the draw.

    Raises:
        ValueError: `known` is no share.
    """
    _check_shares(known)
    kept = np.random.RandomState(seed).random_sample((len(labels), 1)) < known
    return np.where(kept, labels, np.int8(UNKNOWN))


def by_source(labels: Labels, known: float, sources: int = 10, seed: int = 0) -> Labels:
    """Keep the labels of some classes alone in each image, as where collections were joined that asked differently.

    Every image belongs to one of the sources, and every class was looked for by `known` of them, by one at least.

    Args:
        labels: The truth.
        known: The share of sources that look for a class, in [0, 1].
        sources: How many there are.
        seed: Of the draw.

    Raises:
        ValueError: `known` is no share, or there are no sources.
    """
    _check_shares(known)
    if sources < 1:
        raise ValueError(f"sources is {sources}; images come from one at least")
    random = np.random.RandomState(seed)
    images, classes = labels.shape
    draws = random.random_sample((sources, classes))
    looks = draws.argsort(axis=0).argsort(axis=0) < max(round(known * sources), 1)
    return np.where(looks[random.randint(sources, size=images)], labels, np.int8(UNKNOWN))


def hide_labels(labels: Labels, scheme: str = "uniform", **options: Any) -> Labels:
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


def _draws(shape: tuple[int, ...], seed: int) -> Iterator[tuple[slice, Float64[np.ndarray, "row class"]]]:
    """Uniform draws for all labels in row-major order, some rows at a time, and which rows."""
    random = np.random.RandomState(seed)
    images, classes = shape
    block = max(1, _BLOCK // max(classes, 1))
    for start in range(0, images, block):
        rows = slice(start, min(start + block, images))
        yield rows, random.random_sample((rows.stop - start, classes))


def _drawn(labels: Labels, share: np.ndarray | np.float64, seed: int) -> Labels:
    """The labels whose draw is below the share to keep."""
    hidden = labels.copy()
    for rows, draws in _draws(labels.shape, seed):
        hidden[rows][draws >= share] = UNKNOWN
    return hidden


def _proportional(
    score: Float64[np.ndarray, " class"], weight: Float64[np.ndarray, " class"], mean: float
) -> Float64[np.ndarray, " class"]:
    """Rates `min(f score_c, 1)` with the factor f that makes their weighted mean equal `mean`, found by bisection."""
    low, high = 0.0, 1 / score.min()
    for _ in range(100):
        factor = (low + high) / 2
        rates = np.minimum(factor * score, 1)
        low, high = (factor, high) if np.average(rates, weights=weight) < mean else (low, factor)
    return np.minimum(high * score, 1)


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
    and name != "hide_labels"
}
