"""Writers of label tables for other programs. Each function is one format; `write` selects it by name or suffix.

For a filled table, predicted labels are written with their confidence; undecided labels stay unknown.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

import numpy as np

from partlabel.core.files import atomic_write
from partlabel.core.labels import ABSENT, PRESENT
from partlabel.data.sidecars import write_sidecars
from partlabel.data.tables import io
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.provenance import is_persons

Writer = Literal["csv", "parquet", "jsonl", "label_studio", "fiftyone", "xmp"]
_SUFFIXES: dict[str, Writer] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}
LOCAL_FILES = "/data/local-files/?d="
METADATA = "metadata"
"""Name, before its suffix, of the file by which Hugging Face's `imagefolder` describes the images beside it."""
FILE_NAME = "file_name"
"""Column of the images in that file."""


def write(
    table: LabelTable | FilledTable, path: Path, writer: Writer | None = None, with_texts: bool = False
) -> Path:
    """Write a table, under a temporary name first.

    Args:
        table: Table to write; for a filled one with probabilities and sources.
        path: Target file; for `xmp` the folder in which the images or their sidecars lie (`sidecars.py`). A file
            `metadata.csv`, `.parquet` or `.jsonl` describes the images of its folder, as Hugging Face's `imagefolder`.
        writer: Format; by default given by the suffix: `.csv`, `.parquet`, `.jsonl`.
        with_texts: Whether files of other programs have the texts of the images, too; `.csv` and `.parquet` have them.

    Raises:
        ValueError: The suffix names no format, or another one than `writer`; or the images lie outside the folder of
            `metadata`.
    """
    if writer == "xmp":
        write_sidecars(table.table if isinstance(table, FilledTable) else table, path)
        return path
    of_suffix = _SUFFIXES.get(path.suffix.lower())
    if writer is None and of_suffix is None:
        raise ValueError(
            f"{path.name!r} has no known format: end the name in {', '.join(_SUFFIXES)}, or give the format with "
            f"--to: {', '.join(get_args(Writer))}"
        )
    wanted = {"csv": ".csv", "parquet": ".parquet", "jsonl": ".jsonl"}.get(writer or "", ".json")
    if writer is not None and path.suffix.lower() != wanted:
        raise ValueError(f"{path.name!r} is written in the format {writer}: end the name in {wanted}")
    if not with_texts and path.suffix.lower() not in (".csv", ".parquet"):
        table = _without_texts(table)
    match writer or of_suffix:
        case "label_studio":
            return _json(path, label_studio(table))
        case "fiftyone":
            return _json(path, fiftyone(table))
    column = io.IMAGE
    if path.stem == METADATA:
        table, column = _beside(table, path), FILE_NAME
    if isinstance(table, FilledTable):
        return table.save(path, column)
    if path.suffix.lower() == ".jsonl":
        return _lines(path, json_lines(table, column))
    return io.write_wide(io.frame(table).rename({io.IMAGE: column}), path)


def _beside(table: LabelTable | FilledTable, path: Path) -> LabelTable | FilledTable:
    """Name the images by their paths from the folder of a file.

    Raises:
        ValueError: An image is not in this folder.
    """
    plain = table.table if isinstance(table, FilledTable) else table
    if plain.root is None:
        return table
    folder, root = path.parent.resolve(), Path(plain.root).resolve()
    if root != folder and folder not in root.parents:
        raise ValueError(
            f"{path}: a file of this name describes the images of its folder (Hugging Face's imagefolder), and the "
            f"images are in {plain.root}: write {Path(plain.root) / path.name}, or choose another name"
        )
    names = tuple((root / image).relative_to(folder).as_posix() for image in plain.images)
    plain = replace(plain, images=names, root=folder)
    return replace(table, table=plain) if isinstance(table, FilledTable) else plain


def json_lines(table: LabelTable, image_key: str = io.IMAGE) -> Iterator[dict[str, Any]]:
    """Yield one object per image: names of present and absent classes, in the format of the jsonl reader.

    Args:
        table: Label table.
        image_key: Key of the image name.
    """
    for row, image in enumerate(table.images):
        part = {} if table.split is None else {"split": table.split[row]}
        yield {
            image_key: image,
            **part,
            "present": _named(table, row, PRESENT),
            "absent": _named(table, row, ABSENT),
            **_texts(table, row, list),
        }


def label_studio(table: LabelTable | FilledTable, prefix: str = LOCAL_FILES) -> list[dict[str, Any]]:
    """Return tasks with predictions: present classes selected in the choices `classes`, absent ones in `absent`.

    The matching labelling configuration is `label_studio_config`. For a filled table, the `score` of a prediction is
    the model's mean confidence in the labels that it filled, by which Label Studio can sort tasks; the `score` of
    choices is its lowest confidence. Human labels are selected too, but count for neither.

    Args:
        table: Images and labels.
        prefix: Prefix of every path; by default that of Label Studio's local files.
    """
    filled = table if isinstance(table, FilledTable) else None
    plain = table.table if isinstance(table, FilledTable) else table
    tasks, model = [], _model(filled)
    for row, image in enumerate(plain.images):
        result = [
            {
                "from_name": name,
                "to_name": "image",
                "type": "choices",
                "value": {"choices": choices},
                **_score(filled, row, plain.labels[row] == code, np.min),
            }
            for name, code in (("classes", PRESENT), ("absent", ABSENT))
            if (choices := _named(plain, row, code))
        ]
        every = np.ones(len(plain.classes), bool)
        prediction = {
            "model_version": model,
            "result": result,
            **_score(filled, row, every, np.mean),
        }
        data = {"image": prefix + quote(image), **_texts(plain, row, "\n".join)}
        tasks.append({"data": data, "predictions": [prediction]})
    return tasks


