r"""Are probabilities right on average when labels are not missing at random, and is a stated precision reached?

    python benchmarks/probabilities.py --data coco18 --data ccp --out benchmarks/results/probabilities.csv

Labels of the training images are hidden by every scheme of `partlabel hide`; a linear head on pooled features of a
frozen `tf_efficientnet_lite0` (square roots of the means, standardised) is fitted to what is left, by 3-fold
cross-validation over images, so that every training image is scored by a head that did not see it. Unknown labels are
left out of the loss, or taken for absent where nearly all known ones are present. The weight decay is fixed: nothing is
chosen on test images. The ground truth of the unknown labels, and of the test images, then judges the probabilities:

- `as the model says`: the sigmoid of the scores;
- `fair sample`: calibrated on known labels;
- `estimate`, `prevalence`, `calibration set`: corrected (`partlabel.priors.correction`) by the selection model, by the
  true mean number of present classes per image, and by 40 images drawn at random from the training images.

For each: mean probability divided by the true share, expected calibration error (15 bins, over all cells), and for
`fill --precision`: how many unknown labels become present, which share of them is right, and the interval that was
announced. `--priors` compares the estimators of the share of unknown labels that are present instead. `--summary FILE`
prints a file of results as the tables of docs/probabilities.md.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from made_with import commit, versions
from scipy.special import expit
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel import LabelTable
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.progress_bar import track
from partlabel.data.tables import hiding, statistics
from partlabel.posthoc.scale_fitting import fit_scale
from partlabel.priors import estimators
from partlabel.priors.correcting import correct, estimated
from partlabel.priors.correction import CalibrationSet, Correction
from partlabel.priors.expected import accepted, expected_right

SEEDS, IMAGES, ASKED, FOLDS, DECAY, BINS = (11, 12, 13), 1500, 40, 3, 300.0, 15
PRECISIONS = (0.9, 0.95, 0.98)
FEW = 20
"""Labels filled in, below which their precision is not counted."""
SCHEMES = {
    "uniform 2 %": ("uniform", {"known": 0.02}),
    "uniform 10 %": ("uniform", {"known": 0.1}),
    "uniform 50 %": ("uniform", {"known": 0.5}),
    "per class": ("per_class", {}),
    "by prevalence 10 %": ("by_prevalence", {"known": 0.1}),
    "by source 20 %": ("by_source", {"known": 0.2}),
    "whole images 10 %": ("whole_images", {"known": 0.1}),
    "editor": ("editor", {}),
    "single positive": ("single_positive", {}),
    "half of the positives": ("positives_only", {}),
    "all positives": ("positives_only", {}),
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", action="append", default=[], choices=["coco18", "ccp"])
    asked.add_argument("--scheme", action="append", choices=list(SCHEMES), help="all of them if none")
    asked.add_argument("--seed", type=int, action="append", default=[], help="11, 12 and 13 if none")
    asked.add_argument("--summary", type=Path, default=None, help="print results as tables")
    asked.add_argument("--priors", action="store_true", help="compare estimators of the priors")
    asked.add_argument(
        "--features", type=Path, default=None, help="folder of <data>.npz with pooled features"
    )
    asked.add_argument("--cache", default=None, help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("probabilities.csv"))
    options = asked.parse_args()
    if options.summary is not None:
        summary(pl.read_csv(options.summary, infer_schema_length=None))
    torch.set_num_threads(1)
    rows: list[dict] = []
    for data in options.data:
        collection = load(data, options.features, options.cache)
        cells = [(scheme, seed) for seed in options.seed or SEEDS for scheme in options.scheme or SCHEMES]
        for scheme, seed in track(cells, data, len(cells)):
            one = priors if options.priors else probabilities
            inputs = drawn(*collection, seed)
            rows += [
                {"data": data, "scheme": scheme, "seed": seed, **row} for row in one(inputs, scheme, seed)
            ]
            pl.DataFrame(rows, infer_schema_length=None).with_columns(**about()).write_csv(options.out)


def summary(found: pl.DataFrame) -> None:
    """Print two tables: mean probability over truth with the calibration error, and precision reached."""
    arms = ("as the model says", "estimate", "prevalence", "calibration set")
    print("| | | " + " | ".join(arms) + " |")
    print("|---|---|" + "---|" * len(arms))
    for data, scheme in found.select("data", "scheme").unique(maintain_order=True).iter_rows():
        here = found.filter((pl.col("data") == data) & (pl.col("scheme") == scheme))
        cells = []
        for arm in arms:
            of_arm = here.filter(pl.col("what") == arm)
            means = [
                of_arm.filter(pl.col("on") == on)["ratio"].mean() for on in ("unknown labels", "test images")
            ]
            error = of_arm.filter(pl.col("on") == "unknown labels")["ece"].mean()
            cells.append(f"{shown(means[0])} / {shown(means[1])} ({shown(error, 3)})")
        print(f"| {data} | {scheme} | " + " | ".join(cells) + " |")
    print("\n| | precision | results with labels filled | right, mean | least | below the interval |")
    print("|---|---|---|---|---|---|")
    for arm in arms:
        for name in (f"{precision:g}" for precision in PRECISIONS):
            some = found.filter((pl.col("what") == arm) & (pl.col(f"filled {name}") >= FEW))
            right, low = some[f"right {name}"], some[f"low {name}"]
            below = int((right < low).sum())
            print(
                f"| {arm} | {name} | {len(some)} | {shown(right.mean())} | {shown(right.min())} | {below} |"
            )


def shown(value: object, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, float) and value == value and value < 1000 else "-"


def about() -> dict[str, pl.Expr]:
    """Describe the versions and the commit of the figures."""
    return {name: pl.lit(value) for name, value in {"commit": commit(), **versions("torch")}.items()}


def load(data: str, features: Path | None, cache: str | None) -> tuple[np.ndarray, LabelTable]:
    """Rooted mean features, and the table with the ground truth."""
    folder = Path(os.environ["PARTLABEL_DATA"]) / data
    table = LabelTable.read(folder / "labels.csv", folder)
    means = _stored(features / f"{data}.npz") if features else _computed(table, cache)
    return np.sqrt(np.maximum(means, 0)), table


def drawn(
    rooted: np.ndarray, table: LabelTable, seed: int
) -> tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray]:
    """Standardised features and ground truth of `IMAGES` training images, drawn by the seed, and of all test images."""
    train, test = (np.flatnonzero([part == name for part in table.split or ()]) for name in ("train", "test"))
    train = np.sort(np.random.default_rng(seed).permutation(train)[:IMAGES])
    scaled = torch.from_numpy((rooted - rooted[train].mean(0)) / (rooted[train].std(0) + 1e-6))
    return scaled[train], table.labels[train], scaled[test], table.labels[test]


def _stored(path: Path) -> np.ndarray:
    return np.load(path)["features"][:, :1280].astype(np.float32)


def _computed(table: LabelTable, cache: str | None) -> np.ndarray:
    """Pooled features by way of the cache of `partlabel train --cache features`."""
    from partlabel.training.frozen_backbone import frozen_backbone, plain_view

    backbone = frozen_backbone(table.part("train"), 48, size=224, pool=1)
    (view,) = plain_view(backbone, table, 224, cache)
    found = view.take(np.arange(len(table)))
    return found.reshape(len(table), -1)[:, :1280].astype(np.float32)


def hidden(truth: np.ndarray, scheme: str, seed: int) -> np.ndarray:
    """Hide labels of the ground truth."""
    name, options = SCHEMES[scheme]
    if name == "per_class":
        options = {"rates": np.random.default_rng(99).uniform(0.02, 0.4, truth.shape[1])}
    labels = hiding.hide_labels(truth, name, seed=seed, **options)
    if scheme == "half of the positives":
        labels = np.where(np.random.default_rng(seed).random(labels.shape) < 0.5, labels, UNKNOWN).astype(
            np.int8
        )
    return labels


def scored(
    x: torch.Tensor, labels: np.ndarray, other: torch.Tensor, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold logits of the training images, and logits of other images by a head fitted to all."""
    share = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    y = torch.from_numpy((labels == PRESENT).astype(np.float32))
    weight = torch.ones_like(y)
    if not statistics.counts(labels).tells_presence:
        weight = torch.from_numpy((labels != UNKNOWN).astype(np.float32))
    found = torch.zeros_like(y)
    for fold in range(FOLDS):
        learn = torch.from_numpy(share != fold)
        head = linear(x[learn], y[learn], weight[learn])
        found[~learn] = x[~learn] @ head[0] + head[1]
    head = linear(x, y, weight)
    return found.numpy(), (other @ head[0] + head[1]).numpy()


