"""The verbs `tune` and `export`: what comes after training, before a tagger is put to use."""

from pathlib import Path
from typing import Any, Literal

from partlabel.cli.commands._shared import calibration_set, prevalence_of, run_table
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
    """Find a threshold for every class, and make probabilities as sure as they are right.

    Args:
        run: Run folder; `tuning.json` is written there.
        table: Label table of images that were not trained on; the one the run was trained on if none. Of a table with a
            split, its part `val` is used; of the run's own the part `train`, where training kept what models say of its
            images that did not see them.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        aim: What thresholds are to be best for: the largest F1, or the most of the other at a precision or a recall.
        at: The precision or recall aimed at.
        calibration: Calibration set: a table of about 40 images that were drawn at random and labelled completely, or
            one whose column `calibration` is 1 for those, as `review --export` writes it.
        prevalence: How common classes are, where there is no calibration set: the mean number of present classes per
            image, or a CSV file with the columns class,share.
        shrink: Images known to show a class from which on its own threshold counts for half, against that of all.
        folds: For the figures: each share of the images is judged by what was found on the others.
        seed: Of the shares.
        batch_size: Images at a time.
        workers: Processes that read images.
        trust: Import the model's method and head also from the working directory and its own folder; without it, only
            installed packages are.
        format: Of the table.
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


def export(
    run: Path,
    to: Literal["hub", "onnx", "torch"] = "onnx",
    out: Path | None = None,
    with_training_state: bool = False,
    trust: bool = False,
) -> None:
    """Write a tagger for use elsewhere: a folder for the Hugging Face hub, ONNX, or torch.export.

    Args:
        run: Run folder.
        to: `hub`: a folder with weights, description and a model card; `onnx`: a graph for any ONNX runtime; `torch`: a
            program of torch.export.
        out: Folder (hub) or file (.onnx, .pt2) to write; model, model.onnx or model.pt2 if none.
        with_training_state: Keep what prediction does not need, such as SST's memory and pair head (hub alone).
        trust: Import the model's method and head also from the working directory and its own folder; without it, only
            installed packages are.
    """
    from partlabel.cli.parser import UsageError
    from partlabel.deploy import graph_export
    from partlabel.tagger import Tagger

    if with_training_state and to != "hub":
        raise UsageError(
            f"--with-training-state: a graph predicts and does not train; leave it out with --to {to}"
        )
    tagger = Tagger.load(run, trust)
    if to == "hub":
        folder = tagger.save_pretrained(out or Path("model"), with_training_state, run)
        print(f"model in {folder}; fill in licence and data in {folder / 'README.md'}")
        return
    write, default = {
        "onnx": (graph_export.to_onnx, Path("model.onnx")),
        "torch": (graph_export.to_torch, Path("model.pt2")),
    }[to]
    path = write(tagger, out or default)
    side = tagger.view[0]
    print(
        f"{path}: image [batch, 3, {side}, {side}] to logits and probability of {len(tagger.classes):,} classes"
    )
