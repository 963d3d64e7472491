"""The verb `hide`: labels are made unknown on purpose."""

from pathlib import Path
from typing import Any

from partlabel.cli.commands._shared import read_table
from partlabel.core.labels import Absent


def hide(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    part: str | None = None,
    seed: int = 0,
    out: Path = Path("hidden.csv"),
    truth: Path | None = None,
    *,
    format: dict[str, Any],
    scheme: str = "uniform",
    **options: Any,
) -> None:
    """Hide known labels, as benchmarks do.

    Args:
        table: Label table, in any format that `train` reads.
        images: Image folder; where it is given, every image must be there.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        part: Hide in this part of the split alone, such as train; everywhere if none.
        seed: Of the draw.
        out: Table to write, .csv or .parquet.
        truth: Also write the table as it was.
        format: Of the table.
        scheme: Which labels are hidden.
        **options: What the scheme takes, such as known.
    """
    whole = read_table(table, images, absent, format)
    hidden = whole.hide(scheme, part=part, seed=seed, **options)
    hidden.save(out)
    print(f"{out}: {hidden.known:,} of {whole.known:,} known labels kept")
    if truth:
        whole.save(truth)
        print(f"{truth}: the truth")
