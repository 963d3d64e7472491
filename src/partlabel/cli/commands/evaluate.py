"""Command `evaluate`: evaluate a tagger against the known labels of a table."""

from pathlib import Path
from typing import Any

from partlabel.cli.commands._reading import run_table
from partlabel.cli.commands._saying import print_headline
from partlabel.core.labels import Absent


def evaluate(
    run: Path,
    table: Path | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    split: str = "test",
    batch_size: int = 64,
    workers: int = 0,
    trust: bool = False,
    *,
    format: dict[str, Any],
) -> None:
    """Evaluate a tagger against the known labels of a table.

    Args:
        run: Run folder.
        table: Label table; default: the one the run was trained on.
        images: Image folder.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        split: Part of the split to evaluate on; all images if the table has no split.
        batch_size: Images per batch.
        workers: Processes that read images; 0 reads them in the main process.
        trust: Also import the model's method and head from the working directory and from its own folder; default: from
            installed packages only.
        format: Format of the table.
    """
    from rich import print as show

    from partlabel.data.tables.splits import TRAIN, VAL, aligned
    from partlabel.evaluation import metrics
    from partlabel.evaluation.headline import HeadlineKind, headline
    from partlabel.tagger import Tagger

    tagger = Tagger.load(run, trust)
    whole = run_table(run, table, images, absent, format)
    part = aligned(whole.part(split) if whole.split else whole, tagger.classes)
    logits = tagger.scores(part, batch_size, workers)
    evaluation = metrics.evaluate(logits, part.labels, tagger.classes)
    evaluation.save(run / "evaluation.json")
    show(evaluation)
    if not whole.split or split != TRAIN:  # no headline for training images
        kind: HeadlineKind = "validation" if whole.split and split == VAL else "test"
        print_headline(headline(kind, logits, part.labels, tagger.classes))
    print(f"written to {run / 'evaluation.json'}")