def linear(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logistic regression of all classes with a penalty on the weights, full batch."""
    slope = torch.zeros(x.shape[1], y.shape[1], requires_grad=True)
    offset = torch.full((y.shape[1],), -2.0, requires_grad=True)
    optimiser = torch.optim.LBFGS([slope, offset], max_iter=40, history_size=8, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        misfit = binary_cross_entropy_with_logits(x @ slope + offset, y, weight=weight, reduction="sum")
        loss = misfit + DECAY / 2 * slope.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return slope.detach(), offset.detach()


def probabilities(inputs: tuple, scheme: str, seed: int) -> Iterator[dict]:
    """A row for each correction and for unknown labels and test images."""
    x, truth, other, test = inputs
    labels = hidden(truth, scheme, seed)
    scores, judged = scored(x, labels, other, seed)
    blank, known_absent = labels == UNKNOWN, bool((labels == ABSENT).any())
    rows = np.sort(np.random.default_rng(1000 + seed).permutation(len(truth))[:ASKED])
    asked = CalibrationSet(scores[rows], scores[rows], truth[rows], blank[rows])
    tags = float((truth == PRESENT).sum(1).mean())
    found: dict[str, Correction | None] = {"as the model says": None}
    given = {"estimate": (None, None), "prevalence": (None, tags), "calibration set": (asked, None)}
    known = estimated(scores, labels)
    arms = {name: correct(scores, scores, labels, *each, known) for name, each in given.items()}
    for arm, correction in (found | arms).items():
        yield from judge(arm, correction, scores, judged, truth, test, blank)
    if known_absent:
        scale = fit_scale(scores, labels)
        yield from judge("fair sample", None, scale.logits(scores), scale.logits(judged), truth, test, blank)


def judge(
    arm: str,
    correction: Correction | None,
    scores: np.ndarray,
    judged: np.ndarray,
    truth: np.ndarray,
    test: np.ndarray,
    blank: np.ndarray,
) -> Iterator[dict]:
    """Evaluate probabilities of unknown labels and of test images."""
    p = expit(scores if correction is None else correction.scale_filling.logits(scores))
    yield {
        "what": arm,
        "on": "unknown labels",
        **figures(p[blank], truth[blank] == PRESENT),
        **reached(p, blank, truth, correction),
    }
    p = expit(judged if correction is None else correction.scale.logits(judged))
    known = test != UNKNOWN
    yield {"what": arm, "on": "test images", **figures(p[known], test[known] == PRESENT)}


def figures(p: np.ndarray, present: np.ndarray) -> dict[str, float]:
    """Mean probability, true share, their ratio and the expected calibration error."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == each).mean() * abs(p[bins == each].mean() - present[bins == each].mean())
        for each in np.unique(bins)
    ]
    share = float(present.mean())
    return {
        "mean": float(p.mean()),
        "share": share,
        "ratio": float(p.mean()) / share if share else float("nan"),
        "ece": float(sum(gaps)),
    }


