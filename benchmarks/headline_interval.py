"""Measure how often the intervals of a headline contain the true mean average precision (AP), on simulated scores.

    OMP_NUM_THREADS=1 python benchmarks/headline_interval.py --out benchmarks/results/headline-interval.csv

Scores of class c are normal with standard deviation 1; their mean is 0 where the class is absent and `d_c` where it is
present (the binormal model). Shares of present labels run from 5 % to 40 %, `d_c` from 0.5 to 2, in an order in which
neither determines the other. All labels are known. The true AP of a class is its AP in the population, the integral of
precision over recall, `E[p S(x - d) / (p S(x - d) + (1 - p) S(x))]` over scores x of present labels, where S is the
upper tail of the standard normal distribution.

For each draw of images, `headline` computes the mean AP and its basic bootstrap interval. The
percentile interval uses the same resampled images. A class with fewer than five known present labels is left out of the
mean that is measured and of the true mean. NumPy only; about a minute on one core.
"""

import argparse
import csv
import math
from pathlib import Path

import numpy as np
from made_with import commit, versions

from partlabel.core.progress_bar import track
from partlabel.evaluation.headline import headline
from partlabel.evaluation.intervals import CONFIDENCE, RESAMPLES, class_average_precisions

CLASSES, IMAGES, DRAWS, SEED = 12, (100, 300, 1000), 200, 0
SHARES = np.geomspace(0.05, 0.4, CLASSES)
DISTANCES = np.linspace(0.5, 2, CLASSES)[np.arange(CLASSES) * 5 % CLASSES]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    truth = np.array([true_ap(p, d) for p, d in zip(SHARES, DISTANCES, strict=True)])
    about = {**versions("numpy"), "commit": commit()}
    rows = [coverage(images, truth, options.draws, options.seed) | about for images in IMAGES]
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))


def coverage(images: int, truth: np.ndarray, draws: int, seed: int) -> dict[str, float | str]:
    """Draw images `draws` times and compare both intervals with the true mean AP."""
    random = np.random.default_rng([seed, images])
    rows = []
    for draw in track(range(draws), f"{images} images"):
        labels = (random.random((images, CLASSES)) < SHARES).astype(np.int8)
        logits = random.standard_normal(labels.shape) + labels * DISTANCES
        found = headline("test", logits, labels, [str(c) for c in range(CLASSES)], seed=draw)
        assert found.known is not None
        kept = [c for c in range(CLASSES) if str(c) not in found.few + found.empty]
        low, high = percentile(logits[:, kept], labels[:, kept], draw)
        true = truth[kept].mean()
        rows.append(
            (
                found.known.value - true,
                found.known.low <= true <= found.known.high,
                low <= true <= high,
                found.known.high - found.known.low,
                high - low,
            )
        )
    bias, basic, simple, basic_width, simple_width = np.mean(rows, axis=0).tolist()
    return {
        "images": images, "draws": draws, "seed": seed, "nominal": CONFIDENCE, "basic_coverage": basic,
        "percentile_coverage": simple, "basic_width": round(basic_width, 4),
        "percentile_width": round(simple_width, 4), "bias": round(bias, 4),
    }  # fmt: skip


def percentile(logits: np.ndarray, labels: np.ndarray, seed: int) -> tuple[float, float]:
    """Compute the percentile interval of the mean AP from the resampled images that `headline` uses."""
    random, images = np.random.default_rng(seed), len(labels)
    counts = np.stack(
        [np.bincount(random.integers(images, size=images), minlength=images) for _ in range(RESAMPLES)],
        axis=1,
    )
    aps = [
        class_average_precisions(logits[:, c], labels[:, c] == 1, counts.astype(np.uint8))
        for c in range(labels.shape[1])
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.nanmean(aps, axis=0), [tail, 1 - tail])
    return float(low), float(high)


def true_ap(share: float, distance: float, steps: int = 20001) -> float:
    """Compute the AP of the binormal model by a sum over a fine grid of scores of present labels."""
    scores = np.linspace(distance - 8, distance + 8, steps)
    density = np.exp(-((scores - distance) ** 2) / 2) / math.sqrt(2 * math.pi)
    hits, others = share * _tail(scores - distance), (1 - share) * _tail(scores)
    return float((density * hits / (hits + others)).sum() * (scores[1] - scores[0]))


def _tail(x: np.ndarray) -> np.ndarray:
    """Upper tail of the standard normal distribution."""
    return np.array([math.erfc(each / math.sqrt(2)) / 2 for each in x])


if __name__ == "__main__":
    main()
