r"""Measure the method `coherent`: the loss under rules beside plain cross-entropy, each with and without the closure.

    PARTLABEL_DATA=... python benchmarks/coherent_loss.py --out benchmarks/results/coherent-loss.csv
    python benchmarks/coherent_loss.py --table benchmarks/results/coherent-loss.csv

Photos, added classes and hidden labels are those of `rules.py`. All arms train the head `covariance` by steps, on the
same frozen features and with the same number of steps, and predictions of all are made coherent:

bce, given         known labels alone
bce, closure       known labels and what follows from them
coherent, given    the coherent loss on the known labels alone
coherent, closure  the same and what follows: `partlabel train --rules FILE --method coherent`

Weight decay is chosen for every arm with the first seed: the lowest cross-entropy of the known labels of a validation
set, 15 % of the training photos, which no arm learns from. The test photos are scored once an arm and seed.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rows import read, stamp, training_rows, write
from rules import PARENTS, RULES, shown, with_parents

from partlabel import LabelTable, methods
from partlabel.core.column_rules import ColumnRules
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.cache.interface import Features
from partlabel.data.images.loader import loader
from partlabel.data.tables import statistics
from partlabel.data.tables.closure import close
from partlabel.evaluation import metrics
from partlabel.evaluation.violations import count_violations
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.coherence import Coherence
from partlabel.training.class_description import describe_classes
from partlabel.training.config import TrainingConfig
from partlabel.training.frozen_backbone import frozen_backbone, plain_view
from partlabel.training.inference import logits
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit
from transfer import cost

SIZE, HEAD, VAL = 224, "covariance", 0.15
DECAYS = (0.002, 0.005, 0.012, 0.03, 0.08)
STEPS, BATCH = 720, 128
ARMS = [(method, labels) for method in ("bce", "coherent") for labels in ("given", "closure")]


@dataclass(frozen=True)
class Row:
    """One arm with one seed; `alone` is the test mAP of the network before its predictions are made coherent."""

    images: int
    known: float
    seed: int
    method: str
    labels: str
    map: float
    parents: float
    children: float
    alone: float
    violations: int
    weight_decay: float
    cost: float
    seconds: float
    commit: str
    versions: str


class Data(NamedTuple):
    """Photos with complete labels, and what the frozen backbone makes of them."""

    table: LabelTable
    backbone: backbones.Backbone
    features: Features


class Result(NamedTuple):
    """What a trained network says of validation and test photos."""

    cost: float
    logits: np.ndarray


def prepare(cache: str | None) -> Data:
    """Compute the features of coco18, once."""
    root = Path(os.environ["PARTLABEL_DATA"]) / "coco18"
    table = LabelTable.read(root / "labels.csv", images=root)
    rank = heads.get(HEAD).covariance_rank
    backbone = frozen_backbone(table.part("train"), rank, size=SIZE, cache_dir=cache)
    (view,) = plain_view(backbone, table, SIZE, cache)
    return Data(with_parents(table), backbone, view)


def train(
    data: Data, method: str, labels: str, known: LabelTable, rows: np.ndarray, decay: float, seed: int
) -> Result:
    """Train one arm on the part of the known labels that is not for validation."""
    rules = ColumnRules(RULES, known.classes)
    is_val = statistics.split_stratified(known.labels, VAL, seed)
    learned = close(known, RULES).table[~is_val] if labels == "closure" else known[~is_val]
    judged = known[is_val]
    epochs = max(1, round(STEPS * BATCH / len(learned)))
    config = TrainingConfig(
        epochs=epochs, batch_size=BATCH, lr=2e-3, weight_decay=decay, optimizer="adam", schedule="cosine",
        cache="features", accelerator="cpu", seed=seed, val=VAL,
    )  # fmt: skip
    torch.manual_seed(seed)
    classes = replace(describe_classes(learned), rules=rules)
    model = methods.get(method)(data.backbone, heads.get(HEAD)(data.backbone.channels, classes))
    module = TrainingModule(model, config, learned.classes, learned.images)
    judge = loader(FeatureDataset([data.features], judged, rows[is_val]), 512)
    batches = loader(FeatureDataset([data.features], learned, rows[~is_val], seed), BATCH, True, seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder)
        fit(module, batches, judge, run)
        state = torch.load(run.last, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("method."): v for k, v in state.items() if k.startswith("method.")})
    model.eval()
    tests = np.flatnonzero(np.array(data.table.split) == "test")
    tested = loader(FeatureDataset([data.features], data.table[tests], tests), 512)
    validated = Coherence(rules).logits(torch.from_numpy(logits(model, judge)))
    return Result(cost(validated.numpy(), judged.labels), logits(model, tested))


def compute(
    data: Data, images: int, known: float, seed: int, method: str, labels: str, done: list[Row]
) -> Row:
    """Compute one row; the weight decay is that of an earlier seed, if there is one."""
    began = time.monotonic()
    rows = training_rows(data.table, images, seed)
    hidden = data.table[rows].with_split(None).hide("uniform", known=known, seed=seed)
    same = (images, known, method, labels)
    chosen = [row for row in done if (row.images, row.known, row.method, row.labels) == same][:1]
    tried = {
        decay: train(data, method, labels, hidden, rows, decay, seed)
        for decay in [row.weight_decay for row in chosen] or DECAYS
    }
    decay = min(tried, key=lambda each: tried[each].cost)
    found, truth = tried[decay].logits, data.table.part("test").labels
    rules = ColumnRules(RULES, data.table.classes)
    final = Coherence(rules).logits(torch.from_numpy(found)).numpy()
    ap, at = (
        100 * metrics.evaluate(final, truth, data.table.classes).ap,
        len(data.table.classes) - len(PARENTS),
    )
    implying = [n for n, c in enumerate(data.table.classes[:at]) if any(c in of for of in PARENTS.values())]
    scores = [round(float(ap[part].mean()), 3) for part in (slice(None), slice(at, None), implying)]
    alone = round(100 * metrics.evaluate(found, truth, data.table.classes).map, 3)
    broken = count_violations(torch.from_numpy(found).sigmoid().numpy(), rules).total
    took = round((time.monotonic() - began) / len(tried), 1)
    return Row(
        images,
        known,
        seed,
        method,
        labels,
        *scores,
        alone,
        broken,
        decay,
        round(tried[decay].cost, 5),
        took,
        *stamp(),
    )


def table_of(rows: list[Row]) -> str:
    """Format means over seeds and half the range as Markdown."""
    lines = [
        "| photos | known | loss | labels | test mAP | added classes | classes implying them | network alone | seeds |",
        "|---" * 9 + "|",
    ]
    groups: dict[tuple[int, float, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.images, row.known, row.method, row.labels), []).append(row)
    for (images, known, method, labels), same in groups.items():
        scores = (
            shown([getattr(row, name) for row in same]) for name in ("map", "parents", "children", "alone")
        )
        lines.append(
            f"| {images:,} | {known:.0%} | {method} | {labels} | {' | '.join(scores)} | {len(same)} |"
        )
    return "\n".join(["Mean over seeds ± half the range.\n", *lines])


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--known", type=float, default=0.1)
    asked.add_argument("--images", type=int, default=3_000, help="training photos")
    asked.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    asked.add_argument("--cache", help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/coherent-loss.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table_of(read(args.table, Row)))
        return
    data, rows = prepare(args.cache), read(args.out, Row)
    for seed in args.seeds:
        for method, labels in ARMS:
            key = (args.images, args.known, seed, method, labels)
            if any((row.images, row.known, row.seed, row.method, row.labels) == key for row in rows):
                continue
            rows.append(compute(data, args.images, args.known, seed, method, labels, rows))
            write(args.out, rows)
            print(rows[-1], flush=True)
    print(table_of(rows))


if __name__ == "__main__":
    main()
