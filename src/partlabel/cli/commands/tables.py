"""Commands for label tables: `import` reads any format, `inspect` looks for problems, `split` divides into parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._shared import read_grouped, read_table, say_how_known
from partlabel.cli.parser import UsageError
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from rich.table import Table

    from partlabel.audit.inspection import Class, Inspection, Part
    from partlabel.audit.label_issues import Suspect, Suspects
    from partlabel.data.readers import Understood
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.reporting.thumbnails import Picture

MOST_CLASSES, MOST_NAMES, MOST_GROUPS, MOST_PHOTOS, MOST_PAIRS = 40, 8, 40, 6, 60


def import_(
    source: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    out: Path | None = None,
    to: Literal["csv", "parquet", "jsonl", "label_studio", "fiftyone"] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
    *,
    format: dict[str, Any],
) -> None:
    """Read labels of any format, print how they were interpreted, and write them in another format.

    Args:
        source: Annotation file or folder.
        images: Image folder; if given, every image must exist there.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        out: File to write; default: nothing is written.
        to: Format to write; default: from the suffix of `out` (.csv, .parquet, .jsonl).
        missing: Whether images that are not in the image folder are refused or kept.
        format: Format of the source.
    """
    from partlabel.audit import inspection
    from partlabel.data import readers, writers
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.data.tables.part_names import warn_of_other_parts

    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    options = dict(format)
    name = options.pop("name")
    name = readers.recognise(source, options) if name == "auto" else name
    table = LabelTable.read(source, images, name, absent, missing, **options)
    print(f"{source}, read as {name}: {_extent(table)}")
    warn_of_other_parts(table.split or ())
    print(_understood(table, readers.understood(name, source, images, options)))
    minus_one = f"; -1 is {options['minus_one']}" if options.get("minus_one") else ""
    print(f"Rule: {readers.absence(name, absent)}{minus_one}.")
    _show(_classes(inspection.count_classes(table)))
    if out is not None:
        filled = name == "wide_csv" and FilledTable.is_in(source, options.get("separator"))
        how = {"absent": absent, "missing": missing, **options}
        given = FilledTable.load(source, images, **how) if filled else table
        print(f"written to {writers.write(given, out, to)}")


def inspect(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    out: Path | None = None,
    near: int = 6,
    workers: int = 2,
    run: Path | None = None,
    suspects: int = 5,
    trust: bool = False,
    *,
    format: dict[str, Any],
) -> None:
    """Look for problems in a table and in its images.

    Args:
        table: Label table: a file or folder in any format of `--format`.
        images: Image folder; if given, every image is read.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        out: HTML page with images to write; its name ends in .html.
        near: Maximum Hamming distance between the 128-bit hashes of near-duplicates, 0 to 32.
        workers: Threads that read images.
        run: Run folder of a model that looks for errors among the known labels.
        suspects: With --run, number of labels to list per class, those first that the model contradicts most.
        trust: With --run: also import its method and head from the working directory and from its own folder.
        format: Format of the table.
    """
    from partlabel.audit import inspection
    from partlabel.data.tables.part_names import warn_of_other_parts

    if out is not None and out.suffix != ".html":
        raise ValueError(f"--out {out}: the page is an HTML file; give a name that ends in .html")
    if run is not None and images is None:
        raise UsageError(f"--run {run}: the model needs the images; give --images")
    given = read_table(table, images, absent, format, missing="keep")
    found = inspection.inspect(given, images is not None, near, workers)
    print(f"{table}: {_extent(given)}")
    if found.parts:
        _show(_parts(found.parts))
    warn_of_other_parts(given.split or ())
    _show(_classes(found.classes))
    print("\n".join(_faults(found)))
    say_how_known(given.labels, given.origins)
    doubted = None if run is None else _doubted(run, given, suspects, trust)
    if doubted is not None:
        print(_of_suspects(doubted))
        _show(_suspects(doubted))
    if out is not None:
        _page(out, f"{table.name}", given, found, doubted)
        print(f"page in {out}")


def split(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    out: Path = Path("split.csv"),
    val: float = 0.1,
    test: float = 0.2,
    group: str | None = None,
    seed: int = 0,
    *,
    format: dict[str, Any],
) -> None:
    """Divide a table into train, val and test, stratified by class.

    Args:
        table: Label table: a file or folder in any format of `--format`.
        images: Image folder; if given, every image must exist there.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        out: Table to write, .csv or .parquet.
        val: Share of the images for validation (choice of the epoch), 0 to 1; 0 for none.
        test: Share of the images for the test, 0 to 1; 0 for none.
        group: Column of the table with the group of each image (a patient, a scene); a group is kept in one part.
        seed: Random seed of the split.
        format: Format of the table.
    """
    from partlabel.audit import inspection
    from partlabel.data.tables import stratified_split

    groups = None
    if group is None:
        given = read_table(table, images, absent, format)
    else:
        given, groups = read_grouped(table, images, absent, format, group)
    divided = stratified_split.divide(given, {"test": test, "val": val}, seed, groups)
    divided.save(out)
    print(f"{out}: {_extent(divided)}" + (f"; {len(set(groups)):,} groups kept whole" if groups else ""))
    for part in divided.parts:
        lacking = [each.name for each in inspection.count_classes(divided.part(part)) if not each.present]
        if lacking:
            print(f"{part}: {_some(lacking)} never present")


def _extent(table: "LabelTable") -> str:
    known = f"{table.known:,} of {table.labels.size:,} labels known"
    text = f"{len(table):,} images, {len(table.classes):,} classes, {known}"
    from partlabel.core.messages import some

    parts = some((f"{name or 'no part'} {size:,}" for name, size in table.part_sizes.items()), MOST_GROUPS)
    return f"{text}; {parts}" if parts else text


def _understood(table: "LabelTable", told: "Understood | None") -> str:
    """Describe how the columns were interpreted, the first classes, the counts, and what was left out."""
    text = []
    if told is not None:
        columns = [f"images in column {told.image!r}"]
        columns += [f"class names in column {_some([*map(repr, told.labels)])}"] if told.labels else []
        columns += [f"parts in column {told.split!r}"] if told.split is not None else []
        text.append(f"{', '.join(columns)[:1].upper()}{', '.join(columns)[1:]}")
    text.append(f"Classes: {_some(table.classes) or 'none'}")
    text.append(f"Labels: {table.present:,} present, {table.absent:,} absent, {table.unknown:,} unknown")
    if told is not None:
        text.append(
            f"Left out: {'column ' + _some([*map(repr, told.left_out)]) if told.left_out else 'nothing'}"
        )
    return f"{'. '.join(text)}."


def _classes(classes: Sequence["Class"]) -> "Table":
    """Tabulate the labels of each class; if there are many classes, those that are most often present."""
    from rich.table import Column, Table

    order = sorted(classes, key=lambda each: -each.present)
    numbers = [Column(name, justify="right") for name in ("present", "absent", "unknown")]
    shown = Table(Column("class", overflow="fold"), *numbers, show_footer=True, box=None)
    for each in order[:MOST_CLASSES]:
        shown.add_row(each.name, *(f"{count:,}" for count in each[1:]))
    more = len(order) - MOST_CLASSES
    shown.columns[0].footer = f"all {len(classes):,}" + (f" ({more:,} not shown)" if more > 0 else "")
    for at, column in enumerate(shown.columns[1:], start=1):
        column.footer = f"{sum(int(each[at]) for each in classes):,}"
    return shown


def _parts(parts: Sequence["Part"]) -> "Table":
    """Tabulate the labels of each part of the split."""
    from rich.table import Column, Table

    names = ("images", "present", "absent", "unknown", "fully labelled")
    shown = Table(
        Column("part", overflow="fold"), *(Column(name, justify="right") for name in names), box=None
    )
    for each in parts:
        shown.add_row(each.name or "no part", *(f"{count:,}" for count in each[1:]))
    return shown


def _show(table: "Table") -> None:
    from rich.console import Console

    Console(markup=False, highlight=False).print(table)


def _faults(found: "Inspection") -> list[str]:
    """Describe each problem that needs a person's attention in one line."""
    lines = [
        f"from {each.name or 'an unknown source'}: {each.present:,} present, {each.absent:,} absent"
        for each in found.origins
    ]
    if found.never_present:
        lines.append(f"never known present, so they cannot be learned: {_some(found.never_present)}")
    if found.never_absent:
        lines.append(f"never known absent, so they cannot be evaluated: {_some(found.never_absent)}")
    for pairs, what in (
        (found.never_together, "never known together"),
        (found.apart, "never present together"),
    ):
        if pairs.number:
            first = [f"{pair.one} and {pair.other}" for pair in pairs.first]
            lines.append(f"{pairs.number:,} pairs of classes {what}: {_some(first, pairs.number)}")
    if not found.looked:
        return [*lines, "images were not read: give --images"]
    lines.append(f"broken images: {len(found.broken):,}")
    lines += [f"  {each.image}: {each.reason}" for each in found.broken[:MOST_CLASSES]]
    lines += [
        f"images with {each.what}, scaled to 8 bits: {len(each.images):,}: {_some(each.images)}"
        for each in found.scaled
    ]
    lines.append(
        f"groups of near-duplicates: {len(found.alike):,}, of which across parts: {len(found.leaks):,}"
    )
    for each in found.alike[:MOST_NAMES]:
        parts = f" (in {' and '.join(each.parts)})" if len(each.parts) > 1 else ""
        disputed = f", which disagree on {_some(each.disputed)}" if each.disputed else ""
        lines.append(f"  {_some(each.images)}{parts}{disputed}")
    return lines


