"""The command line: one verb a function, each a thin door to `Tagger` or `LabelTable`.

Options come from signatures (see `options.py`). Everything heavy is imported inside the verb that needs it, so that
`partlabel --help` answers at once.
"""

import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel import __version__
from partlabel.codes import Absent
from partlabel.options import Parser, UsageError
from partlabel.text import did_you_mean
from partlabel.verbs import tables

if TYPE_CHECKING:
    from partlabel.data.table import LabelTable
    from partlabel.engines import Engine
    from partlabel.run import Run
    from partlabel.shards import Done

ONE_FILE = "none"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was typed.

    Args:
        argv: The verb and its options; what the shell gave if None.

    Returns:
        0; 2 if what was typed, or a file it names, makes no sense; 130 if interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv or os.environ.get("PARTLABEL_DEBUG", "0") not in ("", "0")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where methods of one's own lie, which dotted paths name
    try:
        with _plain_warnings():
            _run([word for word in argv if word != "--debug"])
    except KeyboardInterrupt as error:
        if debug:
            raise
        return _fail(str(error) or "interrupted", 130)
    except (UsageError, ValueError, OSError, ImportError, FloatingPointError) as error:
        if debug:
            raise
        return _fail(str(error), 2)
    return 0


def _run(argv: list[str]) -> None:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return
    if argv[0] == "--version":
        print(f"partlabel {__version__}")
        return
    verb, *rest = argv
    if verb not in VERBS:
        raise UsageError(
            f"there is no verb {verb!r}{did_you_mean(verb, VERBS)}; there are: {', '.join(VERBS)} (partlabel --help)"
        )
    function = VERBS[verb]
    description = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    parser = Parser(f"partlabel {verb}", rest, description, config=verb == "train")
    OPTIONS.get(verb, _options)(parser, function)
    function(**parser.parse())


def _overview() -> str:
    lines = [
        f"  {verb:<10}{(inspect.getdoc(function) or '').splitlines()[0]}" for verb, function in VERBS.items()
    ]
    return "\n".join(
        [
            "usage: partlabel VERB ...",
            "",
            "Train a multi-label image recogniser when most labels are missing, and fill the missing ones in.",
            "",
            *lines,
            "",
            "Options of a verb: partlabel VERB --help. With --debug, errors come with their traceback.",
        ]
    )


def train(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    known: float | None = None,
    hide_seed: int = 0,
    out: Path = Path("runs/a"),
    resume: bool = False,
    skip_broken: bool = False,
    *,
    format: dict[str, Any],
    method: dict[str, Any],
    head: dict[str, Any],
    **options: Any,
) -> None:
    """Train a tagger on a table's known labels.

    Args:
        table: Label table: a file or folder of any format in `--format`. Where it has a split, its part `train` is
            trained on.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        known: For benchmarks: hide labels first, until this share of them is known.
        hide_seed: Of the hiding; 0 in the literature.
        out: Run folder.
        resume: Go on where the run in `out` stopped.
        skip_broken: Leave out images that cannot be read, and list them in the run folder.
        format: Of the table.
        method: How to learn.
        head: From feature map to classes.
        **options: Fields of `TrainingConfig`, and arguments of `Tagger`.
    """
    from partlabel import ranks
    from partlabel.config import TrainingConfig
    from partlabel.run import Run
    from partlabel.tagger import Tagger

    whole = _table(table, images, absent, format, missing="keep" if skip_broken else "refuse")
    given = whole if known is None else whole.hide(part=_part(whole, "train"), known=known, seed=hide_seed)
    config = TrainingConfig(**{field.name: options.pop(field.name) for field in fields(TrainingConfig)})
    names = {"method": method.pop("name"), "head": head.pop("name")}
    tagger = Tagger(given.classes, **(names | {"method_args": method, "head_args": head} | options))
    try:
        tagger.fit(
            given,
            truth=None if known is None else whole,
            out=out,
            resume=resume,
            skip_broken=skip_broken,
            config=config,
        )
    except (KeyboardInterrupt, SystemExit) as stop:  # where it was not training that was interrupted
        if not ranks.is_first():
            sys.exit(130)  # the first process says it
        if isinstance(stop, KeyboardInterrupt) and str(stop):
            raise
        begun = Run(out).last.exists()
        how = "goes on after its last whole epoch" if begun else "begins anew, for no epoch had ended"
        raise KeyboardInterrupt(
            f"interrupted; the same command with --resume {how} (run folder {out})"
        ) from None
    if ranks.is_first():
        _say_trained(Run(out))


