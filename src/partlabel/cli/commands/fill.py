"""Command `fill`: turn the unknown labels of a table into labels where the tagger is confident."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._calibrating import calibration_set, prevalence_of
from partlabel.cli.commands._engines import ONE_FILE, engine_of, results_folder, say_done
from partlabel.cli.commands._reading import of_run, read_filled, read_table
from partlabel.cli.commands._saying import say_texts
from partlabel.cli.parser import UsageError
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.tagger import Tagger


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
    texts: list[str] | None = None,
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
        texts: Source of texts of the photos (captions, titles, tags), beside those of the table itself; may be
            repeated: a file such as captions.csv, column:NAME of the table, exif, filename, folder, sidecar, or none
            to drop those of the table.
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
    if engine["name"] != ONE_FILE and texts:
        raise UsageError("--engine: shards have the texts in their own columns; leave out --texts")
    if engine["name"] != ONE_FILE:
        from partlabel import sharded

        path, images, options = (table, images, format) if table else (*of_run(run, images), {"name": "auto"})
        found = sharded.of_path(path, images, absent, options.pop("name"), **options)
        job = sharded.Job("fill", run, results_folder(out, "filled"), trust=trust, **sure, **how)
        say_done(sharded.run(job, found, engine_of(engine)))
        return
    out = out or Path("filled.csv" if to is None else "filled.json")
    tagger = Tagger.load(run, trust)
    _correct(tagger, run, images, calibration, prevalence, batch_size, workers)
    missing: Literal["refuse", "keep"] = "keep" if skip_broken else "refuse"
    before: LabelTable | FilledTable
    if table is None:
        before = read_table(*of_run(run, images), missing=missing, texts=texts)
    else:
        before = read_filled(table, images, absent, format, missing, texts)
    filled = tagger.fill(before, **sure, **how)
    writers.write(filled, out, to)
    given = before.table if isinstance(before, FilledTable) else before
    say_texts(given)
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
