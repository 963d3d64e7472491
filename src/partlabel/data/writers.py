"""Writers: a label table for other programs. One function is one format; `write` finds it by name or by suffix."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

from partlabel.codes import ABSENT, PRESENT
from partlabel.data import wide
from partlabel.data.aside import written_aside
from partlabel.data.table import LabelTable

Writer = Literal["csv", "parquet", "jsonl", "label_studio", "fiftyone"]
_SUFFIXES: dict[str, Writer] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}
LOCAL_FILES = "/data/local-files/?d="


def write(table: LabelTable, path: Path, writer: Writer | None = None) -> Path:
    """Write a table, aside and then renamed.

    Args:
        table: What to write.
        path: The file.
        writer: The format; by the suffix where there is none: `.csv`, `.parquet`, `.jsonl`.

    Raises:
        ValueError: The suffix says no format, or another one than `writer`.
    """
    of_suffix = _SUFFIXES.get(path.suffix)
    if writer is None and of_suffix is None:
        raise ValueError(
            f"what format is {path.name!r} to be in? end the name in {', '.join(_SUFFIXES)}, or say it with --to: "
            f"{', '.join(get_args(Writer))}"
        )
    wanted = {"csv": ".csv", "parquet": ".parquet", "jsonl": ".jsonl"}.get(writer or "", ".json")
    if writer is not None and path.suffix != wanted:
        raise ValueError(f"{path.name!r} is to be in the format {writer}: end the name in {wanted}")
    match writer or of_suffix:
        case "jsonl":
            return _lines(path, lines(table))
        case "label_studio":
            return _json(path, label_studio(table))
        case "fiftyone":
            return _json(path, fiftyone(table))
    return wide.write(wide.frame(table), path)


def lines(table: LabelTable) -> Iterator[dict[str, Any]]:
    """One object an image: what is present and what is absent, by name; as the jsonl reader reads it."""
    for row, image in enumerate(table.images):
        part = {} if table.split is None else {"split": table.split[row]}
        yield {
            "image": image,
            **part,
            "present": _named(table, row, PRESENT),
            "absent": _named(table, row, ABSENT),
        }


def label_studio(table: LabelTable, prefix: str = LOCAL_FILES) -> list[dict[str, Any]]:
    """Tasks with predictions: what is present ticked in the choices `classes`, what is absent in `absent`.

    The labelling configuration that fits is `label_studio_config`.

    Args:
        table: Images and labels.
        prefix: Before every path; that of Label Studio's local files if none.
    """
    tasks = []
    for row, image in enumerate(table.images):
        ticked = {"classes": _named(table, row, PRESENT), "absent": _named(table, row, ABSENT)}
        result = [
            {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": choices}}
            for name, choices in ticked.items()
            if choices
        ]
        tasks.append(
            {
                "data": {"image": prefix + quote(image)},
                "predictions": [{"model_version": "partlabel", "result": result}],
            }
        )
    return tasks


def label_studio_config(classes: tuple[str, ...]) -> str:
    """The labelling configuration for `label_studio`: one control of what is present, one of what is absent."""
    choices = "".join(f'\n    <Choice value="{escape(name)}"/>' for name in classes)
    controls = "".join(
        f'\n  <Header value="{heading}"/>\n  <Choices name="{name}" toName="image" choice="multiple">{choices}'
        "\n  </Choices>"
        for name, heading in (("classes", "In the picture"), ("absent", "Looked for, and not there"))
    )
    return f'<View>\n  <Image name="image" value="$image"/>{controls}\n</View>\n'


def fiftyone(table: LabelTable) -> dict[str, Any]:
    """Samples for `fiftyone.Dataset.from_json(path, rel_dir=<image folder>)`, as its Open Images have them.

    `positive_labels` lists what is present, `negative_labels` what is absent; the split is a tag.
    """
    samples = []
    for row, image in enumerate(table.images):
        fields = {"positive_labels": PRESENT, "negative_labels": ABSENT}
        labels = {name: _classifications(_named(table, row, code)) for name, code in fields.items()}
        samples.append(
            {"filepath": image, "tags": [] if table.split is None else [table.split[row]], **labels}
        )
    return {
        "name": "partlabel",
        "media_type": "image",
        "num_samples": len(samples),
        "info": {},
        "sample_fields": _FIELDS,
        "samples": samples,
    }


_FIELDS = [
    {"name": "filepath", "ftype": "fiftyone.core.fields.StringField"},
    {
        "name": "tags",
        "ftype": "fiftyone.core.fields.ListField",
        "subfield": "fiftyone.core.fields.StringField",
    },
    *(
        {
            "name": name,
            "ftype": "fiftyone.core.fields.EmbeddedDocumentField",
            "embedded_doc_type": "fiftyone.core.labels.Classifications",
        }
        for name in ("positive_labels", "negative_labels")
    ),
]


def _classifications(names: list[str]) -> dict[str, Any]:
    listed = [{"_cls": "Classification", "label": name} for name in names]
    return {"_cls": "Classifications", "classifications": listed}


def _named(table: LabelTable, row: int, code: int) -> list[str]:
    return [table.classes[column] for column in (table.labels[row] == code).nonzero()[0].tolist()]


def _lines(path: Path, entries: Iterator[dict[str, Any]]) -> Path:
    with written_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    return path


def _json(path: Path, content: Any) -> Path:
    with written_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    return path
