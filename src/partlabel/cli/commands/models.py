"""The commands `train`, `evaluate`, `predict` and `fill`, which train or apply a tagger."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._shared import (
    calibration_set,
    of_run,
    prevalence_of,
    read_filled,
    read_grouped,
    read_table,
    run_table,
    say_how_known,
)
from partlabel.cli.parser import UsageError
from partlabel.core.labels import Absent
from partlabel.core.progress_bar import say

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.evaluation.headline import Headline
    from partlabel.sharded import Done
    from partlabel.sharded.engines import Engine
    from partlabel.tagger import Tagger
    from partlabel.training.run_folder import Run

ONE_FILE = "none"


def train(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    known: float | None = None,
    hide_seed: int = 0,
    out: Path = Path("runs/a"),
    resume: bool = False,
    start_from: Path | None = None,
    skip_broken: bool = False,
    trust: bool = False,
    group: str | None = None,
    *,
    format: dict[str, Any],
    method: dict[str, Any],
    head: dict[str, Any],
    recipe: str | None = None,
    **options: Any,
) -> None:
    """Train a tagger on the known labels of a table.

    Args:
        table: Label table: a file or folder in any format of `--format`. If it has a split, its part `train` is trained
            on.
        images: Image folder.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        known: For benchmarks: hide labels before training, so that this share of them (0 to 1) stays known.
        hide_seed: Random seed of the hiding; 0 in the literature.
        out: Run folder.
        resume: Resume the run in `out` from its last checkpoint.
        start_from: Run folder whose backbone and head initialise training, for example after a review added labels.
        skip_broken: Leave out images that cannot be read, and list them in the run folder.
        trust: With --start-from: also import that model's method and head from its own folder.
        group: Column of a CSV or parquet table with the group of each image (a patient, a scene, a day);
            cross-validation keeps the images of a group in one fold.
        format: Format of the table.
        method: Training method.
        head: Classification head, from the feature map to the classes.
        recipe: Value of --config, recorded in the run folder.
        **options: Fields of `TrainingConfig`, and arguments of `Tagger`.
    """
    from partlabel.core import distributed, safe_loading
    from partlabel.tagger import Tagger
    from partlabel.training.config import AUTO, TrainingConfig
    from partlabel.training.run_folder import Run

    say(f"Reading {table}")
    missing: Literal["refuse", "keep"] = "keep" if skip_broken else "refuse"
    groups = None
    if group is None:
        whole = read_table(table, images, absent, format, missing)
    else:
        whole, groups = read_grouped(table, images, absent, format, group, missing)
    given = whole if known is None else whole.hide(part=_part(whole, "train"), known=known, seed=hide_seed)
    config = TrainingConfig(**{field.name: options.pop(field.name) for field in fields(TrainingConfig)})
    safe_loading.import_typed([method, head], [Path.cwd()])
    if start_from is not None and trust:
        Tagger.load(start_from, trust)  # imports what it names
    names = {"method": method.pop("name"), "head": head.pop("name")}
    if names["head"] == AUTO:
        names["head"] = None
    tagger = Tagger(given.classes, **(names | {"method_args": method, "head_args": head} | options))
    tagger.recipe = recipe
    if distributed.is_rank_zero():
        _say_advice(given.part("train") if "train" in given.parts else given)
    try:
        tagger.fit(
            given,
            truth=None if known is None else whole,
            out=out,
            resume=resume,
            start_from=start_from,
            skip_broken=skip_broken,
            groups=groups,
            config=config,
        )
    except (KeyboardInterrupt, SystemExit) as stop:  # interrupted before or after the training loop
        if not distributed.is_rank_zero():
            sys.exit(130)  # the first process prints the message
        if isinstance(stop, KeyboardInterrupt) and str(stop):
            raise
        begun = Run(out).last.exists()
        how = (
            "continues after the last complete epoch"
            if begun
            else "starts over, because no epoch was complete"
        )
        raise KeyboardInterrupt(
            f"interrupted; the same command with --resume {how} (run folder {out})"
        ) from None
    if distributed.is_rank_zero():
        _say_trained(Run(out))


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
        _print_lines(headline(kind, logits, part.labels, tagger.classes))
    print(f"written to {run / 'evaluation.json'}")


def predict(
    run: Path,
    photos: Path,
    images: Path | None = None,
    out: Path | None = None,
    decide: bool = False,
    batch_size: int = 64,
    workers: int = 0,
    skip_broken: bool = False,
    trust: bool = False,
    *,
    format: dict[str, Any],
    engine: dict[str, Any],
) -> None:
    """Predict the probability of every class in every photo.

    Args:
        run: Run folder.
        photos: A folder of photos, one photo, a table (.csv, .parquet), or a list (.txt) with one path per line; with
            --engine also a tar file, or a folder of tar files or of parquet tables.
        images: Folder that the relative paths of a table refer to; default: the folder of the table.
        out: Table to write: .csv, .parquet or .jsonl; default: predictions.csv. With --engine a folder of parquet
            files; default: predictions.
        decide: Also write for every class whether it is present (1 or 0) according to its tuned threshold, in the
            format of a filled table, next to the probability.
        batch_size: Images per batch.
        workers: Processes that read images; 0 reads them in the main process.
        skip_broken: Leave out photos that cannot be read.
        trust: Also import the model's method and head from the working directory and from its own folder; default: from
            installed packages only.
        format: Format of a table; its labels are ignored.
        engine: Engine that processes the shards.
    """
    from partlabel.core.files import atomic_write
    from partlabel.data.tables.of_images import table_of
    from partlabel.tagger import Tagger

    how: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "skip_broken": skip_broken}
    listed = photos.suffix.lower() == ".txt"
    if engine["name"] != ONE_FILE:
        from partlabel import sharded

        what: dict[str, Any] = {"format": "folder", "skip_broken": skip_broken}
        if photos.is_file():
            options = dict(format)
            what = {"absent": "unknown", "format": options.pop("name"), **options}
        found = (
            sharded.of_table(table_of(_lines(photos))) if listed else sharded.of_path(photos, images, **what)
        )
        job = sharded.Job("predict", run, _folder(out, "predictions"), decide=decide, trust=trust, **how)
        _say_done(sharded.run(job, found, _engine(engine)))
        return
    out = out or Path("predictions.csv")
    writers = {".csv": "write_csv", ".parquet": "write_parquet", ".jsonl": "write_ndjson"}
    if out.suffix.lower() not in writers:
        raise UsageError(f"--out {out}: predictions are written as {', '.join(writers)}")
    source: LabelTable | Path | list[str] = photos
    if photos.suffix.lower() in (".csv", ".tsv", ".parquet"):
        missing: Literal["refuse", "keep"] = "keep" if skip_broken else "refuse"
        source = read_table(photos, images or photos.parent, "unknown", format, missing)
    elif listed:
        source = _lines(photos)
    tagger = Tagger.load(run, trust)
    if decide:
        decided = tagger.decide(source, **how)
        decided.save(out)
        print(f"{out}: {decided.table.present:,} of {decided.table.labels.size:,} labels are present")
        return
    predictions = tagger.predict(source, **how)
    with atomic_write(out) as aside:
        getattr(predictions, writers[out.suffix.lower()])(aside)
    print(f"{out}: {predictions.width - 1} probabilities for each of {predictions.height:,} photos")


def fill(
    run: Path,
    table: Path | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    accept: float | Literal["tuned"] | None = None,
    reject: float | Literal["tuned"] | None = None,
    precision: float | None = None,
    precision_of: Literal["overall", "class"] = "overall",
    calibration: Path | None = None,
    prevalence: str | None = None,
    out: Path | None = None,
    to: Literal["label_studio", "fiftyone"] | None = None,
    batch_size: int = 64,
    workers: int = 0,
    skip_broken: bool = False,
    trust: bool = False,
    *,
    format: dict[str, Any],
    engine: dict[str, Any],
) -> None:
    """Predict a probability for every unknown label of a table, and turn the confident ones into labels.

    Args:
        run: Run folder.
        table: Label table; default: the one the run was trained on. With --engine also a tar file, or a folder of tar
            files or of parquet tables.
        images: Image folder.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        accept: Minimum probability at which an unknown label becomes present; default: none does. `tuned`: the
            threshold of its class, as `partlabel tune --aim precision` finds it.
        reject: Maximum probability at which an unknown label becomes absent; default: none does. `tuned`: below the
            threshold of its class.
        precision: Expected precision of the new present labels, such as 0.95: as many unknown labels become present as
            this allows. Recommended instead of --accept.
        precision_of: Whether the precision holds over all new present labels (`overall`) or for each class (`class`);
            with --engine, within each shard.
        calibration: Calibration set: a table of about 40 images that were drawn at random and labelled completely, or
            one whose column `calibration` is 1 for those, as `review --export` writes it. Default: the calibration
            that `tune` found.
        prevalence: Class prevalence, where there is no calibration set: the mean number of present classes per image,
            or a CSV file with the columns class,share.
        out: Table to write: .csv, .parquet or .jsonl; default: filled.csv. With --engine a folder of parquet files;
            default: filled.
        to: Write a .json file for this program instead: tasks with predictions, or samples with confidences.
        batch_size: Images per batch.
        workers: Processes that read images; 0 reads them in the main process.
        skip_broken: Leave out images that cannot be read.
        trust: Also import the model's method and head from the working directory and from its own folder; default: from
            installed packages only.
        format: Format of the table.
        engine: Engine that processes the shards.
    """
    import numpy as np

    from partlabel.data import writers
    from partlabel.data.tables.filled import FilledTable
    from partlabel.tagger import Tagger

    if to is not None and (engine["name"] != ONE_FILE or (out is not None and out.suffix != ".json")):
        raise UsageError(
            f"--to {to} writes one file: name it with --out, ending in .json, and leave out --engine"
        )
    how: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "skip_broken": skip_broken}
    sure: dict[str, Any] = {
        "accept": accept, "reject": reject, "precision": precision, "precision_of": precision_of
    }  # fmt: skip
    if engine["name"] != ONE_FILE and (calibration or prevalence):
        raise UsageError(
            "--engine: shards use the calibration of partlabel tune; give --calibration or --prevalence to that "
            "command first"
        )
    if engine["name"] != ONE_FILE:
        from partlabel import sharded

        path, images, options = (table, images, format) if table else (*of_run(run, images), {"name": "auto"})
        found = sharded.of_path(path, images, absent, options.pop("name"), **options)
        job = sharded.Job("fill", run, _folder(out, "filled"), trust=trust, **sure, **how)
        _say_done(sharded.run(job, found, _engine(engine)))
        return
    out = out or Path("filled.csv" if to is None else "filled.json")
    tagger = Tagger.load(run, trust)
    _correct(tagger, run, images, calibration, prevalence, batch_size, workers)
    missing: Literal["refuse", "keep"] = "keep" if skip_broken else "refuse"
    before: LabelTable | FilledTable
    if table is None:
        before = read_table(*of_run(run, images), missing=missing)
    else:
        before = read_filled(table, images, absent, format, missing)
    filled = tagger.fill(before, **sure, **how)
    writers.write(filled, out, to)
    given = before.table if isinstance(before, FilledTable) else before
    left = given if len(given) == len(filled.table) else given[np.isin(given.images, filled.table.images)]
    present, gone = filled.table.present - left.present, filled.table.absent - left.absent
    print(f"{out}: {left.unknown:,} unknown labels, of which {present:,} became present and {gone:,} absent")
    if right := tagger.expected_right(left, filled).sentence:
        print(f"of the new labels, {right}")
    print(_assumption(tagger))


def _correct(
    tagger: "Tagger",
    run: Path,
    images: Path | None,
    calibration: Path | None,
    prevalence: str | None,
    batch_size: int,
    workers: int,
) -> None:
    """Calibrate with the options given, or with the run's out-of-fold predictions if `tune` was not run."""
    from partlabel.posthoc import tuning

    given = calibration is not None or prevalence is not None
    if not given and (tagger.tuning is not None or tagger.out_of_fold is None):
        return
    table = None if tagger.out_of_fold is not None else read_table(*of_run(run, images), missing="keep")
    before = tagger.tuning
    aim: dict[str, Any] = (
        {} if before is None else {"aim": before.aim, "at": before.at, "shrink": before.shrink}
    )
    asked, common = calibration_set(run, tagger, calibration, images), prevalence_of(tagger, prevalence)
    try:
        tuning.tune(
            tagger, table, **aim, calibration=asked, prevalence=common, batch_size=batch_size, workers=workers
        )
    except ValueError:
        if given:
            raise


