"""Options that commands share: a label table, texts of its photos, and a run with the table that it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.core.rules import Rules
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable

Missing = Literal["refuse", "keep"]


def _recognised() -> dict[str, Any]:
    return {"name": "auto"}


@dataclass(frozen=True)
class TextOptions:
    """Texts of the photos of a table.

    Args:
        texts: Source of texts of the photos (captions, titles, tags), beside those of the table itself; may be
            repeated: a file such as captions.csv, column:NAME of the table, exif, filename, folder, sidecar, or none
            to drop those of the table.
    """

    texts: list[str] | None = None


@dataclass(frozen=True)
class RuleOptions:
    """Rules between the classes of a table.

    Args:
        rules: File of rules between classes (docs/rules.md): YAML, indented text, Open Images' hierarchy, parents of
            synsets, a configuration of Label Studio, or a folder of photos with hierarchical keywords; default:
            rules.yaml beside the table, if there is one; none: no rules.
    """

    rules: str | None = None

    def of(self, table: Path) -> "Rules | None":
        """Read the rules for a table; None without rules."""
        from partlabel.data import rules

        return rules.beside(table, self.rules)


@dataclass(frozen=True)
class TableOptions:
    """A label table.

    Args:
        table: Label table: a file or folder in any format of `--format`.
        images: Image folder.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        format: Name of the format, and the arguments of its reader.
    """

    table: Path
    images: Path | None = None
    absent: Absent | None = None
    format: Mapping[str, Any] = field(default_factory=_recognised)

    def read(self, missing: Missing = "refuse", texts: Sequence[str] | None = None) -> "LabelTable":
        """Read the table, and attach texts.

        Args:
            missing: Whether images that are not in the image folder are refused or kept.
            texts: Sources of texts.
        """
        from partlabel.data.tables.label_table import LabelTable
        from partlabel.data.texts import attach, column

        options = dict(self.format)
        name, options = column.without_text_columns(self.table, options.pop("name"), options, texts or ())
        given = LabelTable.read(self.table, self.images, name, self.absent, missing, **options)
        return attach(given, texts or (), self.table, options)

    def read_grouped(
        self, group: str, missing: Missing = "refuse", texts: Sequence[str] | None = None
    ) -> "tuple[LabelTable, list[str]]":
        """Read as `read`, and the group of each image from a column that is not a class."""
        from partlabel.data.tables import group_column

        options = dict(self.format)
        name, options = group_column.leaving_out(self.table, options.pop("name"), options, group)
        given = replace(self, format={"name": name, **options}).read(missing, texts)
        return given, group_column.read_groups(self.table, given, group, options)

    def read_filled(
        self, missing: Missing = "refuse", texts: Sequence[str] | None = None
    ) -> "LabelTable | FilledTable":
        """Read as `read`; a table that was filled before keeps its probabilities and sources."""
        from partlabel.data import readers
        from partlabel.data.tables.filled import FilledTable
        from partlabel.data.texts import attach, column

        options = dict(self.format)
        name = options.pop("name")
        filled = name in ("auto", "wide_csv") and FilledTable.is_in(self.table, options.get("separator"))
        if filled and (name == "wide_csv" or readers.recognise(self.table, options) == "wide_csv"):
            _, options = column.without_text_columns(self.table, "wide_csv", options, texts or ())
            how = {"absent": self.absent, "missing": missing, **options}
            found = FilledTable.load(self.table, self.images, **how)
            return replace(found, table=attach(found.table, texts or (), self.table, options))
        return self.read(missing, texts)


@dataclass(frozen=True)
class RunOptions:
    """A run, and a label table: that of the run, unless another is given.

    Args:
        run: Run folder.
        table: Label table; default: the one the run was trained on.
        images: Image folder.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        format: Name of the format, and the arguments of its reader.
    """

    run: Path
    table: Path | None = None
    images: Path | None = None
    absent: Absent | None = None
    format: Mapping[str, Any] = field(default_factory=_recognised)

    @property
    def chosen(self) -> TableOptions:
        """Return the table that is given, else that of the run."""
        if self.table is None:
            return self.own
        return TableOptions(self.table, self.images, self.absent, self.format)

    @property
    def own(self) -> TableOptions:
        """Return the table that the run was trained on, with its image folder unless another is given."""
        from partlabel.core.files import read_json
        from partlabel.training.run_folder import Run

        folder = Run(self.run)
        if not folder.labels.exists():
            raise FileNotFoundError(f"{self.run} holds no label table of its own; give one as TABLE")
        return TableOptions(folder.labels, self.images or Path(read_json(folder.config)["data"]["images"]))