def reached(
    p: np.ndarray, blank: np.ndarray, truth: np.ndarray, correction: Correction | None
) -> dict[str, float]:
    """For each precision: labels filled in, the share of them that is right, and the interval that was announced."""
    found: dict[str, float] = {}
    for precision in PRECISIONS:
        from_ = accepted(p, blank, precision, "overall", correction)
        chosen = blank & (p >= from_)
        expected = expected_right(p, chosen, np.zeros_like(chosen), correction)
        number = max(int(chosen.sum()), 1)
        right = float((truth[chosen] == PRESENT).mean()) if chosen.any() else float("nan")
        name = f"{precision:g}"
        found |= {f"filled {name}": int(chosen.sum()), f"right {name}": right}
        found |= {f"low {name}": expected.low / number, f"high {name}": expected.high / number}
    return found


def priors(inputs: tuple, scheme: str, seed: int) -> Iterator[dict]:
    """A row for each estimator: its number of present labels among the unknown ones, against the true number."""
    x, truth, other, _ = inputs
    labels = hidden(truth, scheme, seed)
    scores, _ = scored(x, labels, other, seed)
    blank = labels == UNKNOWN
    number, true = blank.sum(0), (blank & (truth == PRESENT)).sum(0)
    for estimator in (estimators.likelihood, estimators.elkan_noto, estimators.best_bin):
        prior = estimator(scores, labels)
        told = ~np.isnan(prior)
        ratio = (prior * number)[told].sum() / max(true[told].sum(), 1)
        by_class = np.abs(np.log((prior * number + 0.5) / (true + 0.5)))[told]
        yield {
            "what": estimator.__name__,
            "expected": float((prior * number)[told].sum()),
            "true": int(true[told].sum()),
            "ratio": float(ratio),
            "median factor of a class": float(np.exp(np.median(by_class))),
        }


if __name__ == "__main__":
    main()
