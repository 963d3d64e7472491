r"""Are probabilities right on average after a review, whose questions a model chose?

    python benchmarks/asked_probabilities.py --data coco18 --images 3000 --orders class mixed
    python benchmarks/asked_probabilities.py --table benchmarks/results/asked-probabilities.csv

A simulated review (`partlabel.review.simulation`) asks until `--budget` of all cells are asked, from nothing known,
from random labels, or from an editor's labels. Then a linear head is fitted to the known labels, with out-of-fold
logits of the training photos, as `partlabel train` keeps them. The ground truth of the labels that are still unknown,
and of the test photos, judges the probabilities:

- `as the model says`: the sigmoid of the logits;
- `asked ignored`: corrected by an estimate that takes the asked labels for chosen like the others;
- `estimate`: the same, knowing which labels were asked (`tune`, if too few labels were drawn at random);
- `drawn labels`: corrected by the labels that the order drew at random (`tune`, if there are enough);
- `calibration set`: corrected by 40 photos drawn at random and labelled completely, beside the asked labels.

Finished rows are kept: a killed run continues.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import probabilities
import rows
import torch

import review
from partlabel import LabelTable
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.data.tables import hiding
from partlabel.methods.bce import BCE
from partlabel.priors.correcting import correct
from partlabel.priors.correction import CalibrationSet, Correction
from partlabel.priors.reviewed import Reviewed
from partlabel.review import simulated_models, simulation
from partlabel.review.simulation import Given, Round
from partlabel.selection.cross_validation import Problem, folds, predict
from partlabel.training.config import TrainingConfig

STEPS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12)
"""Shares of all cells after which the head of the review is fitted again."""
HEAD, DECAY, FOLDS, DRAWN = "covariance", 0.01, 3, 40
ARMS = ("as the model says", "asked ignored", "estimate", "drawn labels", "calibration set")


@dataclass
class Row:
    """Probabilities of one correction, judged on unknown labels or on test photos."""

    data: str
    images: int
    start: str
    order: str
    seed: int
    asked: int
    drawn: int
    what: str
    on: str
    ratio: float
    ece: float
    filled: int
    right: float
    low: float
    commit: str
    versions: str


def main() -> None:
    """Run the reviews that are not finished yet, or print the table of those that are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="coco18")
    parser.add_argument("--images", type=int, default=3000, help="training photos, a sample of each seed")
    parser.add_argument(
        "--starts", nargs="+", default=["0", "0.1", "editor"], help="share of known labels, or editor"
    )
    parser.add_argument("--orders", nargs="+", default=["class", "mixed"])
    parser.add_argument("--budget", type=float, default=0.05, help="share of all cells that are asked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--cache", help="folder of the feature cache")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/asked-probabilities.csv"))
    parser.add_argument("--table", type=Path, help="rows to print as a table")
    args = parser.parse_args()
    if args.table:
        print("\n".join(table(rows.read(args.table, Row))))
        return
    done = rows.read(args.out, Row)
    for row in measured(args, {(r.data, r.images, r.start, r.order, r.seed) for r in done}):
        done += row
        rows.write(args.out, done)


def measured(args: argparse.Namespace, done: set) -> Iterator[list[Row]]:
    """Review and judge what is not done."""
    root = Path(os.environ["PARTLABEL_DATA"]) / args.data
    whole = simulation.prepare(LabelTable.read(root / "labels.csv", images=root), HEAD, args.cache)
    commit, versions = rows.stamp()
    for seed in args.seeds:
        given = review.sample(whole, args.images, seed, HEAD)
        for start in args.starts:
            for order in args.orders:
                key = (args.data, len(given.truth), start, order, seed)
                if key in done:
                    continue
                before = started(given, start, seed)
                end = reviewed(given, order, seed, before, args.budget)
                numbers = (int(((before == UNKNOWN) & (end.labels != UNKNOWN)).sum()), int(end.drawn.sum()))
                found = [
                    Row(*key, *numbers, each["what"], each["on"], *of_row(each), commit, versions)
                    for each in judged(given, before, end, seed)
                ]
                print(*key, *(f"{r.what}, {r.on}: {r.ratio}" for r in found), sep="\n  ", flush=True)
                yield found


def started(given: Given, start: str, seed: int) -> np.ndarray:
    """Return the labels that are known before the review."""
    if start == "editor":
        return hiding.hide_labels(given.truth, "editor", seed=seed)
    if float(start) == 0:
        return np.full(given.truth.shape, UNKNOWN, np.int8)
    return hiding.hide_labels(given.truth, "uniform", known=float(start), seed=seed)


