"""Command `start`: begin without any label, with probabilities from texts or a tower, or with photos to label first."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TextOptions
from partlabel.cli.commands._saying import say_texts, say_without_labels, some_of
from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.training.config import TrainingConfig


@command("Prepare", with_model=True)
def start(
    photos: Path,
    *,
    classes: str | None = None,
    out: Path = Path("start.csv"),
    run: Path = Path("runs/start"),
    sort: Literal["uncertain", "present"] = "uncertain",
    propose: int = 40,
    skip_broken: bool = False,
    embedder: str = "auto",
    tower: str | None = None,
    workers: int = 0,
    beside: TextOptions,
    **options: Any,
) -> None:
    """Start without any label: probabilities from texts of the photos or class names, or which photos to label first.

    Args:
        photos: Folder of photos.
        classes: Class names: a list such as "dog, cat, beach", or a file with one name per line.
        out: Table to write: .csv or .parquet.
        run: With texts or a tower: run folder of the model that is trained.
        sort: With texts or a tower: photos whose probabilities are least certain first (`uncertain`), or photos that
            probably show most classes first (`present`).
        propose: Without either: number of photos to propose, as different as possible.
        skip_broken: Leave out photos that cannot be read.
        embedder: Embedder of texts, as in `train`.
        tower: Tower that compares photos with class names, as in `train`.
        workers: Processes that read photos; 0 reads them in the main process.
        beside: Texts of the photos.
        **options: Arguments of `Tagger`.
    """
    from partlabel.data.texts import attach
    from partlabel.training import starting
    from partlabel.training.config import TrainingConfig
    from partlabel.training.run_folder import Run

    if classes is None:
        raise UsageError(
            'name the classes, such as --classes "dog, cat, beach", or a file with one name per line'
        )
    if propose < 1:
        raise UsageError(f"--propose {propose}: give the number of photos to label first, for example 40")
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"--out {out}: name a .csv or .parquet file")
    if (beside.texts or tower) and Run(run).config.exists():
        raise UsageError(f"{run} holds a run already: name another folder with --run")
    table = starting.blank_table(photos, starting.class_names(classes), skip_broken)
    table = attach(table, beside.texts or ())
    config = TrainingConfig(embedder=embedder, tower=tower, workers=workers)
    if any(table.texts or ()) or tower is not None:
        say_texts(table)
        _fill(table, out, run, sort, skip_broken, config, options)
    else:
        _propose(table, out, propose, skip_broken, config, options)


def _fill(
    table: "LabelTable",
    out: Path,
    run: Path,
    sort: Literal["uncertain", "present"],
    skip_broken: bool,
    config: "TrainingConfig",
    options: dict[str, Any],
) -> None:
    """Train on what texts mention and a tower compares, and write the probabilities of all photos."""
    from partlabel.tagger import Tagger
    from partlabel.training import starting

    tagger = Tagger(table.classes, **options).fit(table, out=run, skip_broken=skip_broken, config=config)
    filled = tagger.fill(table, skip_broken=skip_broken, workers=config.workers)
    filled[starting.review_order(filled.probability, sort)].save(out)
    say_without_labels(table, config.tower)
    _say_present(filled)
    first = "least certain probabilities" if sort == "uncertain" else "most classes that are probably present"
    print(f"{out}: probabilities of {len(filled.table):,} photos, those with the {first} first")
    print(f"next: partlabel review {run}")


def _say_present(filled: "FilledTable") -> None:
    """Print how many labels of each class are probably present, and the classes that no text mentions."""
    from partlabel.audit.text_statistics import statistics_of_texts

    counts = (filled.probability >= 0.5).sum(0).tolist()
    order = sorted(zip(filled.table.classes, counts, strict=True), key=lambda each: -each[1])
    print(f"probably present (probability 0.5 or more): {', '.join(f'{name} {n:,}' for name, n in order)}")
    if filled.table.texts is None:
        return
    if unmentioned := statistics_of_texts(filled.table).unmentioned:
        print(f"no text mentions {some_of(unmentioned)}: probabilities of these are hardly informed")


def _propose(
    table: "LabelTable",
    out: Path,
    count: int,
    skip_broken: bool,
    config: "TrainingConfig",
    options: dict[str, Any],
) -> None:
    """Write a blank table of photos to label first."""
    from partlabel.tagger import Tagger
    from partlabel.training import starting

    chosen = starting.proposed(Tagger(table.classes, **options), table, count, config, skip_broken)
    chosen.save(out)
    print(
        "No labels, and no texts from which they could be learned: with texts of the photos (--texts captions.csv, "
        "--texts exif, --texts filename) or a tower (--tower) this command writes probabilities"
    )
    print(
        f"{out}: {len(chosen):,} of {len(table):,} photos, as different as possible, in the order in which to label "
        "them: write 1 (present) or 0 (absent) into the cells, then"
    )
    print(f"next: partlabel train {out} --images {table.root}")
