"""JSON files of captions: COCO's (`images` and `annotations` with `caption`), a list of objects, or image to texts."""

from pathlib import Path
from typing import Any

from partlabel.data.readers import _json
from partlabel.data.readers._text_columns import strings_in
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import NamedText, TableFile, by_image
from partlabel.data.texts.captions import pairs_of, parted

_NAMES = ("file_name", "filename", "path", "coco_url")


def recognises(source: str) -> bool:
    """Return whether the source is a JSON file, perhaps followed by `:` and a key."""
    path, _ = parted(source)
    return path.is_file() and path.suffix.lower() == ".json"


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Read the texts of each image.

    Raises:
        ValueError: The file has another form, or names no image of the table.
    """
    path, key = parted(source)
    content = _json.load(path)
    if isinstance(content, list):
        objects = [each for each in content if isinstance(each, dict)]
        return by_image(path, table, pairs_of(path, objects, key))
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: neither COCO's captions nor a list of objects nor an object of image to texts"
        )
    if "annotations" in content:
        return by_image(path, table, captions_in(path, content))
    return by_image(path, table, [(image, text) for image in content for text in strings_in(content[image])])


def captions_in(path: Path, content: dict[str, Any]) -> list[NamedText]:
    """Return COCO's captions, each with the file name of its image.

    Raises:
        ValueError: There are no images, or no annotation has a caption.
    """
    images = _json.keyed(path, "the file", content, "images", list)
    listed = [each for each in images if isinstance(each, dict)]
    names = {
        str(each.get("id")): next((each[key] for key in _NAMES if isinstance(each.get(key), str)), "")
        for each in listed
    }
    found = [
        (names.get(str(each.get("image_id")), ""), each["caption"])
        for each in _json.keyed(path, "the file", content, "annotations", list)
        if isinstance(each, dict) and isinstance(each.get("caption"), str)
    ]
    if not found:
        raise ValueError(
            f"{path}: no annotation has a 'caption'; COCO's captions are in captions_train2017.json"
        )
    return found
