"""Command `align`: align a locked image encoder and a locked text encoder on photos with texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TableOptions, TextOptions
from partlabel.training.towers.config import AlignmentConfig, EncoderConfig

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable


@command("Learn", with_model=True)
def align(
    data: TableOptions,
    *,
    beside: TextOptions,
    out: Path = Path("tower"),
    encoders: EncoderConfig,
    config: AlignmentConfig,
) -> None:
    """Align images and texts on photos that have captions, so that photos can be compared with names.

    Args:
        data: Photos.
        table: A folder of photos, or a label table in any format of `--format`, whose labels are not used. If it has a
            split, its part `train` is used.
        beside: Texts of the photos.
        out: Folder of the tower.
        encoders: Locked encoders.
        config: Fit of the projections.
    """
    from partlabel.training.towers.from_photos import align_photos

    table = _photos(data, beside)
    tower = align_photos(table.part("train") if "train" in table.parts else table, encoders, config)
    tower.save(out)
    _say(tower.fitted, out)


def _photos(data: TableOptions, beside: TextOptions) -> "LabelTable":
    """Read a table, or list a folder of photos, and attach the texts."""
    if not data.table.is_dir() or data.format["name"] != "auto":
        return data.read(texts=beside.texts)
    from partlabel.data.tables.of_images import table_of
    from partlabel.data.texts import attach

    return attach(table_of(data.table), beside.texts or ())


def _say(fitted: Any, out: Path) -> None:
    best = f"epoch {fitted['epoch']} of {fitted['settings']['epochs']}"
    print(
        f"aligned on {fitted['photos']:,} photos; {best} has the best "
        f"recall: {fitted['recall']:.1%} among {fitted['validation']:,} other photos, mean of recall at 1, 5 "
        f"and 10 (by chance {fitted['chance']:.1%})"
    )
    print(f"tower in {out}")