def _doubted(run: Path, table: "LabelTable", most: int, trust: bool) -> "Suspects":
    """Find the labels of a table that a run's model contradicts."""
    from partlabel.audit import label_issues
    from partlabel.tagger import Tagger
    from partlabel.training.run_folder import Run

    return label_issues.find_label_issues(
        Tagger.load(run, trust), table, label_issues.trained_on(Run(run)), most
    )


def _of_suspects(found: "Suspects") -> str:
    """Describe how many labels a model contradicts, and whether it was trained on them."""
    text = f"labels that {found.model} contradicts: {found.number:,} of {found.judged:,} known"
    if found.seen is None:
        return f"{text}; the images that it was trained on are not known"
    if found.seen:
        text += f"; {found.seen:,} are of images that it was trained on (*), which it contradicts too rarely"
    return text


def _suspects(found: "Suspects") -> "Table":
    """Tabulate the most contradicted labels of each class."""
    from rich.table import Column, Table

    shown = Table(
        "class", "table says", Column("p", justify="right"), Column("image", overflow="fold"), box=None
    )
    listed = list(found.by_class.items())
    for name, of_class in listed[:MOST_CLASSES]:
        for position, each in enumerate(of_class):
            text = "present" if each.present else "absent"
            image = f"{each.image} *" if each.seen else each.image
            shown.add_row("" if position else name, text, f"{each.probability:.3f}", image)
    if len(listed) > MOST_CLASSES:
        shown.add_row(f"and {len(listed) - MOST_CLASSES:,} more classes", "", "", "")
    return shown


