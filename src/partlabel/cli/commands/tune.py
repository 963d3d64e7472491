"""Command `tune`: find a decision threshold for every class, and calibrate the probabilities."""

from typing import Literal

from partlabel.cli.commands._calibrating import CalibrationOptions
from partlabel.cli.commands._command import command
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._reading import RunOptions


@command("Learn", with_model=True)
def tune(
    data: RunOptions,
    *,
    aim: Literal["f1", "precision", "recall"] = "f1",
    at: float = 0.9,
    calibrating: CalibrationOptions,
    shrink: float = 5.0,
    folds: int = 5,
    seed: int = 0,
    inference: InferenceOptions,
) -> None:
    """Find a decision threshold for every class, and calibrate the probabilities.

    Args:
        data: Run and label table.
        run: Run folder; `tuning.json` is written there.
        table: Label table of images that were not trained on; default: the table of the run. If a given table has a
            split, its part `val` is used. Of the run's own table, the part `train` is used if training kept
            out-of-fold predictions for it.
        aim: Quantity that the thresholds maximise: F1; `precision`: the recall at a precision of at least `at`;
            `recall`: the precision at a recall of at least `at`.
        at: Precision or recall to reach, between 0 and 1.
        calibrating: Calibration set or class prevalence.
        shrink: Number of positive images at which a class's own threshold and the threshold of all classes have equal
            weight.
        folds: Number of cross-validation folds for the reported figures.
        seed: Random seed of the folds.
        inference: Loading of the model and of images.
    """
    from rich import print as show

    from partlabel.posthoc import tuning
    from partlabel.training.run_folder import Run

    tagger = inference.load(data.run)
    kept = data.table is None and tagger.out_of_fold is not None
    given = None if kept else data.chosen.read()
    found = tuning.tune(
        tagger,
        given,
        aim,
        at,
        calibration=calibrating.read_set(tagger, data),
        prevalence=calibrating.read_prevalence(tagger),
        shrink=shrink,
        folds=folds,
        seed=seed,
        **inference.loading,
    )
    found.save(Run(data.run).tuning)
    show(found)
    print(f"written to {Run(data.run).tuning}")
