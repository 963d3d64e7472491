"""The table of a results file of `transfer.py`, in Markdown: mean and standard deviation over seeds.

python benchmarks/table.py benchmarks/results/transfer.csv
"""

import json
import sys

import polars as pl

NAMES = {
    "linear": "linear head, tuned",
    "linear_vote": "linear head, vote in prediction",
    "linear_sst": "linear head, `soft_sst`",
    "trunk": "`covariance` trunk, no transfer",
    "vote": "trunk, vote in prediction alone",
    "soft_sst": "trunk, `soft_sst`",
    "ssgrl": "`ssgrl` trunk, no transfer",
    "ssgrl_glove": "`ssgrl` trunk, GloVe vectors",
    "sst": "`sst`, the paper's thresholds",
    "sst_precision": "`sst`, thresholds at precision 0.8",
    "sst_empty_slots": "... `count_empty_slots`",
    "sst_pairs_absent": "... `unknown_pairs_are_absent`",
    "sst_known_once": "... not `known_in_each_term`",
}


def spread(values: pl.Series) -> str:
    """Mean and standard deviation in percent; one value alone as it is, and a dash for none."""
    if values.is_empty():
        return "–"
    mean = f"{100 * values.mean():.1f}"
    return f"{mean} ± {100 * values.std():.1f}" if len(values) > 1 else mean


def table(rows: pl.DataFrame, column: str = "mAP") -> str:
    """A line per method, a column per share of known labels."""
    shares = sorted(rows["known"].unique())
    lines = [
        "| | " + " | ".join(f"{share:.0%}" for share in shares) + " | mean |",
        "|---" * (len(shares) + 2) + "|",
    ]
    for arm in [name for name in NAMES if name in set(rows["arm"])]:
        of = rows.filter(pl.col("arm") == arm)
        cells = [spread(of.filter(pl.col("known") == share)[column]) for share in shares]
        mean = "–" if "–" in cells else f"{100 * of[column].mean():.1f}"
        lines.append(f"| {NAMES[arm]} | " + " | ".join([*cells, mean]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print a table per data set and quantity."""
    results = pl.read_csv(sys.argv[1])
    scores = pl.DataFrame([json.loads(text) for text in results["scores"]], infer_schema_length=None)
    results = results.hstack(scores)
    for data in results["data"].unique(maintain_order=True):
        rows = results.filter(pl.col("data") == data)
        seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
        print(f"\n**{data}**, test mAP, seeds {seeds}\n\n{table(rows)}")
        for column in ("blanks mAP", "blanks mAP, known labels voting"):
            print(f"\n{data}, {column}\n\n{table(rows, column)}")
        votes = [
            f"{kind} {what}"
            for kind in ("intra", "cross")
            for what in ("count", "precision", "recall", "count absent", "precision absent")
        ]
        for column in (*votes, "vote worth"):
            if column in rows.columns:
                voted = (
                    rows.drop_nulls(column)
                    .group_by("arm", "known")
                    .agg(pl.col(column).mean())
                    .sort("arm", "known")
                )
                print(
                    f"\n{data}, {column}: "
                    + ", ".join(f"{a} {k:.0%} {v:.3g}" for a, k, v in voted.iter_rows())
                )


if __name__ == "__main__":
    main()
