r"""Train the recipes on MS-COCO with CLIP ResNet-101 at 448 pixels, beside the published figures.

    python benchmarks/published_clip.py --coco COCO --out runs/published-clip
    python benchmarks/published_clip.py --out runs/published-clip --table

COCO holds `annotations/`, `train2014/` and `val2014/`. It needs a GPU, a network for the weights of CLIP, and
`pip install 'partlabel[clip]'`; DualCoOp's authors took 16 GPU hours for one share. Finished runs are not
trained again, and one that was interrupted is resumed. It was not run: this project is tested on CPUs, without a
network.
"""

import argparse
from pathlib import Path

from partlabel.cli.main import main as partlabel
from partlabel.evaluation.result import Evaluation

PUBLISHED = {
    "dualcoop-coco": (78.7, 80.9, 81.7, 82.0, 82.5, 82.7, 82.8, 83.0, 83.1),
    "dualcoop-pp-coco": None,
    "positive-coop-coco": (79.8, 82.1, 83.0, 83.5, 83.7, 83.9, 84.0, 84.2, 84.4),
    "sarl-coco": None,
}
"""Published mAP at each of `SHARES`; None where the row could not be read."""
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def run(recipe: str, known: float, coco: Path, out: Path, more: list[str]) -> None:
    """Train and evaluate one recipe at one share of known labels, unless that is done.

    Args:
        recipe: Name of the recipe.
        known: Share of labels that stay known.
        coco: Folder of the collection.
        out: Run folder.
        more: Further options of `partlabel train`.
    """
    if (out / "evaluation.json").is_file():
        return
    train, val = (coco / f"annotations/instances_{part}2014.json" for part in ("train", "val"))
    images = ["--images", str(coco / "train2014")]
    options = ["--config", recipe, "--known", str(known), "--resume", "auto", "--out", str(out), *more]
    if not (out / "model.safetensors").is_file():
        check(["train", str(train), *images, *options])
    check(["evaluate", str(out), str(val), "--images", str(coco / "val2014"), "--absent", "negative"])


def check(command: list[str]) -> None:
    """Run a command of partlabel; end with its exit status if it fails."""
    if status := partlabel(command):
        raise SystemExit(status)


def table(out: Path, recipes: list[str], shares: list[float]) -> str:
    """Format our mAP with the published one in parentheses as Markdown; `-` for what is not there."""
    lines = [
        f"| recipe | {' | '.join(f'{share:.0%}' for share in shares)} |",
        "|---" * (1 + len(shares)) + "|",
    ]
    for recipe in recipes:
        row = dict(zip(SHARES, PUBLISHED[recipe] or (), strict=False))
        cells = [f"{ours(out / recipe / f'{share:.1f}')} ({row.get(share, '-')})" for share in shares]
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ours(folder: Path) -> str:
    """Return the interpolated mAP of a run in percent."""
    found = folder / "evaluation.json"
    return f"{100 * Evaluation.load(found).numbers['mAP interpolated']:.1f}" if found.is_file() else "-"


def main() -> None:
    """Train what is missing, and print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--coco", type=Path, help="folder of the collection")
    asked.add_argument("--out", type=Path, default=Path("runs/published-clip"))
    asked.add_argument("--recipes", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    asked.add_argument("--known", nargs="+", type=float, default=list(SHARES))
    asked.add_argument(
        "--train", nargs=argparse.REMAINDER, default=[], help="further options of partlabel train"
    )
    asked.add_argument("--table", action="store_true", help="print the table, and do nothing else")
    args = asked.parse_args()
    if not args.table and args.coco is None:
        asked.error("where is MS-COCO? give --coco FOLDER, with annotations, train2014 and val2014")
    for recipe in () if args.table else args.recipes:
        for known in args.known:
            run(recipe, known, args.coco, args.out / recipe / f"{known:.1f}", args.train)
    print(table(args.out, args.recipes, args.known))


if __name__ == "__main__":
    main()