def _assumption(tagger: "Tagger") -> str:
    """Return the assumption behind the probabilities, as a sentence."""
    correction = None if tagger.tuning is None else tagger.tuning.correction
    if correction is not None:
        return correction.sentence
    calibrated = "" if tagger.tuning is not None else " and are not calibrated"
    return (
        f"Probabilities assume that known labels are a fair sample{calibrated}: partlabel tune RUN corrects them, best "
        "with a calibration set (partlabel review RUN --calibrate 40)."
    )


def _lines(listing: Path) -> list[str]:
    """Read the paths in a list."""
    from partlabel.core.text_files import listed_in

    return listed_in(listing)


def _folder(out: Path | None, default: str) -> Path:
    """Return the folder of an engine's results."""
    if out is not None and out.suffix in (".csv", ".parquet", ".jsonl") and not out.is_dir():
        raise UsageError(f"--out {out}: with --engine, results are parquet files in a folder; name a folder")
    return out or Path(default)


def _engine(chosen: Mapping[str, Any]) -> "Engine":
    """Create the engine that the options name."""
    from partlabel.sharded import engines

    options = dict(chosen)
    return engines.get(options.pop("name"))(**options)


def _say_done(done: "Done") -> None:
    before = f", {done.kept:,} of them done before" if done.kept else ""
    print(f"{done.out}: {done.shards:,} shards{before}; {done.images:,} images in this run")


def _say_trained(run: "Run") -> None:
    """Print the results of training: the test evaluation first, where the table has a labelled part `test`."""
    from rich import print as show

    from partlabel.core.files import read_json
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.evaluation import headline
    from partlabel.selection.table import candidates_table
    from partlabel.training.out_of_fold import OutOfFold

    kept = OutOfFold.of(run)
    if kept is not None:
        say_how_known(kept.table.labels, kept.table.origins, kept.logits)
    else:
        table = LabelTable.read(run.labels).part("train")
        say_how_known(table.labels, table.origins)
    if run.selection.exists():
        show(candidates_table(read_json(run.selection)))
    for each in headline.load(run.headlines):
        _print_lines(each)
    print(f"model in {run.folder}, report in {run.report}")


def _print_lines(found: "Headline") -> None:
    """Print a headline: its sentence, and below it what is needed to interpret the sentence."""
    first, *others = found.lines
    print("\n".join([first, *(f"  {line}" for line in others)]))


def _say_advice(table: "LabelTable") -> None:
    """Print which method suits the known labels; training itself refuses a table without any."""
    from partlabel.selection.advice import advice

    if table.known:
        print(advice(table.labels))


def _part(table: "LabelTable", name: str) -> str | None:
    return name if name in table.parts else None
