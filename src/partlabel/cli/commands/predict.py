"""Command `predict`: predict the probability of every class in every photo, by a model or by class names alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.commands._command import command
from partlabel.cli.commands._engines import ONE_FILE, engine_of, results_folder, say_done
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._reading import TableOptions
from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    import polars as pl

    from partlabel.data.tables.label_table import LabelTable

WRITERS = {".csv": "write_csv", ".parquet": "write_parquet", ".jsonl": "write_ndjson"}


@command("Use", with_model=True)
def predict(
    run: Path,
    photos: Path | None = None,
    images: Path | None = None,
    *,
    tower: str | None = None,
    classes: str | None = None,
    out: Path | None = None,
    decide: bool = False,
    skip_broken: bool = False,
    inference: InferenceOptions,
    format: dict[str, Any],
    engine: dict[str, Any],
) -> None:
    """Predict the probability of every class in every photo.

    Args:
        run: Run folder; with --tower leave it out, as in partlabel predict PHOTOS --tower tower --classes "dog, cat".
        photos: A folder of photos, one photo, a table (.csv, .parquet), or a list (.txt) with one path per line; with
            --engine also a tar file, or a folder of tar files or of parquet tables.
        tower: Predict with a tower (docs/towers.md), a folder or an image-text model as in `train`, by the names of the
            classes alone, without a trained model. The probabilities rank photos and are not calibrated.
        classes: With --tower: class names, a list such as "dog, cat, beach", or a file with one name per line.
        images: Folder that the relative paths of a table refer to; default: the folder of the table.
        out: Table to write: .csv, .parquet or .jsonl; default: predictions.csv. With --engine a folder of parquet
            files; default: predictions.
        decide: Also write each class as present or absent (1 or 0) by its tuned threshold, in the format of a filled
            table, next to the probability.
        skip_broken: Leave out photos that cannot be read.
        inference: Loading of the model and of images.
        format: Format of a table; its labels are ignored.
        engine: Engine that processes the shards.
    """
    from partlabel.data.tables.of_images import table_of

    how: dict[str, Any] = {"skip_broken": skip_broken, **inference.loading}
    if tower is not None:
        if decide or engine["name"] != ONE_FILE:
            raise UsageError("--tower predicts without a trained model: leave out --decide and --engine")
        _by_names(tower, _photos_of(run, photos), classes, images, format, _file(out), how)
        return
    if photos is None or classes is not None:
        raise UsageError(
            "give a run and photos, as in partlabel predict runs/a photos; or a tower and classes, as in "
            'partlabel predict photos --tower tower --classes "dog, cat"'
        )
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
        job = sharded.Job(
            "predict", run, results_folder(out, "predictions"), decide=decide, trust=inference.trust, **how
        )
        say_done(sharded.run(job, found, engine_of(engine)))
        return
    out, source = _file(out), _source(photos, images, format, skip_broken)
    tagger = inference.load(run)
    if decide:
        decided = tagger.decide(source, **how)
        decided.save(out)
        print(f"{out}: {decided.table.present:,} of {decided.table.labels.size:,} labels are present")
        return
    _write(tagger.predict(source, **how), out)


def _by_names(
    tower: str,
    photos: Path,
    classes: str | None,
    images: Path | None,
    format: dict[str, Any],
    out: Path,
    how: dict[str, Any],
) -> None:
    """Predict by class names alone."""
    import polars as pl

    from partlabel.data.tables.of_images import table_of
    from partlabel.training import starting
    from partlabel.training.towers.zero_shot import predict_names

    if classes is None:
        raise UsageError(
            '--tower: name the classes, such as --classes "dog, cat", or a file with one name per line'
        )
    names = starting.class_names(classes)
    source = table_of(_source(photos, images, format, how["skip_broken"]), how["skip_broken"])
    table, found = predict_names(tower, source, names, **how)
    _write(pl.DataFrame({"image": table.images} | dict(zip(names, found.T, strict=True))), out)


def _photos_of(run: Path, photos: Path | None) -> Path:
    """Return the photos where no run is given: they are the first argument."""
    if photos is not None:
        raise UsageError(f"--tower predicts without a run: leave out {run}, or leave out --tower")
    return run


def _source(
    photos: Path, images: Path | None, format: dict[str, Any], skip_broken: bool
) -> "LabelTable | Path | list[str]":
    """Read the table or the list of photos; a folder or a photo is returned as it is."""
    if photos.suffix.lower() in (".csv", ".tsv", ".parquet"):
        table = TableOptions(photos, images or photos.parent, "unknown", format)
        return table.read(missing="keep" if skip_broken else "refuse")
    return _lines(photos) if photos.suffix.lower() == ".txt" else photos


def _file(out: Path | None) -> Path:
    """Return the file to write, whose suffix is checked before the prediction."""
    out = out or Path("predictions.csv")
    if out.suffix.lower() not in WRITERS:
        raise UsageError(f"--out {out}: predictions are written as {', '.join(WRITERS)}")
    return out


def _write(predictions: "pl.DataFrame", out: Path) -> None:
    from partlabel.core.files import atomic_write

    with atomic_write(out) as aside:
        getattr(predictions, WRITERS[out.suffix.lower()])(aside)
    print(f"{out}: {predictions.width - 1} probabilities for each of {predictions.height:,} photos")


def _lines(listing: Path) -> list[str]:
    """Read the paths in a list."""
    from partlabel.core.text_files import listed_in

    return listed_in(listing)
