"""Command `split`: divide a table into train, val and test."""

from pathlib import Path

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TableOptions
from partlabel.cli.commands._saying import extent, say_texts, some_of


@command("Prepare")
def split(
    data: TableOptions,
    out: Path = Path("split.csv"),
    val: float = 0.1,
    test: float = 0.2,
    group: str | None = None,
    seed: int = 0,
) -> None:
    """Divide a table into train, val and test, stratified by class.

    Args:
        data: Label table.
        images: Image folder; if given, every image must exist there.
        out: Table to write, .csv or .parquet.
        val: Share of the images for validation (choice of the epoch), 0 to 1; 0 for none.
        test: Share of the images for the test, 0 to 1; 0 for none.
        group: Column of the table with the group of each image (a patient, a scene); a group is kept in one part.
        seed: Random seed of the split.
    """
    from partlabel.audit import inspection
    from partlabel.data.tables import stratified_split

    groups = None
    if group is None:
        given = data.read()
    else:
        given, groups = data.read_grouped(group)
    divided = stratified_split.divide(given, {"test": test, "val": val}, seed, groups)
    divided.save(out)
    print(f"{out}: {extent(divided)}" + (f"; {len(set(groups)):,} groups kept whole" if groups else ""))
    say_texts(divided)
    for part in divided.parts:
        lacking = [each.name for each in inspection.count_classes(divided.part(part)) if not each.present]
        if lacking:
            print(f"{part}: {some_of(lacking)} never present")
