r"""Measure rules between classes: test mAP, violations, and answers that rules save in a simulated review.

    PARTLABEL_DATA=... python benchmarks/rules.py --out benchmarks/results/rules.csv
    python benchmarks/rules.py --table benchmarks/results/rules.csv

coco18 with four added classes that other classes imply: `vehicle`, `street sign`, `animal` and `pet`, each present
where one of its classes is. Labels are hidden uniformly, those of the added classes too. Every arm chooses its weight
decay by its own cross-validation, in which labels that follow from rules are learned from and do not count, as in
`partlabel train`, and is scored once on the test photos.

none       partial BCE on the known labels
coherent   the same network, predictions made coherent
closure    trained on the known labels and on what follows from them
both       closure, predictions made coherent

Of `review`: with the network of the arm `none`, questions in the order `surest` or `uncertain` until a tenth of the
unknown labels is settled, with and without rules. The truth answers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from out_of_the_box import Images, collection, training_set
from rows import options, read, stamp, training_rows, write

from partlabel import LabelTable
from partlabel.core.column_rules import ColumnRules
from partlabel.core.labels import UNKNOWN
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.closure import close
from partlabel.evaluation import metrics
from partlabel.evaluation.violations import count_violations
from partlabel.nn.coherence import Coherence
from partlabel.review import ordering
from partlabel.selection.candidates import Rule
from partlabel.selection.cross_validation import predict
from partlabel.selection.search import fold_count, search

PARENTS = {
    "vehicle": ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    "street sign": ("traffic light", "stop sign"),
    "animal": ("bird", "cat", "dog", "horse"),
    "pet": ("cat", "dog"),
}
RULES = Rules(
    (
        *(ClassRule("implies", (name, parent)) for parent, names in PARENTS.items() for name in names),
        ClassRule("implies", ("pet", "animal")),
    )
)
SETTLED = 0.1
"""Share of the unknown labels that a simulated review settles."""
HEAD = "covariance"
ORDERS = {
    "surest": lambda probability: 1 - probability,
    "uncertain": lambda probability: np.abs(probability - 0.5),
}
"""Keys of the questions by order; the smallest is asked first."""


@dataclass(frozen=True)
class Row:
    """One arm: `map` of all classes, of the added ones, and of those that imply them, in percent; or answers."""

    images: int
    known: float
    seed: int
    arm: str
    map: float
    parents: float
    children: float
    violations: int
    followed: int
    settled: int
    answers: int
    weight_decay: float
    seconds: float
    commit: str
    versions: str


def with_parents(table: LabelTable) -> LabelTable:
    """Add the labels of the added classes to complete labels."""
    number = {name: at for at, name in enumerate(table.classes)}
    columns = [table.labels[:, [number[name] for name in names]].max(1) for names in PARENTS.values()]
    labels = np.concatenate([table.labels, np.stack(columns, 1)], 1)
    return replace(table, classes=(*table.classes, *PARENTS), labels=labels)


def compute(given: Images, images: int, known: float, seed: int) -> Iterator[Row]:
    """Compute the rows of a seed."""
    rows = training_rows(given.table, images, seed)
    hidden = given.table[rows].with_split(None).hide("uniform", known=known, seed=seed)
    rules = ColumnRules(RULES, hidden.classes)
    coherence = Coherence(rules)
    closure = close(hidden, RULES)
    truth = given.table.labels[rows]
    assert not closure.conflicts
    assert (closure.table.labels == np.where(closure.table.labels == UNKNOWN, UNKNOWN, truth)).all()
    test, labels = given.test()
    for arm, table in (("none", hidden), ("closure", closure.table)):
        began = time.monotonic()
        maps = given.features[torch.from_numpy(rows)]
        data = training_set(table, maps, fold_count(len(table)), seed)
        found = search(data, (Rule("bce"),), (HEAD,))
        logits = predict(found.model, test[..., None, None])
        followed = int(sum(closure.added.values())) if arm == "closure" else 0
        for name, final in (
            (arm, logits),
            ({"none": "coherent", "closure": "both"}[arm], coherence.logits(logits)),
        ):
            evaluation = metrics.evaluate(final.numpy(), labels, table.classes)
            ap, at = 100 * evaluation.ap, len(table.classes) - len(PARENTS)
            implying = [
                n for n, c in enumerate(table.classes[:at]) if any(c in of for of in PARENTS.values())
            ]
            broken = count_violations(final.sigmoid().numpy(), rules).total
            every, added, lower = (
                round(float(ap[part].mean()), 3) for part in (slice(None), slice(at, None), implying)
            )
            decay = float(f"{found.winner.weight_decay:.4g}")
            took = round(time.monotonic() - began, 1)
            yield Row(
                images, known, seed, name, every, added, lower, broken, followed, 0, 0, decay, took, *stamp()
            )
        if arm == "none":
            yield from review(hidden, truth, rules, torch.from_numpy(found.logits), seed, images, known)


def review(
    table: LabelTable,
    truth: np.ndarray,
    rules: ColumnRules,
    logits: torch.Tensor,
    seed: int,
    images: int,
    known: float,
) -> Iterator[Row]:
    """Count the answers that settle a share of the unknown labels, with and without rules."""
    goal = round(SETTLED * table.unknown)
    for order in ORDERS:
        for name, of in (("without", None), ("with", rules)):
            began = time.monotonic()
            answers, settled = simulate(table.labels, truth, of, logits.sigmoid().numpy(), order, goal)
            nothing = (float("nan"),) * 3
            took = round(time.monotonic() - began, 1)
            yield Row(
                images, known, seed, f"review, {order}, {name} rules", *nothing, 0, 0, settled, answers, 0.0, took,
                *stamp(),
            )  # fmt: skip


def simulate(
    start: np.ndarray,
    truth: np.ndarray,
    rules: ColumnRules | None,
    probability: np.ndarray,
    order: str,
    goal: int,
) -> tuple[int, int]:
    """Ask in an order until that number of labels is settled; return the numbers of answers and of settled labels.

    What the known labels imply counts as settled without an answer.
    """
    labels = start.copy() if rules is None else rules.conclude(start).labels
    if rules is not None:
        alone = torch.from_numpy(np.ascontiguousarray(probability, np.float32))
        probability = Coherence(rules).with_known(alone, torch.from_numpy(labels.copy())).numpy()
    blank = labels == UNKNOWN
    settled, answers = int((start == UNKNOWN).sum() - blank.sum()), 0
    key = ORDERS[order](probability)
    for place in ordering.in_order(key, blank).tolist():
        row, column = divmod(place, labels.shape[1])
        if settled >= goal:
            break
        if labels[row, column] != UNKNOWN:
            continue
        before = int((labels[row] == UNKNOWN).sum())
        labels[row, column] = truth[row, column]
        if rules is not None:
            labels[row] = rules.conclude(labels[[row]]).labels[0]
        answers += 1
        settled += before - int((labels[row] == UNKNOWN).sum())
    assert (labels[labels != UNKNOWN] == truth[labels != UNKNOWN]).all()
    return answers, settled


def table_of(rows: list[Row]) -> str:
    """Format means over seeds and half the range as Markdown."""
    groups: dict[tuple[int, float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.images, row.known, row.arm), []).append(row)
    scored = [
        "| photos | known | arm | test mAP | added classes | classes that imply them | violations | seeds |",
        "|---" * 8 + "|",
    ]
    asked = [
        "| photos | known | order | answers without rules | answers with rules | saved | seeds |",
        "|---" * 7 + "|",
    ]
    for (images, known, arm), same in groups.items():
        if not arm.startswith("review"):
            scores = " | ".join(
                shown([getattr(row, name) for row in same]) for name in ("map", "parents", "children")
            )
            broken = np.mean([row.violations for row in same])
            scored.append(f"| {images:,} | {known:.0%} | {arm} | {scores} | {broken:,.0f} | {len(same)} |")
        elif arm.endswith("without rules"):
            helped = groups[images, known, arm.replace("without", "with")]
            counts = [float(np.mean([row.answers for row in each])) for each in (same, helped)]
            saved = 1 - counts[1] / counts[0]
            numbers = f"{counts[0]:,.0f} | {counts[1]:,.0f} | {saved:.1%}"
            asked.append(f"| {images:,} | {known:.0%} | {arm.split(', ')[1]} | {numbers} | {len(same)} |")
    return "\n".join(["Mean over seeds ± half the range.\n", *scored, "", *asked])


def shown(values: list[float]) -> str:
    """Format the mean, and half the range."""
    return f"{np.mean(values):.2f} ± {np.ptp(values) / 2:.2f}"


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    args = options(__doc__, "rules.csv", 12_000).parse_args()
    if args.table:
        print(table_of(read(args.table, Row)))
        return
    given = collection("coco18", args.cache)
    given = given._replace(table=with_parents(given.table))
    rows = read(args.out, Row)
    for seed in args.seeds:
        if any((row.images, row.known, row.seed) == (args.images, args.known, seed) for row in rows):
            continue
        rows += compute(given, args.images, args.known, seed)
        write(args.out, rows)
        print(f"seed {seed}", flush=True)
    print(table_of(rows))


if __name__ == "__main__":
    main()
