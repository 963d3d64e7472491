"""Command `inspect`: look for problems in a table and in its images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from partlabel.cli.commands._command import command
from partlabel.cli.commands._inspected_classes import (
    AUTO_RULES,
    obeyed_rules,
    proposed_rules,
    proposed_vocabulary,
)
from partlabel.cli.commands._inspected_texts import of_texts
from partlabel.cli.commands._reading import RuleOptions, TableOptions, TextOptions
from partlabel.cli.commands._saying import (
    MOST_CLASSES,
    MOST_NAMES,
    classes_table,
    extent,
    say_how_known,
    show,
    some_of,
)
from partlabel.cli.parser import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from partlabel.audit.inspection import Inspection, Part
    from partlabel.audit.label_issues import Suspect, Suspects
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.reporting.thumbnails import Picture

MOST_GROUPS, MOST_PHOTOS, MOST_PAIRS = 40, 6, 60


@command("Prepare")
def inspect(
    data: TableOptions,
    out: Path | None = None,
    near: int = 6,
    workers: int = 2,
    run: Path | None = None,
    suspects: int = 5,
    trust: bool = False,
    vocabulary: bool = False,
    *,
    beside: TextOptions,
    between: RuleOptions,
) -> None:
    """Look for problems in a table and in its images.

    Args:
        data: Label table.
        images: Image folder; if given, every image is read.
        out: HTML page with images to write; its name ends in .html.
        near: Maximum Hamming distance between the 128-bit hashes of near-duplicates, 0 to 32.
        workers: Threads that read images.
        run: Run folder of a model that looks for errors among the known labels.
        suspects: With --run, number of labels to list per class, those first that the model contradicts most.
        trust: With --run: also import its method and head from the working directory and from its own folder.
        vocabulary: Look for classes that may be one, that have hardly any photos, or that a rule makes superfluous, and
            propose changes of them in vocabulary-proposed.yaml.
        beside: Texts of the photos.
        between: Rules between classes.
        rules: File of rules between classes, whose contradictions are counted (docs/rules.md); default: rules.yaml
            beside the table; none: no rules; auto: propose rules from the known labels, in rules-proposed.yaml.
    """
    from partlabel.audit import inspection
    from partlabel.data.tables.part_names import warn_of_other_parts

    if out is not None and out.suffix != ".html":
        raise ValueError(f"--out {out}: the page is an HTML file; give a name that ends in .html")
    if run is not None and data.images is None:
        raise UsageError(f"--run {run}: the model needs the images; give --images")
    given = data.read("keep", beside.texts)
    found = inspection.inspect(given, data.images is not None, near, workers)
    print(f"{data.table}: {extent(given)}")
    if found.parts:
        show(_parts(found.parts))
    warn_of_other_parts(given.split or ())
    show(classes_table(found.classes))
    about_texts = of_texts(given)
    print("\n".join([*_faults(found), *about_texts]))
    say_how_known(given.labels, given.origins)
    of_classes = _of_classes(given, between, data.table, vocabulary)
    doubted = None if run is None else _doubted(run, given, suspects, trust)
    if doubted is not None:
        print(_of_suspects(doubted))
        show(_suspects(doubted))
    if out is not None:
        _page(out, data.table.name, given, found, doubted, {"texts": about_texts, **of_classes})
        print(f"page in {out}")


def _of_classes(
    given: "LabelTable", between: RuleOptions, table: Path, with_vocabulary: bool
) -> dict[str, object]:
    """Print what rules and a look at the vocabulary say, and return it for the page."""
    proposes = between.rules == AUTO_RULES
    rules = None if proposes else between.of(table)
    of_rules = proposed_rules(given, table.name) if proposes else obeyed_rules(given, rules)
    found = proposed_vocabulary(given, rules, table) if with_vocabulary else None
    return {"rules": of_rules, "vocabulary": found}


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


def _faults(found: "Inspection") -> list[str]:
    """Describe each problem that needs a person's attention in one line."""
    lines = [
        f"from {each.name or 'an unknown source'}: {each.present:,} present, {each.absent:,} absent"
        for each in found.origins
    ]
    if found.never_present:
        lines.append(f"never known present, so they cannot be learned: {some_of(found.never_present)}")
    if found.never_absent:
        lines.append(f"never known absent, so they cannot be evaluated: {some_of(found.never_absent)}")
    for pairs, what in (
        (found.never_together, "never known together"),
        (found.apart, "never present together"),
    ):
        if pairs.number:
            first = [f"{pair.one} and {pair.other}" for pair in pairs.first]
            lines.append(f"{pairs.number:,} pairs of classes {what}: {some_of(first, pairs.number)}")
    if not found.looked:
        return [*lines, "images were not read: give --images"]
    lines.append(f"broken images: {len(found.broken):,}")
    lines += [f"  {each.image}: {each.reason}" for each in found.broken[:MOST_CLASSES]]
    lines += [
        f"images with {each.what}, scaled to 8 bits: {len(each.images):,}: {some_of(each.images)}"
        for each in found.scaled
    ]
    lines.append(
        f"groups of near-duplicates: {len(found.alike):,}, of which across parts: {len(found.leaks):,}"
    )
    for each in found.alike[:MOST_NAMES]:
        parts = f" (in {' and '.join(each.parts)})" if len(each.parts) > 1 else ""
        disputed = f", which disagree on {some_of(each.disputed)}" if each.disputed else ""
        lines.append(f"  {some_of(each.images)}{parts}{disputed}")
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
    out: Path,
    title: str,
    table: "LabelTable",
    found: "Inspection",
    doubted: "Suspects | None",
    further: dict[str, object],
) -> None:
    """Write the HTML page with images."""
    from partlabel.reporting import thumbnails
    from partlabel.reporting.label_tables import class_counts
    from partlabel.reporting.page import write_page

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
    counts = class_counts(table) if table.labels.size else []
    shown = {
        "title": title,
        "found": found,
        "counts": counts,
        "alike": alike,
        "most_pairs": MOST_PAIRS,
        "doubted": doubted,
        "suspects": [] if doubted is None else _pictured(table, doubted),
        **further,
    }
    write_page(out, "inspect.html", shown)


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
