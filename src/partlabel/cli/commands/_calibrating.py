"""Shared by `tune` and `fill`: the calibration set and the class prevalence that the options name."""

from pathlib import Path
from typing import TYPE_CHECKING

from partlabel.cli.commands._reading import of_run, read_table

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.priors.prevalence import Prevalence
    from partlabel.tagger import Tagger


def calibration_set(
    run: Path, tagger: "Tagger", given: Path | None, images: Path | None
) -> "LabelTable | None":
    """Read the calibration set that is named, else the one that the run's review collected; None without either."""
    from partlabel.data.tables.splits import aligned
    from partlabel.priors import calibration_set as reading

    if given is not None:
        return reading.read(given, images, tagger.classes)
    found = _reviewed(run, images)
    if found is None or found.calibration is None or not any(found.calibration):
        return None
    name = f"the calibration set that the review of {run} collected"
    return reading.check(aligned(reading.marked(found, name), tagger.classes, name), name)


def _reviewed(run: Path, images: Path | None) -> "LabelTable | None":
    """Read the table of a run merged with the decisions of its review; None if the run has no table."""
    from partlabel.review import merging, sheets
    from partlabel.review.decisions import opened_read_only
    from partlabel.training.run_folder import Run

    folder = Run(run)
    if not folder.labels.exists():
        return None
    table = read_table(*of_run(run, images), missing="keep")
    if not folder.decisions.exists():
        return table
    with opened_read_only(folder.decisions) as decisions:
        return merging.merge(table, decisions.tally(), complete=sheets.complete(decisions)).table


def prevalence_of(tagger: "Tagger", given: str | None) -> "Prevalence | None":
    """Read the class prevalence from an option: a number or a file."""
    from partlabel.priors import prevalence

    return None if given is None else prevalence.read(given, tagger.classes)
