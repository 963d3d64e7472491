"""Command `hide`: make known labels unknown, for benchmarks."""

from pathlib import Path
from typing import Any

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TableOptions
from partlabel.cli.commands._saying import say_texts


@command("Judge")
def hide(
    data: TableOptions,
    part: str | None = None,
    seed: int = 0,
    out: Path = Path("hidden.csv"),
    truth: Path | None = None,
    *,
    scheme: str = "uniform",
    **options: Any,
) -> None:
    """Hide known labels, for benchmarks.

    Args:
        data: Label table.
        table: Label table, in any format that `train` reads.
        images: Image folder; if given, all images must exist.
        part: Part of the split in which labels are hidden, such as train; by default all.
        seed: Random seed.
        out: Table to write, .csv or .parquet.
        truth: File for the unchanged table, the ground truth.
        scheme: Rule that selects the labels to hide.
        **options: Options of the scheme, such as known.
    """
    whole = data.read()
    hidden = whole.hide(scheme, part=part, seed=seed, **options)
    hidden.save(out)
    print(f"{out}: {hidden.known:,} of {whole.known:,} known labels kept")
    say_texts(hidden)
    if truth:
        whole.save(truth)
        print(f"{truth}: ground truth")
