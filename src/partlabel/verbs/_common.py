"""What verbs share: the label table that their options name, that of a run, and the address they answer at."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.codes import Absent

if TYPE_CHECKING:
    from partlabel.data.filled import FilledTable
    from partlabel.data.table import LabelTable


def read_table(
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


def read_grouped(
    table: Path,
    images: Path | None,
    absent: Absent | None,
    format: Mapping[str, Any],
    group: str,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "tuple[LabelTable, list[str]]":
    """As `read_table`, and the group of each image, from a column that is no class."""
    from partlabel.data import groups
    from partlabel.data.table import LabelTable

    options = dict(format)
    name, options = groups.leaving_out(table, options.pop("name"), options, group)
    given = LabelTable.read(table, images, name, absent, missing, **options)
    return given, groups.of(table, given, group, options)


def read_filled(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
) -> "LabelTable | FilledTable":
    """As `read_table`; a table that was filled before comes with its probabilities and sources."""
    from partlabel.data import readers
    from partlabel.data.filled import FilledTable

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
    """The label table that is named, or else the one that a run was trained on, from where its images were then."""
    if table is not None:
        return read_table(table, images, absent, format, missing)
    return read_table(*of_run(run, images), missing=missing)


def of_run(run: Path, images: Path | None) -> tuple[Path, Path]:
    """The label table that a run was trained on, and its image folder."""
    from partlabel.run import Run, read_json

    folder = Run(run)
    if not folder.labels.exists():
        raise FileNotFoundError(f"{run} holds no label table of its own; name one")
    return folder.labels, images or Path(read_json(folder.config)["data"]["images"])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address, so that who comes early waits.

    Raises:
        OSError: It is taken, or no address of this machine; the message says which.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        said = getattr(error, "strerror", None) or error
        raise OSError(
            f"cannot listen at {host}, port {port}: {said}; give another --host or --port"
        ) from error
    return bound
