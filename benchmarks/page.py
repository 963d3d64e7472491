"""The tables of `docs/results.md`, in Markdown, from results that `partlabel bench` left.

python benchmarks/page.py benchmarks/results/bench-coco18.parquet --baseline linear --known 0.1
"""

import argparse

import polars as pl

from partlabel.bench import pages, summary


def main() -> None:
    """Print them, without seconds and megabytes, which on a shared machine say little."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--baseline", default="linear")
    parser.add_argument("--arms", nargs="+", help="those to show beside the baseline; all if none")
    parser.add_argument("--known", nargs="+", type=float, help="those to show; all if none")
    args = parser.parse_args()
    results = pl.read_parquet(args.results)
    if args.arms:
        results = results.filter(pl.col("arm").is_in([*args.arms, args.baseline]))
    if args.known:
        results = results.filter(pl.col("known").is_in(args.known))
    for (protocol,), rows in results.group_by("protocol", maintain_order=True):
        header, lines = pages.formatted_cells(summary.rows(rows, args.baseline), args.baseline)
        print(f"\n{protocol}\n")
        for line in (header[:-2], ["---", *["---:"] * (len(header) - 3)], *(line[:-2] for line in lines)):
            print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
