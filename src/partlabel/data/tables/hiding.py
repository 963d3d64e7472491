"""Hiding known labels, as in the benchmarks of this field; the input is the ground truth.

A scheme is a public function of this file: `(labels, ..., seed) -> labels`, which turns known labels into UNKNOWN and
changes nothing else. `SCHEMES` collects them, so `partlabel hide --scheme <name>` supports every function added here.
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
    """Keep each label with the same probability, independent of its value; masks of one seed are nested in `known`.

    The procedure of Chen et al. (SST, AAAI 2022) and later papers, bit for bit: `np.random.seed(seed)`, one uniform
    draw per label in row-major order, kept if it is below `known`. Rows and columns must be in their order too.

    Args:
        labels: Ground truth.
        known: Fraction of labels to keep, in [0, 1]; 1 keeps everything.
        seed: Random seed; 0 in the literature.

    Raises:
        ValueError: `known` is not in [0, 1].
    """
    _check_shares(known)
    return labels.copy() if known == 1 else _drawn(labels, np.float64(known), seed)


def per_class(labels: Labels, rates: Sequence[float] | Float64[np.ndarray, "class"], seed: int = 0) -> Labels:
    """Keep each label with the probability of its class: some classes are annotated more often than others.

    With equal rates this is `uniform`.

    Args:
        labels: Ground truth.
        rates: Fraction of labels to keep, one per class, in [0, 1].
        seed: Random seed.

    Raises:
        ValueError: A rate is not in [0, 1], or their number differs from the number of classes.
    """
    each = np.asarray(rates, dtype=np.float64)
    if each.shape != labels.shape[1:]:
        raise ValueError(f"{each.size} rates for {labels.shape[1]} classes: give one per class")
    _check_shares(*each.tolist())
    return _drawn(labels, each, seed)


def single_positive(labels: Labels, seed: int = 0) -> Labels:
    """Keep one PRESENT label per image, drawn uniformly, and nothing else (Cole et al., CVPR 2021).

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
    """Keep every PRESENT label and no ABSENT one, as in tags."""
    return np.where(labels == PRESENT, labels, np.int8(UNKNOWN))


def by_prevalence(labels: Labels, known: float, seed: int = 0) -> Labels:
    """Keep labels of frequent classes more often than of rare ones, as annotators mention common classes.

    A class is kept at a rate in proportion to its prevalence, at most 1; the mean of the rates is `known`.

    Args:
        labels: Ground truth.
        known: Mean fraction of labels to keep, in [0, 1].
        seed: Random seed.

    Raises:
        ValueError: `known` is not in [0, 1].
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
    """Keep all labels of some images and none of the others, as in a partly annotated collection.

    Args:
        labels: Ground truth.
        known: Fraction of images to keep, in [0, 1].
        seed: Random seed.

    Raises:
        ValueError: `known` is not in [0, 1].
    """
    _check_shares(known)
    kept = np.random.RandomState(seed).random_sample((len(labels), 1)) < known
    return np.where(kept, labels, np.int8(UNKNOWN))


def by_source(labels: Labels, known: float, sources: int = 10, seed: int = 0) -> Labels:
    """Keep the labels of a subset of the classes in each image, as in a union of datasets with different class lists.

    Every image belongs to one of the sources, and every class is annotated by a fraction `known` of them, at least by
    one.

    Args:
        labels: Ground truth.
        known: Fraction of sources that annotate a class, in [0, 1].
        sources: Number of sources.
        seed: Random seed.

    Raises:
        ValueError: `known` is not in [0, 1], or `sources` is below 1.
    """
    _check_shares(known)
    if sources < 1:
        raise ValueError(f"sources is {sources}; at least one source is needed")
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
    """Yield uniform draws for all labels in row-major order, in blocks of rows."""
    random = np.random.RandomState(seed)
    images, classes = shape
    block = max(1, _BLOCK // max(classes, 1))
    for start in range(0, images, block):
        rows = slice(start, min(start + block, images))
        yield rows, random.random_sample((rows.stop - start, classes))


def _drawn(labels: Labels, share: np.ndarray | np.float64, seed: int) -> Labels:
    """Return the labels whose draw is below the fraction to keep."""
    hidden = labels.copy()
    for rows, draws in _draws(labels.shape, seed):
        hidden[rows][draws >= share] = UNKNOWN
    return hidden


def _proportional(
    score: Float64[np.ndarray, " class"], weight: Float64[np.ndarray, " class"], mean: float
) -> Float64[np.ndarray, " class"]:
    """Find rates `min(f score_c, 1)` with the factor f that makes their weighted mean equal `mean`, by bisection."""
    low, high = 0.0, 1 / score.min()
    for _ in range(100):
        factor = (low + high) / 2
        rates = np.minimum(factor * score, 1)
        low, high = (factor, high) if np.average(rates, weights=weight) < mean else (low, factor)
    return np.minimum(high * score, 1)


def _check_shares(*shares: float) -> None:
    for share in shares:
        if not 0 <= share <= 1:
            raise ValueError(f"a fraction of labels to keep is between 0 and 1, not {share}")


SCHEMES: dict[str, Callable[..., Labels]] = {
    name: thing
    for name, thing in list(vars().items())
    if inspect.isfunction(thing)
    and thing.__module__ == __name__
    and not name.startswith("_")
    and name != "hide_labels"
}
