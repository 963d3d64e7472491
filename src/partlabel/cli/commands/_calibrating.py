"""Options that commands share: the calibration set or the class prevalence that probabilities are calibrated with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from partlabel.cli.commands._reading import RunOptions

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.priors.prevalence import Prevalence
    from partlabel.tagger import Tagger


@dataclass(frozen=True)
class CalibrationOptions:
    """Calibration of the probabilities on unknown labels.

    Args:
        calibration: Calibration set: a table of about 40 images that were drawn at random and labelled completely, or
            one whose column `calibration` is 1 for those, as `review --export` writes it.
        prevalence: Class prevalence, where there is no calibration set: the mean number of present classes per image,
            or a CSV file with the columns class,share.
    """

    calibration: Path | None = None
    prevalence: str | None = None

    def read_set(self, tagger: "Tagger", data: RunOptions) -> "LabelTable | None":
        """Read the calibration set that is given, else the one that the run's review collected; None without either."""
        from partlabel.data.tables.splits import aligned
        from partlabel.priors import calibration_set as reading

        if self.calibration is not None:
            return reading.read(self.calibration, data.images, tagger.classes)
        found = _reviewed(data)
        if found is None or found.calibration is None or not any(found.calibration):
            return None
        name = f"the calibration set that the review of {data.run} collected"
        return reading.check(aligned(reading.marked(found, name), tagger.classes, name), name)

    def read_prevalence(self, tagger: "Tagger") -> "Prevalence | None":
        """Read the class prevalence that is given: a number or a file."""
        from partlabel.priors import prevalence

        return None if self.prevalence is None else prevalence.read(self.prevalence, tagger.classes)


def _reviewed(data: RunOptions) -> "LabelTable | None":
    """Read the table of a run merged with the decisions of its review; None if the run has no table."""
    from partlabel.review import merging, sheets
    from partlabel.review.decisions_copy import opened_read_only
    from partlabel.training.run_folder import Run

    folder = Run(data.run)
    if not folder.labels.exists():
        return None
    table = data.own.read(missing="keep")
    if not folder.decisions.exists():
        return table
    with opened_read_only(folder.decisions) as decisions:
        return merging.merge(table, decisions.tally(), complete=sheets.complete(decisions)).table