def evaluate(
    run: Path,
    table: Path | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    split: str = "test",
    batch_size: int = 64,
    workers: int = 0,
    *,
    format: dict[str, Any],
) -> None:
    """Score a tagger against known labels.

    Args:
        run: Run folder.
        table: Label table; the one the run was trained on if none.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        split: The part of the split to score; all images where the table has no split.
        batch_size: Images at a time.
        workers: Processes that read images.
        format: Of the table.
    """
    from rich import print as show

    from partlabel.tagger import Tagger

    tagger = Tagger.load(run)
    whole = _run_table(run, table, images, absent, format)
    evaluation = tagger.evaluate(whole.part(split) if whole.split else whole, batch_size, workers)
    evaluation.save(run / "evaluation.json")
    show(evaluation)
    print(f"written to {run / 'evaluation.json'}")


def predict(
    run: Path,
    photos: Path,
    images: Path | None = None,
    out: Path | None = None,
    batch_size: int = 64,
    workers: int = 0,
    skip_broken: bool = False,
    *,
    engine: dict[str, Any],
) -> None:
    """Give every photo a probability for every class.

    Args:
        run: Run folder.
        photos: A folder of photos, one photo, a table (.csv, .parquet), or a list (.txt) of one path a line; with
            --engine also a tar file, or a folder of tar files or of parquet tables.
        images: The folder that the paths of a table start from.
        out: Table to write: .csv, .parquet or .jsonl; predictions.csv if none. With --engine a folder of parquet
            files; predictions if none.
        batch_size: Images at a time.
        workers: Processes that read images.
        skip_broken: Leave out photos that cannot be read.
        engine: Who does it.
    """
    from partlabel.data.aside import written_aside
    from partlabel.tagger import Tagger, table_of

    listed = photos.suffix == ".txt"
    if engine["name"] != ONE_FILE:
        from partlabel import shards

        found = shards.of_table(table_of(_lines(photos))) if listed else shards.of_path(photos, images)
        work = shards.Job(
            "predict",
            run,
            _folder(out, "predictions"),
            batch_size=batch_size,
            workers=workers,
            skip_broken=skip_broken,
        )
        _say_done(shards.run(work, found, _engine(engine)))
        return
    out = out or Path("predictions.csv")
    writers = {".csv": "write_csv", ".parquet": "write_parquet", ".jsonl": "write_ndjson"}
    if out.suffix not in writers:
        raise UsageError(f"--out {out}: predictions are written as {', '.join(writers)}")
    source: LabelTable | Path | list[str] = photos
    if photos.suffix in (".csv", ".tsv", ".parquet"):
        source = _table(photos, images or photos.parent, missing="keep" if skip_broken else "refuse")
    elif listed:
        source = _lines(photos)
    predictions = Tagger.load(run).predict(source, batch_size, workers, skip_broken)
    with written_aside(out) as aside:
        getattr(predictions, writers[out.suffix])(aside)
    print(f"{out}: {predictions.width - 1} probabilities for each of {predictions.height:,} photos")


def fill(
    run: Path,
    table: Path | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    accept: float | None = None,
    reject: float | None = None,
    out: Path | None = None,
    batch_size: int = 64,
    workers: int = 0,
    skip_broken: bool = False,
    *,
    format: dict[str, Any],
    engine: dict[str, Any],
) -> None:
    """Turn every blank of a table into a probability, and the sure ones into labels.

    Args:
        run: Run folder.
        table: Label table; the one the run was trained on if none. With --engine also a tar file, or a folder of tar
            files or of parquet tables.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        accept: Blanks from this probability on become present; none if it is not given.
        reject: Blanks up to this probability become absent; none if it is not given.
        out: Table to write: .csv, .parquet or .jsonl; filled.csv if none. With --engine a folder of parquet files;
            filled if none.
        batch_size: Images at a time.
        workers: Processes that read images.
        skip_broken: Leave out images that cannot be read.
        format: Of the table.
        engine: Who does it.
    """
    import numpy as np

    from partlabel.tagger import Tagger

    if engine["name"] != ONE_FILE:
        from partlabel import shards

        path, images, options = (
            (table, images, format) if table else (*_of_run(run, images), {"name": "auto"})
        )
        found = shards.of_path(path, images, absent, options.pop("name"), **options)
        work = shards.Job(
            "fill",
            run,
            _folder(out, "filled"),
            accept=accept,
            reject=reject,
            batch_size=batch_size,
            workers=workers,
            skip_broken=skip_broken,
        )
        _say_done(shards.run(work, found, _engine(engine)))
        return
    out = out or Path("filled.csv")
    tagger = Tagger.load(run)
    given = _run_table(run, table, images, absent, format, missing="keep" if skip_broken else "refuse")
    filled = tagger.fill(given, accept, reject, batch_size, workers, skip_broken)
    filled.save(out)
    left = given if len(given) == len(filled.table) else given[np.isin(given.images, filled.table.images)]
    present, gone = filled.table.present - left.present, filled.table.absent - left.absent
    print(f"{out}: {left.unknown:,} blanks, of which {present:,} became present and {gone:,} absent")


