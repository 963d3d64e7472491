"""Command `vocabulary`: rename, merge, drop and split the classes of a label table or of a trained tagger."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import RuleOptions, RunOptions, TableOptions
from partlabel.cli.parser import UsageError
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.data.tables.vocabulary import Edits


@command("Prepare")
def vocabulary(
    source: Path,
    *,
    rename: list[str] | None = None,
    merge: list[str] | None = None,
    drop: list[str] | None = None,
    split: list[str] | None = None,
    accept: Path | None = None,
    out: Path | None = None,
    dry_run: bool = False,
    images: Path | None = None,
    absent: Absent | None = None,
    format: dict[str, Any],
) -> None:
    """Rename, merge, drop or split classes of a label table or of a trained tagger; the source is not changed.

    Args:
        source: Label table, or run folder.
        rename: Old and new name of a class, as in cab=taxi; may be repeated, as the next three.
        merge: A class and the one that it becomes part of, as in cab=taxi. Present where either is, absent where both
            are; of a tagger, the larger of both logits.
        drop: Class to remove.
        split: A class and those that replace it, as in vehicle=car,bus, absent where it is and unknown where it is
            present; of a table only.
        accept: YAML file of changes, such as the vocabulary-proposed.yaml of `inspect --vocabulary`; changes of each
            kind come after those above.
        out: Table or run folder to write; required unless --dry-run is given.
        dry_run: Print what would change, and write nothing.
        images: Image folder of a table.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        format: Format of a table.
    """
    from partlabel.data.tables.edits_file import read_edits
    from partlabel.data.tables.vocabulary import Edits

    edits = Edits(
        tuple(_pair("rename", each) for each in rename or ()),
        tuple(_pair("merge", each) for each in merge or ()),
        tuple(drop or ()),
        tuple((name, _several(into)) for name, into in (_pair("split", each) for each in split or ())),
    )
    if accept is not None:
        edits = edits.and_then(read_edits(accept))
    if not edits:
        raise UsageError(
            "nothing to change: give --rename cab=taxi, --merge cab=taxi, --drop cab or --split cab=a,b"
        )
    if out is None and not dry_run:
        raise UsageError(
            "missing: --out, the table or run folder to write; with --dry-run nothing is written"
        )
    if out is not None and out.resolve() == source.resolve():
        raise UsageError(f"--out {out} is the source, which stays as it is: give another name")
    if (source / "config.json").exists():
        _change_run(source, edits, None if dry_run else out)
    else:
        _change_table(TableOptions(source, images, absent, format), edits, None if dry_run else out)


def _pair(option: str, typed: str) -> tuple[str, str]:
    """Split `cab=taxi`."""
    one, equals, other = (part.strip() for part in typed.partition("="))
    if not (one and equals and other):
        raise UsageError(
            f"--{option} {typed}: write two names with = between them, as in --{option} cab=taxi"
        )
    return one, other


def _several(typed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in typed.split(",") if name.strip())


def _change_table(data: TableOptions, edits: "Edits", out: Path | None) -> None:
    """Change a label table."""
    from partlabel.data import writers
    from partlabel.data.tables.filled import FilledTable

    given = data.read_filled("keep")
    table = given.table if isinstance(given, FilledTable) else given
    changed = _said(table, edits)
    if isinstance(given, FilledTable):
        print("the probabilities of filled labels are left out; their sources are kept")
    rules = RuleOptions().of(data.table)
    if rules and (named := [name for name in rules.classes if name not in changed.classes]):
        print(f"{rules.source} names {', '.join(map(repr, named))}: change it there, too")
    if out is not None:
        print(f"written to {writers.write(changed, out)}")


def _change_run(run: Path, edits: "Edits", out: Path | None) -> None:
    """Change a trained tagger, and the table of its run."""
    from partlabel.tagger import Tagger
    from partlabel.training import vocabulary_edits
    from partlabel.training.changed_run import write_changed
    from partlabel.training.run_folder import Run

    tagger, before = Tagger.load(run), Run(run)
    vocabulary_edits.check(tagger, edits)
    table = RunOptions(run).own.read(missing="keep") if before.labels.exists() else None
    changed = None if table is None else _said(table, edits)
    print(f"classes of the tagger: {len(tagger.classes):,}, then {len(edits.names(tagger.classes)):,}")
    if edits.merge:
        print(
            "the logit of a merged class is the larger one of both; partlabel tune fits its threshold again"
        )
    if out is None:
        return
    made = vocabulary_edits.edit(tagger, edits, changed, out.resolve().name)
    write_changed(made, changed, Run(out), before, {"edits": asdict(edits)})
    print(
        f"written to {out}; the review of {run} stays there"
        if before.review.exists()
        else f"written to {out}"
    )


def _said(table: "LabelTable", edits: "Edits") -> "LabelTable":
    """Print what changes; return the table after that."""
    changed, sentences = edits.apply(table)
    print("\n".join(sentences))
    return changed