def _model(filled: FilledTable | None) -> str:
    """Return the model that filled a table; of several, the one that filled most labels."""
    from_model = np.zeros(0, np.int16) if filled is None else filled.source[~np.isnan(filled.probability)]
    return (
        filled.sources[np.bincount(from_model).argmax()]
        if filled is not None and from_model.size
        else "partlabel"
    )


def _score(
    filled: FilledTable | None, row: int, cells: np.ndarray, over: Callable[[np.ndarray], np.floating]
) -> dict[str, float]:
    """Return the model's confidence in those of an image's cells that it filled; empty if it filled none."""
    if filled is None:
        return {}
    p = filled.probability[row, cells]
    p = p[~np.isnan(p)]
    return {"score": round(float(over(np.maximum(p, 1 - p))), 6)} if p.size else {}


def label_studio_config(classes: tuple[str, ...]) -> str:
    """Return the labelling configuration for `label_studio`: one control for present classes, one for absent ones."""
    choices = "".join(f'\n    <Choice value="{escape(name)}"/>' for name in classes)
    controls = "".join(
        f'\n  <Header value="{heading}"/>\n  <Choices name="{name}" toName="image" choice="multiple">{choices}'
        "\n  </Choices>"
        for name, heading in (("classes", "In the picture"), ("absent", "Looked for, and not there"))
    )
    return f'<View>\n  <Image name="image" value="$image"/>{controls}\n</View>\n'


def fiftyone(table: LabelTable | FilledTable) -> dict[str, Any]:
    """Return samples for `fiftyone.Dataset.from_json(path, rel_dir=<image folder>)`, in the layout of its Open Images.

    `positive_labels` lists present classes, `negative_labels` absent ones; the split is a tag. Predicted labels have
    their `confidence`, if known, and the model as a tag; human labels have neither.
    """
    filled = table if isinstance(table, FilledTable) else FilledTable.of(table)
    plain = filled.table
    samples = []
    for row, image in enumerate(plain.images):
        fields = {"positive_labels": PRESENT, "negative_labels": ABSENT}
        labels = {name: _classifications(filled, row, code) for name, code in fields.items()}
        samples.append(
            {
                "filepath": image,
                "tags": [] if plain.split is None else [plain.split[row]],
                **labels,
                **_texts(plain, row, list),
            }
        )
    return {
        "name": "partlabel",
        "media_type": "image",
        "num_samples": len(samples),
        "info": {},
        "sample_fields": _FIELDS if plain.texts is None else {**_FIELDS, "text": _STRINGS},
        "samples": samples,
    }


_CLASSIFICATIONS = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.Classifications)"
_STRINGS = "fiftyone.core.fields.ListField(fiftyone.core.fields.StringField)"
_FIELDS = {
    "filepath": "fiftyone.core.fields.StringField",
    "tags": _STRINGS,
    "positive_labels": _CLASSIFICATIONS,
    "negative_labels": _CLASSIFICATIONS,
}


def _texts(table: LabelTable, row: int, form: Callable[[tuple[str, ...]], Any]) -> dict[str, Any]:
    """Return the texts of an image under the key `text`; nothing if the table has no texts."""
    return {} if table.texts is None else {"text": form(table.texts[row])}


def _without_texts(table: LabelTable | FilledTable) -> LabelTable | FilledTable:
    if isinstance(table, FilledTable):
        return replace(table, table=table.table.with_texts(None))
    return table.with_texts(None)


def _classifications(filled: FilledTable, row: int, code: int) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for column in (filled.table.labels[row] == code).nonzero()[0].tolist():
        listed.append({"_cls": "Classification", "label": filled.table.classes[column]})
        source = filled.source_of(row, column)
        if not np.isnan(p := filled.probability[row, column]):
            listed[-1]["confidence"] = round(float(p if code == PRESENT else 1 - p), 6)
        if not is_persons(source):
            listed[-1]["tags"] = [source]
    return {"_cls": "Classifications", "classifications": listed}


def _named(table: LabelTable, row: int, code: int) -> list[str]:
    return [table.classes[column] for column in (table.labels[row] == code).nonzero()[0].tolist()]


def _lines(path: Path, entries: Iterator[dict[str, Any]]) -> Path:
    with atomic_write(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    return path


def _json(path: Path, content: Any) -> Path:
    with atomic_write(path) as aside, aside.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    return path
