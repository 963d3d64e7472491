"""Command `tune`: find a decision threshold for every class, and calibrate the probabilities."""

from pathlib import Path
from typing import Any, Literal

from partlabel.cli.commands._calibrating import calibration_set, prevalence_of
from partlabel.cli.commands._reading import run_table
from partlabel.core.labels import Absent


def tune(
    run: Path,
    table: Path | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    aim: Literal["f1", "precision", "recall"] = "f1",
    at: float = 0.9,
    calibration: Path | None = None,
    prevalence: str | None = None,
    shrink: float = 5.0,
    folds: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 0,
    trust: bool = False,
    *,
    format: dict[str, Any],
) -> None:
    """Find a decision threshold for every class, and calibrate the probabilities.

    Args:
        run: Run folder; `tuning.json` is written there.
        table: Label table of images that were not trained on; default: the table of the run. If a given table has a
            split, its part `val` is used. Of the run's own table, the part `train` is used if training kept
            out-of-fold predictions for it.
        images: Image folder.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        aim: Quantity that the thresholds maximise: F1; `precision`: the recall at a precision of at least `at`;
            `recall`: the precision at a recall of at least `at`.
        at: Precision or recall to reach, between 0 and 1.
        calibration: Calibration set: a table of about 40 images that were drawn at random and labelled completely, or
            one whose column `calibration` is 1 for those, as `review --export` writes it.
        prevalence: Class prevalence, where there is no calibration set: the mean number of present classes per image,
            or a CSV file with the columns class,share.
        shrink: Number of positive images at which a class's own threshold and the threshold of all classes have equal
            weight.
        folds: Number of cross-validation folds for the reported figures.
        seed: Random seed of the folds.
        batch_size: Images per batch.
        workers: Processes that read images; 0 reads them in the main process.
        trust: Also import the model's method and head from the working directory and from its own folder; default: from
            installed packages only.
        format: Format of the table.
    """
    from rich import print as show

    from partlabel.posthoc import tuning
    from partlabel.tagger import Tagger
    from partlabel.training.run_folder import Run

    tagger = Tagger.load(run, trust)
    kept = table is None and tagger.out_of_fold is not None
    given = None if kept else run_table(run, table, images, absent, format)
    found = tuning.tune(
        tagger,
        given,
        aim,
        at,
        calibration=calibration_set(run, tagger, calibration, images),
        prevalence=prevalence_of(tagger, prevalence),
        shrink=shrink,
        folds=folds,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
    )
    found.save(Run(run).tuning)
    show(found)
    print(f"written to {Run(run).tuning}")
