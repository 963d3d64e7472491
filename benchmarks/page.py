"""The tables of `docs/results.md`, in Markdown, from results that `partlabel bench` left.

python benchmarks/page.py benchmarks/results/bench-coco18.parquet --baseline linear
"""

import argparse

import polars as pl

from partlabel.bench import pages


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--baseline", default="linear")
    parser.add_argument("--arms", nargs="+", help="those to show; all if none")
    parser.add_argument("--known", nargs="+", type=float, help="those to show; all if none")
    parser.add_argument("--score", default="map", help="a column of the results")
    args = parser.parse_args()
    results = pl.read_parquet(args.results)
    if args.arms:
        results = results.filter(pl.col("arm").is_in([*args.arms, args.baseline]))
    if args.known:
        results = results.filter(pl.col("known").is_in(args.known))
    print(pages.markdown(results, args.baseline, args.score))


if __name__ == "__main__":
    main()
