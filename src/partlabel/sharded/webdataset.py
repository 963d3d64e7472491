"""Tar files in the layout of webdataset: images, and next to each its known labels."""

import json
import os
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.data.images.decode import photo_suffixes
from partlabel.data.images.listing import MOST
from partlabel.data.tables.label_table import LabelTable, made_read_only

TARS = (".tar", ".tar.gz", ".tgz")


def require_webdataset(*paths: Path) -> tuple[Path, ...]:
    """Return the tar files, after checking that they can be read.

    Raises:
        ImportError: webdataset is not installed.
    """
    if find_spec("webdataset") is None:
        raise ImportError("tar files need webdataset: pip install 'partlabel[ray]'")
    return paths


def unpacked(shard: Path, folder: Path, classes: Sequence[str]) -> LabelTable:
    """Extract a tar file's images to a folder, and read their known labels.

    An image is named by the tar file, `/` and its own name. Next to `0007.jpg`, `0007.json` may hold known labels:
    `{"labels": {"dog": 1, "cat": 0}}`; classes that are missing there or null are UNKNOWN.

    Raises:
        ValueError: There are no images, a name points outside the folder, or a label is invalid.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    images, labels, suffixes = [], [], photo_suffixes()
    others: list[str] = []
    with shard.open("rb") as file:
        for sample in group_by_keys(tar_file_expander([{"url": str(shard), "stream": file}]), lcase=False):
            suffix = next((name for name in sample if f".{name}".lower().endswith(suffixes)), None)
            read = () if suffix is None else (suffix, "json")
            more = [name for name in sample if not name.startswith("__") and name not in read]
            others += [f"{sample['__key__']}.{name}" for name in more]
            if suffix is None:
                continue
            image = f"{shard.name}/{sample['__key__']}.{suffix}"
            if not os.path.realpath(folder / image).startswith(os.path.realpath(folder) + os.sep):
                raise ValueError(
                    f"{shard}: {image!r} points outside the folder that it is extracted to; rename it"
                )
            (folder / image).parent.mkdir(parents=True, exist_ok=True)
            (folder / image).write_bytes(sample[suffix])
            images.append(image)
            labels.append(_known(f"{shard}: {sample['__key__']}.json", sample.get("json"), classes))
    if others:
        warnings.warn(
            f"{shard}: {len(others)} file(s) of other kinds left out: {some(others, MOST)}", stacklevel=2
        )
    if not images:
        raise ValueError(f"{shard}: it contains no image; images end in {', '.join(suffixes)}")
    return LabelTable(tuple(images), tuple(classes), made_read_only(np.array(labels, np.int8)), root=folder)


def _known(where: str, text: bytes | None, classes: Sequence[str]) -> list[int]:
    """Read the labels of a sample's JSON, under `labels`."""
    codes = {1: PRESENT, 0: ABSENT, None: UNKNOWN}
    try:
        labels_by_class = json.loads(text or b"{}").get("labels", {}).items()
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(
            f'{where} is not of the form {{"labels": {{"dog": 1, "cat": 0}}}}: {error}'
        ) from error
    labels, column = [UNKNOWN] * len(classes), {name: at for at, name in enumerate(classes)}
    for name, label in labels_by_class:
        if name not in column:
            raise ValueError(f"{where}: class {name!r} is not in the model{did_you_mean(name, classes)}")
        if isinstance(label, list | dict) or label not in codes:
            raise ValueError(
                f"{where}: class {name!r} is {label!r}; write 1 (present), 0 (absent) or null (unknown)"
            )
        labels[column[name]] = codes[label]
    return labels
