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

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from out_of_the_box import Images, collection
from rows import options, read, stamp, training_rows, write
from rules import PARENTS, RULES, shown, with_parents
from torch import nn

from partlabel import LabelTable, methods
from partlabel.core.column_rules import ColumnRules
from partlabel.core.types import Batch, Progress
from partlabel.data.tables import statistics
from partlabel.data.tables.closure import close
from partlabel.evaluation import metrics
from partlabel.evaluation.violations import count_violations
from partlabel.nn import heads
from partlabel.nn.coherence import Coherence
from partlabel.selection.cross_validation import predict
from partlabel.training.class_description import describe_classes
from partlabel.training.config import TrainingConfig
from partlabel.training.optimizer import optimizer, schedule
from transfer import cost

HEAD, VAL = "covariance", 0.15
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


class Result(NamedTuple):
    """What a trained network says of validation and test photos."""

    cost: float
    logits: np.ndarray


def train(
    given: Images, method: str, labels: str, known: LabelTable, rows: np.ndarray, decay: float, seed: int
) -> Result:
    """Train one arm on the part of the known labels that is not for validation."""
    rules = ColumnRules(RULES, known.classes)
    is_val = statistics.split_stratified(known.labels, VAL, seed)
    learned = close(known, RULES).table[~is_val] if labels == "closure" else known[~is_val]
    model = build(learned, method, rules, given.features.shape[1], seed)
    step(model, given.features[rows[~is_val]], torch.from_numpy(learned.labels.copy()), decay, seed)
    judged = Coherence(rules).logits(predict(model, given.features[rows[is_val], :, None, None]))
    test, _ = given.test()
    return Result(cost(judged.numpy(), known[is_val].labels), predict(model, test[..., None, None]).numpy())


def build(learned: LabelTable, method: str, rules: ColumnRules, maps: int, seed: int) -> methods.Method:
    """Build a method on the head, with the identity as its backbone: its inputs are pooled features."""
    torch.manual_seed(seed)
    classes = replace(describe_classes(learned), rules=rules)
    return methods.get(method)(nn.Identity(), heads.get(HEAD)(maps, classes))


def step(
    model: methods.Method, features: torch.Tensor, labels: torch.Tensor, decay: float, seed: int
) -> None:
    """Train by steps, as `partlabel train` does with an optimiser `adam` and the schedule `cosine`."""
    config = TrainingConfig(lr=2e-3, weight_decay=decay, optimizer="adam", schedule="cosine", seed=seed)
    adam = optimizer(model, config)
    rate = schedule(adam, config, STEPS)
    order = torch.cat([torch.randperm(len(labels)) for _ in range(STEPS * BATCH // len(labels) + 1)])
    for number, rows in enumerate(order.split(BATCH)[:STEPS]):
        model.train()
        terms, _ = model.step(Batch(features[rows, :, None, None], labels[rows], rows), Progress(step=number))
        adam.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        adam.step()
        rate.step()


def compute(
    given: Images, images: int, known: float, seed: int, method: str, labels: str, done: list[Row]
) -> Row:
    """Compute one row; the weight decay is that of an earlier seed, if there is one."""
    began = time.monotonic()
    rows = training_rows(given.table, images, seed)
    hidden = given.table[rows].with_split(None).hide("uniform", known=known, seed=seed)
    same = (images, known, method, labels)
    chosen = [row for row in done if (row.images, row.known, row.method, row.labels) == same][:1]
    tried = {
        decay: train(given, method, labels, hidden, rows, decay, seed)
        for decay in [row.weight_decay for row in chosen] or DECAYS
    }
    decay = min(tried, key=lambda each: tried[each].cost)
    found, truth = tried[decay].logits, given.table.part("test").labels
    rules = ColumnRules(RULES, given.table.classes)
    final = Coherence(rules).logits(torch.from_numpy(found)).numpy()
    ap, at = (
        100 * metrics.evaluate(final, truth, given.table.classes).ap,
        len(given.table.classes) - len(PARENTS),
    )
    implying = [n for n, c in enumerate(given.table.classes[:at]) if any(c in of for of in PARENTS.values())]
    whole, parents, children = (
        round(float(ap[part].mean()), 3) for part in (slice(None), slice(at, None), implying)
    )
    alone = round(100 * metrics.evaluate(found, truth, given.table.classes).map, 3)
    broken = count_violations(torch.from_numpy(found).sigmoid().numpy(), rules).total
    took = round((time.monotonic() - began) / len(tried), 1)
    return Row(
        images, known, seed, method, labels, whole, parents, children, alone, broken, decay,
        round(tried[decay].cost, 5), took, *stamp(),
    )  # fmt: skip


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
    args = options(__doc__, "coherent-loss.csv", 3_000).parse_args()
    if args.table:
        print(table_of(read(args.table, Row)))
        return
    given = collection("coco18", args.cache)
    given = given._replace(table=with_parents(given.table))
    rows = read(args.out, Row)
    for seed in args.seeds:
        for method, labels in ARMS:
            key = (args.images, args.known, seed, method, labels)
            if any((row.images, row.known, row.seed, row.method, row.labels) == key for row in rows):
                continue
            rows.append(compute(given, args.images, args.known, seed, method, labels, rows))
            write(args.out, rows)
            print(rows[-1], flush=True)
    print(table_of(rows))


if __name__ == "__main__":
    main()