def hide(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    part: str | None = None,
    seed: int = 0,
    out: Path = Path("hidden.csv"),
    truth: Path | None = None,
    *,
    format: dict[str, Any],
    scheme: str = "uniform",
    **options: Any,
) -> None:
    """Hide known labels, as benchmarks do.

    Args:
        table: Label table, in any format that `train` reads.
        images: Image folder; where it is given, every image must be there.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        part: Hide in this part of the split alone, such as train; everywhere if none.
        seed: Of the draw.
        out: Table to write, .csv or .parquet.
        truth: Also write the table as it was.
        format: Of the table.
        scheme: Which labels are hidden.
        **options: What the scheme takes, such as known.
    """
    whole = _table(table, images, absent, format)
    hidden = whole.hide(scheme, part=part, seed=seed, **options)
    hidden.save(out)
    print(f"{out}: {hidden.known:,} of {whole.known:,} known labels kept")
    if truth:
        whole.save(truth)
        print(f"{truth}: the truth")


def methods() -> None:
    """List the methods: paper, what each adds, what it needs."""
    from rich.console import Console
    from rich.table import Column, Table

    from partlabel import methods as folder
    from partlabel.nn import heads

    listing = Table(
        "--method", Column("name and paper", overflow="fold"), "year", "adds", "needs", show_lines=True
    )
    for name in folder.names():
        method = folder.get(name)
        title, paper, year = cite(method.__doc__ or "")
        listing.add_row(name, f"{title}\n[dim]{paper}[/dim]", year, method.adds, method.needs)
    headings = Table("--head", "what it is", "default of")
    for name in heads.names():
        users = [method for method in folder.names() if folder.get(method).default_head == name]
        headings.add_row(name, _summary(heads.get(name).__doc__ or ""), ", ".join(users))
    Console().print(
        listing, headings, "Their options: partlabel train --method NAME --head NAME --help", sep="\n"
    )


def demo(**options: Any) -> None:
    """Show all of it on drawn scenes, without any data."""
    from partlabel.demo import run

    run(**options)


def cite(docstring: str) -> tuple[str, str, str]:
    """Name, paper and year from a docstring that starts as `Structured transfer (Chen et al., AAAI 2022, ...).`."""
    first = _summary(docstring)
    found = re.match(r"(?P<title>[^(]*?)\s*\((?P<paper>.*)\)", first)
    if not found:
        return first.rstrip("."), "", ""
    years = re.findall(r"(?<![\d.])((?:19|20)\d\d)(?![\d.])", found["paper"])
    return found["title"], found["paper"], years[0] if years else ""


def _summary(docstring: str) -> str:
    return inspect.cleandoc(docstring).split("\n\n")[0].replace("\n", " ")


