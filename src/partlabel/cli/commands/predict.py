"""Command `predict`: predict the probability of every class in every photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.commands._engines import ONE_FILE, engine_of, results_folder, say_done
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._reading import TableOptions
from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable


def predict(
    run: Path,
    photos: Path,
    images: Path | None = None,
    *,
    out: Path | None = None,
    decide: bool = False,
    skip_broken: bool = False,
    inference: InferenceOptions,
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
        decide: Also write each class as present or absent (1 or 0) by its tuned threshold, in the format of a filled
            table, next to the probability.
        skip_broken: Leave out photos that cannot be read.
        inference: Loading of the model and of images.
        format: Format of a table; its labels are ignored.
        engine: Engine that processes the shards.
    """
    from partlabel.core.files import atomic_write
    from partlabel.data.tables.of_images import table_of

    how: dict[str, Any] = {"skip_broken": skip_broken, **inference.loading}
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
    out = out or Path("predictions.csv")
    writers = {".csv": "write_csv", ".parquet": "write_parquet", ".jsonl": "write_ndjson"}
    if out.suffix.lower() not in writers:
        raise UsageError(f"--out {out}: predictions are written as {', '.join(writers)}")
    source: LabelTable | Path | list[str] = photos
    if photos.suffix.lower() in (".csv", ".tsv", ".parquet"):
        table = TableOptions(photos, images or photos.parent, "unknown", format)
        source = table.read(missing="keep" if skip_broken else "refuse")
    elif listed:
        source = _lines(photos)
    tagger = inference.load(run)
    if decide:
        decided = tagger.decide(source, **how)
        decided.save(out)
        print(f"{out}: {decided.table.present:,} of {decided.table.labels.size:,} labels are present")
        return
    predictions = tagger.predict(source, **how)
    with atomic_write(out) as aside:
        getattr(predictions, writers[out.suffix.lower()])(aside)
    print(f"{out}: {predictions.width - 1} probabilities for each of {predictions.height:,} photos")


def _lines(listing: Path) -> list[str]:
    """Read the paths in a list."""
    from partlabel.core.text_files import listed_in

    return listed_in(listing)
