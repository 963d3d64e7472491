r"""What is a threshold worth that few labels chose, and are the figures that `partlabel tune` prints honest?

    python benchmarks/tuning.py --data coco18 --out benchmarks/results/tuning-coco18.csv
    python benchmarks/tuning.py --data ccp --method bce --head average --train 600 \
        --out benchmarks/results/tuning-ccp.csv

A tagger is trained on some training photos; others, drawn eight times over, are tuned on with 30 % of their labels
known, and what is found is judged on the rest of those photos, all of whose labels are known. The test split is not
looked at. F1 is the mean over the classes, in per cent.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from partlabel import LabelTable, Tagger
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation import thresholds
from partlabel.evaluation.metrics import DecisionCounts
from partlabel.posthoc.scale_fitting import fit_scale, mean_log_loss
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_gain import f1_by_class

SIZE, EPOCHS, KNOWN, DRAWS = 160, 12, 0.3, 8
SHRINK = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 1e9)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", required=True, choices=["coco18", "ccp"])
    asked.add_argument("--method", default="soft_sst")
    asked.add_argument("--head", default="covariance")
    asked.add_argument("--train", type=int, default=800, help="photos to train on")
    asked.add_argument("--others", type=int, default=1900, help="photos to tune and judge on, at most")
    asked.add_argument("--tune", type=int, default=400, help="of these, photos to tune on")
    asked.add_argument("--cache", default=None, help="folder of the feature cache")
    asked.add_argument("--out", type=Path, required=True)
    options = asked.parse_args()
    folder = Path(os.environ["PARTLABEL_DATA"]) / options.data
    whole = LabelTable.read(folder / "labels.csv", folder).part("train").with_split(None)
    rows = np.random.default_rng(0).permutation(len(whole))
    learn = whole[np.sort(rows[: options.train])].hide(known=KNOWN, seed=0)
    others = whole[np.sort(rows[options.train :][: options.others])]
    cache = {"cache": "features", "cache_dir": options.cache}
    tagger = Tagger(whole.classes, options.method, head=options.head, image_size=SIZE)
    with tempfile.TemporaryDirectory() as out:
        how = {"epochs": EPOCHS, "val": 0.2, "augment": "none", "accelerator": "cpu", "cache_views": 1}
        tagger.fit(learn, out=out, **how, **cache)
    logits = tagger.scores(others, **cache)
    table = pl.DataFrame(
        [row for seed in range(DRAWS) for row in draw(logits, others.labels, options.tune, seed)]
    )
    table.write_csv(options.out)
    means = table.group_by("what", maintain_order=True).agg(
        pl.col("value").mean().alias("mean"), pl.col("value").std().alias("deviation")
    )
    with pl.Config(tbl_rows=-1):
        print(means)


def draw(logits: np.ndarray, labels: np.ndarray, number: int, seed: int) -> Iterator[dict[str, object]]:
    """Tune on some photos, judge on the others."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(logits))
    ours, theirs = logits[order[:number]], logits[order[number:]]
    said = labels[order[:number]]
    known = np.where(random.random(said.shape) < KNOWN, said, UNKNOWN).astype(np.int8)
    truth = labels[order[number:]]
    scale = fit_scale(ours, known)
    sure, judged = scale.logits(ours), scale.logits(theirs)
    goal = thresholds.Goal("f1")
    found = {
        "F1 at 0.5": _f1(theirs >= 0, truth),
        "log loss": mean_log_loss(theirs, truth),
        "log loss, calibrated": mean_log_loss(judged, truth),
    }
    for shrink in SHRINK:
        cut = thresholds.thresholds(sure, known, goal, shrink).by_class
        found[f"F1, k = {shrink:g}"] = _f1(judged >= cut, truth)
    pooled = thresholds.threshold(sure[known != UNKNOWN], known[known != UNKNOWN] == PRESENT, goal)
    found["F1, one for all by F1 over all labels"] = _f1(judged >= pooled, truth)
    kept = fit_tuning(tuple(map(str, range(labels.shape[1]))), ours, known)
    cut = thresholds.thresholds(sure, known, goal, kept.shrink).by_class
    found["F1 on the images tuned on"] = _f1(sure >= cut, known)
    found["F1, cross-fitted"] = 100 * kept.gain.f1[2]
    found["log loss, calibrated, cross-fitted"] = kept.gain.log_loss[1]
    for what, value in found.items():
        yield {"seed": seed, "what": what, "value": round(float(value), 5)}


def _f1(chosen: np.ndarray, labels: np.ndarray) -> float:
    scored = (labels == PRESENT).any(0) & (labels == ABSENT).any(0)
    return 100 * float(f1_by_class(DecisionCounts.of(chosen, labels))[scored].mean())


if __name__ == "__main__":
    main()