def reviewed(given: Given, order: str, seed: int, before: np.ndarray, budget: float) -> Round:
    """Return what is known after the last round."""
    shares = [0.0, *(share for share in STEPS if share < budget), budget]
    batches = np.diff([round(share * before.size) for share in shares]).tolist()
    config = TrainingConfig(weight_decay=DECAY)
    return [*simulation.rounds_of(given, order, seed, before, batches, HEAD, config)][-1]


def judged(given: Given, before: np.ndarray, end: Round, seed: int) -> Iterator[dict]:
    """Judge the probabilities of each correction."""
    labels = end.labels
    scores, test = scored(given, labels, seed)
    asked = Reviewed((before == UNKNOWN) & (labels != UNKNOWN), end.drawn)
    blank = labels == UNKNOWN
    sheet = np.sort(np.random.default_rng(1000 + seed).permutation(len(labels))[:DRAWN])
    complete = CalibrationSet(scores[sheet], scores[sheet], given.truth[sheet], blank[sheet])
    arms: dict[str, Correction | None] = {
        "as the model says": None,
        "asked ignored": correct(scores, scores, labels),
        "estimate": correct(scores, scores, labels, reviewed=asked._replace(drawn=asked.drawn & False)),
        "calibration set": correct(scores, scores, labels, complete, reviewed=asked),
    }
    drawn = correct(scores, scores, labels, reviewed=asked)
    if drawn.source == "drawn labels":
        arms["drawn labels"] = drawn
    for name in ARMS:
        if name in arms:
            yield from probabilities.judge(
                name, arms[name], scores, test, given.truth, given.test_labels, blank
            )


def scored(given: Given, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute out-of-fold logits of the training photos, and logits of the test photos by a head fitted to all."""
    known = torch.from_numpy(np.array(labels))
    head = simulated_models.new_head(given.train, labels, given.classes, HEAD, seed)
    model = BCE(torch.nn.Identity(), head)
    decay = simulation.weight_decay(DECAY, float((known != UNKNOWN).float().mean()))
    problem = Problem(given.train, known, given.design, decay, folds(known, FOLDS, seed))
    model.fit_full_batch(problem)
    return problem.cross_fit(Targets.known(known)).numpy(), predict(model, given.test).numpy()


def of_row(found: dict) -> tuple[float, float, int, float, float]:
    """Return the figures of a row; how many labels `fill --precision 0.95` fills in, for unknown labels alone."""
    nan = float("nan")
    filled = (found.get("filled 0.95", 0), found.get("right 0.95", nan), found.get("low 0.95", nan))
    return (round(found["ratio"], 4), round(found["ece"], 5), filled[0], *(round(x, 4) for x in filled[1:]))


def table(done: list[Row]) -> list[str]:
    """Format mean probability over true share, of unknown labels / of test photos, and the calibration error."""
    lines = [f"| collection | photos | known before | order | seeds | {' | '.join(ARMS)} |"]
    lines.append("|---|---:|---|---|---:|" + "---|" * len(ARMS))
    for key in dict.fromkeys((r.data, r.images, r.start, r.order) for r in done):
        own = [r for r in done if (r.data, r.images, r.start, r.order) == key]
        seeds = len({r.seed for r in own})
        cells = [cell([r for r in own if r.what == arm], seeds) for arm in ARMS]
        lines.append(f"| {key[0]} | {key[1]:,} | {key[2]} | `{key[3]}` | {seeds} | {' | '.join(cells)} |")
    lines += ["", "| | results with 20 labels filled in | right | least | below the interval |"]
    lines.append("|---|---:|---:|---:|---:|")
    for arm in ARMS:
        filled = [r for r in done if r.what == arm and r.on == "unknown labels" and r.filled >= 20]
        if filled:
            right, below = [r.right for r in filled], sum(r.right < r.low for r in filled)
            lines.append(f"| {arm} | {len(filled)} | {np.mean(right):.2f} | {min(right):.2f} | {below} |")
    return lines


def cell(found: list[Row], seeds: int) -> str:
    """Format the figures of one correction: means over the seeds, and the range of the first; and fewer seeds."""
    if not found:
        return ""
    unknown, test = ([r for r in found if r.on == on] for on in ("unknown labels", "test images"))
    ratios = [r.ratio for r in unknown]
    spread = f"{np.mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    fewer = "" if len(unknown) == seeds else f" (seeds: {len(unknown)})"
    return (
        f"{spread} / {np.mean([r.ratio for r in test]):.2f}, {np.mean([r.ece for r in unknown]):.3f}{fewer}"
    )


if __name__ == "__main__":
    main()
