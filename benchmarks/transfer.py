"""Does transfer help? SST, the same trunk without it, and a plain linear head, on the same features, labels and budget.

    python benchmarks/transfer.py --data coco18 ccp --out benchmarks/results/transfer.csv

For every data set, share of known labels and seed each method is trained on frozen features and scored once on the
fully labelled test split. Weight decay is chosen for the linear head and for the trunk, each from the same number of
values, on validation (a share of train, known labels alone, by cross-entropy: at a tenth of the labels a class of ccp
has twenty known validation cells, and a mean AP over those is noise) with the first seed; what adds transfer to a head
takes its head's. The epoch is the last for all. The seeds are others than those that the methods were first developed
on (0 to 2), the test photos the same: docs/log.md says what was settled while looking at them. Finished cells are not
run again.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from partlabel import LabelTable, completion, methods, metrics
from partlabel.config import TrainingConfig
from partlabel.data import features, statistics
from partlabel.data.images import eval_transform, train_transform
from partlabel.data.module import loader
from partlabel.fitting import logits
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.run import Run
from partlabel.training import Learner, fit

SIZE, POOL, VIEWS = 224, 7, 1
VAL = 0.15
SEARCH = {"coco18": (0.002, 0.005, 0.012, 0.03), "ccp": (0.015, 0.04, 0.1, 0.25)}
EPOCHS = {"coco18": 9, "ccp": 45}


class Arm(NamedTuple):
    """One of the methods compared; its weight decay is that of the arm named."""

    method: str
    head: str
    options: dict[str, object]
    decay_of: str


def arms(epochs: int) -> dict[str, Arm]:
    """What is compared; the transfer starts after a third of the epochs."""
    start = epochs // 3
    small = {"start_epoch": start, "pair_dim": 64, "pair_hidden_dim": 64}
    return {
        "linear": Arm("bce", "average", {}, "linear"),
        "linear_memory": Arm("soft_sst", "average", {}, "linear"),
        "trunk": Arm("bce", "residual", {}, "trunk"),
        "trunk_memory": Arm("soft_sst", "residual", {}, "trunk"),
        "soft_sst": Arm("soft_sst", "residual", {"start_epoch": start}, "trunk"),
        "sst": Arm("sst", "residual", {**small, "contrast_weight": 0.0}, "trunk"),
    }


class Data(NamedTuple):
    """A data set: its parts as cached features."""

    name: str
    train: LabelTable
    test: LabelTable
    backbone: backbones.Backbone
    files: list[Path]
    test_files: list[Path]


def prepare(name: str, cache: str | None) -> Data:
    """The features of a data set, computed once."""
    root = Path(os.environ["PARTLABEL_DATA"]) / name
    table = LabelTable.read(root / "labels.csv", images=root)
    backbone = backbones.create(trainable="none", image_size=SIZE, pool=POOL)
    plain = eval_transform(SIZE, backbone.preprocessing)
    augment = train_transform(SIZE, backbone.preprocessing, "light")
    train, test = table.part("train"), table.part("test")
    files = features.compute(backbone, train, plain, augment, VIEWS, SIZE, cache)
    return Data(
        name, train, test, backbone, files, features.compute(backbone, test, plain, None, 1, SIZE, cache)
    )


class Cell(NamedTuple):
    """What one run came to."""

    val_cost: float
    scores: dict[str, float]


def run(data: Data, arm: Arm, known: float, seed: int, decay: float) -> Cell:
    """Train one method once, and score it on validation and test."""
    truth = data.train.labels
    hidden = data.train.hide("uniform", known=known, seed=seed)
    is_val = statistics.split_stratified(hidden.labels, VAL, seed)
    rows, val_rows = np.flatnonzero(~is_val), np.flatnonzero(is_val)
    train, val = hidden[rows], hidden[val_rows]
    config = TrainingConfig(
        epochs=EPOCHS[data.name], batch_size=128, lr=2e-3, weight_decay=decay, optimizer="adam",
        schedule="cosine", cache="features", accelerator="cpu", seed=seed, val=VAL,
    )  # fmt: skip
    present, absent, _ = statistics.counts(train.labels)
    classes = Classes(
        train.classes,
        graph=torch.from_numpy(statistics.cooccurrence(train.labels)),
        prevalence=torch.from_numpy(present / np.maximum(present + absent, 1)),
    )
    torch.manual_seed(seed)
    head = heads.get(arm.head)(
        data.backbone.channels, classes, **({"sharpness": 0.0} if arm.head == "residual" else {})
    )
    model = methods.get(arm.method)(data.backbone, head, **arm.options)
    learner = Learner(model, config, train.classes, train.images, truth[rows], cached=True)
    learn = features.FeatureDataset(data.files, train, rows, seed)
    judge = features.FeatureDataset(data.files[:1], val, val_rows)
    with tempfile.TemporaryDirectory() as folder:
        a_run = Run(folder)
        fit(learner, loader(learn, 128, True, seed), loader(judge, 512), a_run)
        state = torch.load(a_run.last, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("method."): v for k, v in state.items() if k.startswith("method.")})
    model.eval()
    said = {
        part: logits(model, loader(dataset, 512), cached=True)
        for part, dataset in {
            "val": judge,
            "train": features.FeatureDataset(data.files[:1], train, rows),
            "test": features.FeatureDataset(data.test_files, data.test, np.arange(len(data.test))),
        }.items()
    }
    test = metrics.evaluate(said["test"], data.test.labels, train.classes)
    scores = {name: test.numbers[name] for name in ("mAP", "mAP interpolated", "OF1", "CF1")}
    blanks = np.where(train.labels == -1, truth[rows], -1).astype(np.int8)
    scores["blanks mAP"] = metrics.evaluate(said["train"], blanks, train.classes).map
    votes = completion.fit(said["train"], train.labels, said["val"], val.labels)
    filled = said["train"] if votes is None else votes.logits(said["train"], train.labels)
    scores["blanks mAP, known labels voting"] = metrics.evaluate(filled, blanks, train.classes).map
    for source, quality in learner.history[-1]["pseudo_labels"].items():
        scores |= {f"{source} {name}": value for name, value in quality.items() if value is not None}
    if hasattr(model, "worth"):
        scores["vote worth"] = float(model.worth)
    return Cell(cost(said["val"], val.labels), scores)


def cost(scores: np.ndarray, labels: np.ndarray) -> float:
    """Cross-entropy of the known labels."""
    known = labels != -1
    z, y = torch.from_numpy(scores)[known], torch.from_numpy(labels.copy())[known].float()
    return float(torch.nn.functional.binary_cross_entropy_with_logits(z, y))


def main() -> None:
    """Run the cells that are not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["coco18", "ccp"])
    parser.add_argument("--known", nargs="+", type=float, default=[0.1, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    parser.add_argument(
        "--arms", nargs="+", default=["linear", "trunk", "linear_memory", "trunk_memory", "soft_sst"]
    )
    parser.add_argument("--cache", help="folder of the feature cache")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/transfer.csv"))
    args = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    versions = json.dumps({"torch": torch.__version__, "python": platform.python_version(), "commit": commit})
    done = pl.read_csv(args.out).to_dicts() if args.out.exists() else []
    for name in args.data:
        data = prepare(name, args.cache)
        for seed in args.seeds:
            for known in args.known:
                for arm_name in args.arms:
                    cell = {"data": name, "known": known, "seed": seed, "arm": arm_name}
                    if any(all(row[k] == v for k, v in cell.items()) for row in done):
                        continue
                    began = time.monotonic()
                    arm = arms(EPOCHS[name])[arm_name]
                    # A decay is chosen once and holds for the other seeds, and for transfer on the same head.
                    chosen = [
                        row["decay"] for row in done
                        if (row["data"], row["known"], row["arm"]) == (name, known, arm.decay_of)
                    ][:1]  # fmt: skip
                    tried = {decay: run(data, arm, known, seed, decay) for decay in chosen or SEARCH[name]}
                    decay = min(tried, key=lambda value: tried[value].val_cost)
                    scores = {k: round(v, 5) for k, v in tried[decay].scores.items()}
                    row = cell | {
                        "decay": decay, "val cost": round(tried[decay].val_cost, 5), "mAP": scores.pop("mAP"),
                        "scores": json.dumps(scores), "seconds": round((time.monotonic() - began) / len(tried), 1),
                        "versions": versions,
                    }  # fmt: skip
                    done.append(row)
                    aside = args.out.with_suffix(".part")
                    pl.DataFrame(done).write_csv(aside)
                    aside.rename(args.out)
                    print({k: v for k, v in row.items() if k != "versions"}, flush=True)


if __name__ == "__main__":
    main()
