"""Command `fill`: turn the unknown labels of a table into labels where the tagger is confident."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._calibrating import CalibrationOptions
from partlabel.cli.commands._command import command
from partlabel.cli.commands._engines import ONE_FILE, engine_of, results_folder, say_done
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._reading import Missing, RunOptions, TextOptions
from partlabel.cli.commands._saying import say_closure, say_texts
from partlabel.cli.commands._towers import TowerOptions
from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.tagger import Tagger


@command("Use", with_model=True)
def fill(
    data: RunOptions,
    *,
    accept: float | Literal["tuned"] | None = None,
    reject: float | Literal["tuned"] | None = None,
    precision: float | None = None,
    precision_of: Literal["overall", "class"] = "overall",
    calibrating: CalibrationOptions,
    out: Path | None = None,
    to: Literal["label_studio", "fiftyone"] | None = None,
    explain: Path | None = None,
    skip_broken: bool = False,
    inference: InferenceOptions,
    beside: TextOptions,
    names: TowerOptions,
    engine: dict[str, Any],
) -> None:
    """Predict a probability for every unknown label of a table, and turn the confident ones into labels.

    Args:
        data: Run and label table.
        table: Label table; default: the one the run was trained on. With --engine also a tar file, or a folder of tar
            files or of parquet tables.
        accept: Minimum probability at which an unknown label becomes present; default: none does. `tuned`: the
            threshold of its class, as `partlabel tune --aim precision` finds it.
        reject: Maximum probability at which an unknown label becomes absent; default: none does. `tuned`: below the
            threshold of its class.
        precision: Expected precision of the new present labels, such as 0.95: as many unknown labels become present as
            this allows. Recommended instead of --accept.
        precision_of: Whether the precision holds over all new present labels (`overall`) or for each class (`class`);
            with --engine, within each shard.
        calibrating: Calibration set or class prevalence.
        calibration: Calibration set: a table of about 40 images that were drawn at random and labelled completely, or
            one whose column `calibration` is 1 for those, as `review --export` writes it. Default: the calibration
            that `tune` found.
        out: Table to write: .csv, .parquet or .jsonl; default: filled.csv. With --engine a folder of parquet files;
            default: filled.
        to: Write a .json file for this program instead: tasks with predictions, or samples with confidences.
        explain: CSV file to write with a row per new present label: image, class, probability and the reasons for it in
            one sentence. The photos are read a second time.
        skip_broken: Leave out images that cannot be read.
        inference: Loading of the model and of images.
        beside: Texts of the photos.
        names: Tower.
        engine: Engine that processes the shards.
    """
    import numpy as np

    from partlabel.data import writers
    from partlabel.data.tables.closure import close
    from partlabel.data.tables.filled import FilledTable

    if to is not None and (engine["name"] != ONE_FILE or (out is not None and out.suffix != ".json")):
        raise UsageError(
            f"--to {to} writes one file: name it with --out, ending in .json, and leave out --engine"
        )
    how: dict[str, Any] = {"skip_broken": skip_broken, **inference.loading}
    sure: dict[str, Any] = {
        "accept": accept, "reject": reject, "precision": precision, "precision_of": precision_of
    }  # fmt: skip
    if engine["name"] != ONE_FILE:
        if explain is not None:
            raise UsageError("--explain: shards are not explained; leave out --engine")
        _refuse_with_engine(calibrating, beside, names)
        _fill_shards(data, engine, out, trust=inference.trust, **sure, **how)
        return
    out = out or Path("filled.csv" if to is None else "filled.json")
    tagger = names.given_to(inference.load(data.run))
    _correct(tagger, data, calibrating, inference)
    missing: Missing = "keep" if skip_broken else "refuse"
    own = data.table is None
    read = data.own.read if own else data.chosen.read_filled
    before = read(missing, beside.texts)
    closed = tagger.closed(before)
    filled = tagger.fill(before, **sure, **how)
    writers.write(filled, out, to)
    known = before.table if isinstance(before, FilledTable) else before
    if tagger.rules is not None:
        say_closure(close(known, tagger.rules))
    given = closed.table
    say_texts(given)
    left = given if len(given) == len(filled.table) else given[np.isin(given.images, filled.table.images)]
    present, gone = filled.table.present - left.present, filled.table.absent - left.absent
    print(f"{out}: {left.unknown:,} unknown labels, of which {present:,} became present and {gone:,} absent")
    if explain is not None:
        _write_reasons(tagger, data, left, filled, explain, inference)
    if right := tagger.expected_right(left, filled).sentence:
        print(f"of the new labels, {right}")
    print(_assumption(tagger))


def _write_reasons(
    tagger: "Tagger",
    data: RunOptions,
    before: "LabelTable",
    filled: "FilledTable",
    out: Path,
    inference: InferenceOptions,
) -> None:
    """Write the reasons for the new present labels."""
    from partlabel.review import explain_fill
    from partlabel.training.run_folder import Run

    reasons = explain_fill.explain(tagger, Run(data.run), before, filled, **inference.loading)
    explain_fill.save(reasons, out)
    print(f"reasons for {len(reasons):,} new present labels in {out}")


def _refuse_with_engine(calibrating: CalibrationOptions, beside: TextOptions, names: TowerOptions) -> None:
    """Refuse options that an engine cannot follow."""
    if calibrating != CalibrationOptions():
        raise UsageError(
            "--engine: shards use the calibration of partlabel tune; give --calibration or --prevalence to that "
            "command first"
        )
    if beside.texts:
        raise UsageError("--engine: shards have the texts in their own columns; leave out --texts")
    if names.tower is not None:
        raise UsageError(
            "--engine: shards use the tower in the run folder; copy the tower there, as the folder tower, and leave "
            "out --tower"
        )


def _fill_shards(data: RunOptions, engine: dict[str, Any], out: Path | None, **options: Any) -> None:
    """Fill a table or an archive in shards."""
    from partlabel import sharded

    source = data.chosen
    format = dict(source.format)
    found = sharded.of_path(source.table, source.images, source.absent, format.pop("name"), **format)
    job = sharded.Job("fill", data.run, results_folder(out, "filled"), **options)
    say_done(sharded.run(job, found, engine_of(engine)))


def _correct(
    tagger: "Tagger", data: RunOptions, calibrating: CalibrationOptions, inference: InferenceOptions
) -> None:
    """Calibrate with the options given, or with the run's out-of-fold predictions if `tune` was not run."""
    from partlabel.posthoc import tuning

    given = calibrating != CalibrationOptions()
    if not given and (tagger.tuning is not None or tagger.out_of_fold is None):
        return
    table = None if tagger.out_of_fold is not None else data.own.read(missing="keep")
    before = tagger.tuning
    aim: dict[str, Any] = (
        {} if before is None else {"aim": before.aim, "at": before.at, "shrink": before.shrink}
    )
    asked, common = calibrating.read_set(tagger, data), calibrating.read_prevalence(tagger)
    try:
        tuning.tune(tagger, table, **aim, calibration=asked, prevalence=common, **inference.loading)
    except ValueError:
        if given:
            raise


def _assumption(tagger: "Tagger") -> str:
    """Return the assumption behind the probabilities, as a sentence."""
    correction = None if tagger.tuning is None else tagger.tuning.correction
    if correction is not None:
        return correction.sentence
    if tagger.tuning is None and tagger.out_of_fold is not None and not tagger.out_of_fold.table.known:
        told = "what texts mention" if tagger.tower is None else "class names"
        return (
            f"Probabilities come from {told}, without any label, and are not calibrated: partlabel review RUN "
            "collects labels, and training again on them improves and calibrates the probabilities."
        )
    calibrated = "" if tagger.tuning is not None else " and are not calibrated"
    return (
        f"Probabilities assume that known labels are a fair sample{calibrated}: partlabel tune RUN corrects them, best "
        "with a calibration set (partlabel review RUN --calibrate 40)."
    )
