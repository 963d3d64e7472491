r"""Measure the benefit of captions of several qualities: drawn scenes, 10 % of the labels known.

    python benchmarks/captioned_scenes.py --out benchmarks/results/captioned-scenes.csv

A caption names each present class with probability 1/2 ("a picture with a cat and a tree"). `half missing`: every
second scene has none. `half wrong`: every second scene has that of another scene. `shuffled`: all have. Scored as in
`evidence.py`: mAP of the image-only recogniser on test scenes, and mAP on unknown training labels.
"""

import argparse
from pathlib import Path

from evidence import EMBEDDER, Cell, Row, resolved, table
from out_of_the_box import collection
from rows import read, stamp, write

from partlabel.data.text_features import text_features
from partlabel.demo.scenes.captions import QUALITIES, captions, of_quality
from partlabel.selection.candidates import Rule
from partlabel.selection.search import search

WITHOUT = ("bce", "soft_sst", "no captions")


def main() -> None:
    """Compute the rows that are not there yet."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=1_200)
    asked.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    asked.add_argument(
        "--embedder", default=EMBEDDER, help="of the captions; `auto`: the best that is installed"
    )
    asked.add_argument("--cache", help="folder of the feature cache and of the scenes")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/captioned-scenes.csv"))
    args = asked.parse_args()
    given, rows, embedder = collection("scenes", args.cache), read(args.out, Row), resolved(args.embedder)
    for seed in args.seeds:
        none = text_features([], given.table.classes, "none")
        cell = Cell(given, none, embedder, args.images, 0.1, seed)
        written = captions(given.table.labels[cell.rows], given.table.classes, seed)
        for arm in (*WITHOUT, *QUALITIES):
            key = args.images, 0.1, seed, arm, "covariance", embedder if arm in QUALITIES else ""
            if key in {row.key for row in rows}:
                continue
            text = None
            if arm in QUALITIES:
                texts = of_quality(written, arm, seed)
                text = text_features(texts, given.table.classes, embedder, args.cache)
            data = cell.training_set(text)
            rule = Rule(arm if arm in ("bce", "soft_sst") else "evidence")
            found = search(data, (rule,), ("covariance",))
            row = Row(
                *key,
                round(given.test_map(found.model), 3),
                *cell.on_unknown(data, found),
                float(f"{found.winner.weight_decay:.4g}"),
                round(found.winner.cost, 5),
                round(found.seconds, 1),
                *stamp(),
            )
            rows.append(row)
            print(row, flush=True)
            write(args.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
