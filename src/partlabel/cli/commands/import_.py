"""Command `import`: read labels of any format, and write them in another."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TableOptions, TextOptions
from partlabel.cli.commands._saying import classes_table, extent, say_texts, show, some_of
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.data.readers import Understood
    from partlabel.data.tables.label_table import LabelTable


@command("Prepare")
def import_(
    source: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    out: Path | None = None,
    to: Literal["csv", "parquet", "jsonl", "label_studio", "fiftyone", "xmp"] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
    *,
    beside: TextOptions,
    with_texts: bool = False,
    format: dict[str, Any],
) -> None:
    """Read labels of any format, print how they were interpreted, and write them in another format.

    Args:
        source: Annotation file or folder.
        images: Image folder; if given, every image must exist there.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        out: File to write; default: nothing is written. For xmp, the folder of the photos.
        to: Format to write; default: from the suffix of `out` (.csv, .parquet, .jsonl). `xmp` adds the present labels
            as keywords to the `.xmp` files beside the photos, or creates these.
        missing: Whether images that are not in the image folder are refused or kept.
        beside: Texts of the photos.
        with_texts: Also write the texts into files of other programs (jsonl, label_studio, fiftyone); csv and parquet
            keep them in any case.
        format: Format of the source.
    """
    from partlabel.audit import inspection
    from partlabel.data import readers, writers
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.part_names import warn_of_other_parts
    from partlabel.data.texts import column

    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    options = dict(format)
    name = options.pop("name")
    name = readers.recognise(source, options) if name == "auto" else name
    written = {"name": name, **options}
    given = TableOptions(source, images, absent, written).read_filled(missing, beside.texts)
    table = given.table if isinstance(given, FilledTable) else given
    _, options = column.without_text_columns(source, name, options, beside.texts or ())
    print(f"{source}, read as {name}: {extent(table)}")
    warn_of_other_parts(table.split or ())
    print(_understood(table, readers.understood(name, source, images, options)))
    say_texts(table)
    minus_one = f"; -1 is {options['minus_one']}" if options.get("minus_one") else ""
    print(f"Rule: {readers.absence(name, absent)}{minus_one}.")
    show(classes_table(inspection.count_classes(table)))
    if out is not None:
        print(f"written to {writers.write(given, out, to, with_texts)}")


def _understood(table: "LabelTable", understood: "Understood | None") -> str:
    """Describe how the columns were interpreted, the first classes, the counts, and what was left out."""
    text = []
    if understood is not None:
        columns = [f"images in column {understood.image!r}"]
        columns += (
            [f"class names in column {some_of([*map(repr, understood.labels)])}"] if understood.labels else []
        )
        columns += [f"parts in column {understood.split!r}"] if understood.split is not None else []
        columns += [f"texts in column {some_of([*map(repr, understood.texts)])}"] if understood.texts else []
        text.append(f"{', '.join(columns)[:1].upper()}{', '.join(columns)[1:]}")
    text.append(f"Classes: {some_of(table.classes) or 'none'}")
    text.append(f"Labels: {table.present:,} present, {table.absent:,} absent, {table.unknown:,} unknown")
    if understood is not None:
        text.append(
            f"Left out: {'column ' + some_of([*map(repr, understood.left_out)]) if understood.left_out else 'nothing'}"
        )
    return f"{'. '.join(text)}."
