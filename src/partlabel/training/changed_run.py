"""The run folder of a tagger whose classes changed after training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partlabel.core.files import read_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.selection.result import save_out_of_fold
from partlabel.training.recognizer import Recognizer
from partlabel.training.run_folder import Run, digest


def write_changed(
    tagger: Recognizer, table: LabelTable | None, out: Run, before: Run, about: Mapping[str, Any]
) -> None:
    """Write a run folder with a tagger, its table and its out-of-fold logits.

    Args:
        tagger: Tagger of other classes.
        table: Its label table; None where the run has none.
        out: Run folder to write.
        before: Run folder of the tagger that it was made of.
        about: What changed, for `config.json`.

    Raises:
        FileExistsError: `out` holds a run.
    """
    description = tagger.description() | {"training": read_json(before.config).get("training", {})}
    if table is not None:
        images = str(Path(table.root or ".").resolve())
        description |= {"data": {"images": images, "table": digest(table)}}
    description |= {"changed": {"from": str(before.folder), **about}}
    out.start(description, resume=False)
    if table is not None:
        table.save(out.labels)
    tagger.save(out.folder, description)
    if tagger.out_of_fold is not None:
        save_out_of_fold(out.out_of_fold, tagger.out_of_fold.logits, tagger.out_of_fold.with_texts)