def _page(
    out: Path, title: str, table: "LabelTable", found: "Inspection", doubted: "Suspects | None" = None
) -> None:
    """Write the HTML page with images."""
    from partlabel.reporting import run_report, thumbnails

    alike = [
        {
            **each._asdict(),
            "photos": [
                (thumbnails.thumbnail(Path(str(table.root)) / image), image)
                for image in each.images[:MOST_PHOTOS]
            ],
        }
        for each in found.alike[:MOST_GROUPS]
    ]
    counts = run_report.class_counts(table) if table.labels.size else []
    shown = {
        "title": title,
        "found": found,
        "counts": counts,
        "alike": alike,
        "most_pairs": MOST_PAIRS,
        "doubted": doubted,
        "suspects": [] if doubted is None else _pictured(table, doubted),
    }
    run_report.write_page(out, "inspect.html", shown)


def _pictured(
    table: "LabelTable", found: "Suspects"
) -> list[tuple[str, list[tuple["Picture | None", "Suspect"]]]]:
    """Return the contradicted labels by class, each with its image; each image is read once."""
    from functools import cache

    from partlabel.reporting import thumbnails

    photo = cache(lambda image: thumbnails.thumbnail(Path(str(table.root)) / image))
    return [
        (name, [(photo(each.image), each) for each in of_class])
        for name, of_class in list(found.by_class.items())[:MOST_CLASSES]
    ]


def _some(names: Sequence[str], of: int | None = None) -> str:
    more = (len(names) if of is None else of) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