def _table(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable":
    """The label table that a verb's options name."""
    from partlabel.data.table import LabelTable

    options = dict(format or {"name": "auto"})
    return LabelTable.read(table, images, options.pop("name"), absent, missing, **options)


def _run_table(
    run: Path,
    table: Path | None,
    images: Path | None,
    absent: Absent | None,
    format: Mapping[str, Any],
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable":
    """The label table that is named, or else the one that a run was trained on, from where its images were then."""
    if table is not None:
        return _table(table, images, absent, format, missing)
    return _table(*_of_run(run, images), missing=missing)


def _of_run(run: Path, images: Path | None) -> tuple[Path, Path]:
    """The label table that a run was trained on, and its image folder."""
    from partlabel.run import Run, read_json

    folder = Run(run)
    if not folder.labels.exists():
        raise FileNotFoundError(f"{run} holds no label table of its own; name one")
    return folder.labels, images or Path(read_json(folder.config)["data"]["images"])


def _lines(listing: Path) -> list[str]:
    """The paths in a list."""
    return [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]


def _folder(out: Path | None, default: str) -> Path:
    """Where an engine's results go."""
    if out is not None and out.suffix in (".csv", ".parquet", ".jsonl") and not out.is_dir():
        raise UsageError(f"--out {out}: with --engine, results are parquet files in a folder; name a folder")
    return out or Path(default)


def _engine(chosen: Mapping[str, Any]) -> "Engine":
    """The engine that a verb's options name."""
    from partlabel import engines

    options = dict(chosen)
    return engines.get(options.pop("name"))(**options)


def _say_done(done: "Done") -> None:
    before = f", {done.kept:,} of them from before" if done.kept else ""
    print(f"{done.out}: {done.shards:,} shards{before}; {done.images:,} images now")


def _say_trained(run: "Run") -> None:
    """What a person wants to know after training."""
    from partlabel.evaluation import Evaluation

    if run.validation.exists():
        best = Evaluation.load(run.validation)
        print(
            f"best validation mAP {best.map:.1%} ({len(best.scored)} of {len(best.classes)} classes scored)"
        )
    print(f"model in {run.folder}, report in {run.report}")


def _part(table: "LabelTable", name: str) -> str | None:
    return name if name in table.parts else None


def _options(parser: Parser, function: Callable, skip: Collection[str] = ()) -> None:
    """A verb's options: its parameters. A table it can do without is positional all the same."""
    parameters = inspect.signature(function).parameters
    may_have_table = "table" in parameters and parameters["table"].default is None
    skip = {"format", "engine", "options", *skip, *["table"] * may_have_table}
    parser.add(function, skip=skip, title="arguments", positional=True)
    if may_have_table:
        parser.optional_positional("table", Path, "Label table; the one the run was trained on if none.")
    if "format" in parameters:
        _format_options(parser)
    if "engine" in parameters:
        _engine_options(parser)


def _train_options(parser: Parser, function: Callable) -> None:
    """The verb's own, those of its method and head, of `Tagger` and of `TrainingConfig`."""
    from partlabel import methods
    from partlabel.config import TrainingConfig
    from partlabel.nn import heads
    from partlabel.tagger import Tagger

    own = ("method", "method_args", "head", "head_args")
    _options(parser, function, skip=own)
    names = f"{', '.join(methods.names())}, or a dotted path such as my_file.MyMethod"
    method = parser.add_choice(
        "method", methods.get, "soft_sst", f"How to learn: {names}", skip=("backbone", "head")
    )
    parser.add_choice(
        "head",
        heads.get,
        str(getattr(method, "default_head", "ssgrl")),
        f"From feature map to classes: {', '.join(heads.names())}, or a dotted path",
        skip=("channels", "classes"),
    )
    parser.add(Tagger, skip=("classes", *own), title="model")
    parser.add(TrainingConfig, title="training")


def _format_options(parser: Parser) -> None:
    """`--format`, and the options of the reader it names."""
    from partlabel.data import readers

    def auto() -> None:
        """Found by looking at the file."""

    parser.add_choice(
        "format",
        lambda name: auto if name == "auto" else readers.get(name),
        default="auto",
        help=f"Of the table: auto, {', '.join(readers.names())}",
        skip=("path", "images", "absent"),
    )


def _engine_options(parser: Parser) -> None:
    """`--engine`, and the options of the one it names."""
    from partlabel import engines

    def none() -> None:
        """All of it by this process, into one file."""

    parser.add_choice(
        "engine",
        lambda name: none if name == ONE_FILE else engines.get(name),
        default=ONE_FILE,
        help=f"In shards, that a killed command goes on with: {', '.join(engines.names())}; else {ONE_FILE}",
    )


def _hide_options(parser: Parser, function: Callable) -> None:
    """The verb's own, and those of its scheme."""
    from partlabel.data.hiding import SCHEMES

    _options(parser, function)
    name = parser.given("scheme") or "uniform"
    if name not in SCHEMES:
        raise UsageError(
            f"--scheme: there is no {name!r}{did_you_mean(name, SCHEMES)}; there are: {', '.join(SCHEMES)}"
        )
    parser.add(SCHEMES[name], skip=("labels", "seed"), title=f"scheme {name}")


def _demo_options(parser: Parser, function: Callable) -> None:
    """Those of the demo itself."""
    from partlabel.demo import run

    parser.add(run, title="arguments")


def _fail(message: str, code: int) -> int:
    print(f"partlabel: {message}", file=sys.stderr)
    return code


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings of this package in one line, without the line of code that they came from."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *place, **more: f"partlabel: warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


OPTIONS: dict[str, Callable[[Parser, Callable], None]] = {
    "train": _train_options,
    "hide": _hide_options,
    "demo": _demo_options,
}
VERBS: dict[str, Callable[..., None]] = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "fill": fill,
    "hide": hide,
    "import": tables.import_,
    "inspect": tables.inspect,
    "split": tables.split,
    "methods": methods,
    "demo": demo,
}
