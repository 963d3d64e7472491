"""Functions that commands share: reading the label table of the options or of a run, and opening a server socket."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.core.labels import Absent

if TYPE_CHECKING:
    import numpy as np

    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.data.tables.provenance import Origins
    from partlabel.priors.prevalence import Prevalence
    from partlabel.tagger import Tagger


def read_table(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable":
    """Read the label table named by a command's options."""
    from partlabel.data.tables.label_table import LabelTable

    options = dict(format or {"name": "auto"})
    return LabelTable.read(table, images, options.pop("name"), absent, missing, **options)


def read_grouped(
    table: Path,
    images: Path | None,
    absent: Absent | None,
    format: Mapping[str, Any],
    group: str,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "tuple[LabelTable, list[str]]":
    """Read a table as `read_table`, and the group of each image from a column that is not a class."""
    from partlabel.data.tables import group_column
    from partlabel.data.tables.label_table import LabelTable

    options = dict(format)
    name, options = group_column.leaving_out(table, options.pop("name"), options, group)
    given = LabelTable.read(table, images, name, absent, missing, **options)
    return given, group_column.read_groups(table, given, group, options)


def read_filled(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable | FilledTable":
    """Read a table as `read_table`; a table that was filled before keeps its probabilities and sources."""
    from partlabel.data import readers
    from partlabel.data.tables.filled import FilledTable

    options = dict(format or {"name": "auto"})
    name = options.pop("name")
    filled = name in ("auto", "wide_csv") and FilledTable.is_in(table, options.get("separator"))
    if filled and (name == "wide_csv" or readers.recognise(table, options) == "wide_csv"):
        return FilledTable.load(table, images, absent=absent, missing=missing, **options)
    return read_table(table, images, absent, format, missing)


def run_table(
    run: Path,
    table: Path | None,
    images: Path | None,
    absent: Absent | None,
    format: Mapping[str, Any],
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable":
    """Read the label table that is named, else the one that a run was trained on, with the image folder of that run."""
    if table is not None:
        return read_table(table, images, absent, format, missing)
    return read_table(*of_run(run, images), missing=missing)


def of_run(run: Path, images: Path | None) -> tuple[Path, Path]:
    """Return the paths of the label table that a run was trained on and of its image folder."""
    from partlabel.core.files import read_json
    from partlabel.training.run_folder import Run

    folder = Run(run)
    if not folder.labels.exists():
        raise FileNotFoundError(f"{run} holds no label table of its own; give one as TABLE")
    return folder.labels, images or Path(read_json(folder.config)["data"]["images"])


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


def say_how_known(
    labels: "np.ndarray", origins: "Origins | None" = None, scores: "np.ndarray | None" = None
) -> None:
    """Print in one sentence how the known labels were selected; warn if that is implausible."""
    import warnings

    from partlabel.priors import label_selection

    if not labels.size:
        return
    found = label_selection.describe(labels, origins, scores)
    print(found.sentence)
    if found.warning:
        warnings.warn(found.warning, stacklevel=2)


def prevalence_of(tagger: "Tagger", given: str | None) -> "Prevalence | None":
    """Read the class prevalence from an option: a number or a file."""
    from partlabel.priors import prevalence

    return None if given is None else prevalence.read(given, tagger.classes)


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens at an address, so that early connections wait.

    Raises:
        OSError: The port is in use, or the address is not one of this machine; the message says which.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"cannot listen at {host}, port {port}: {reason}; give another --host or --port"
        ) from error
    return bound
