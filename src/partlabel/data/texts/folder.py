"""The names of the folders below the image folder, as words: `Rome 2019/street-cats/1.jpg` is `Rome`, `street cats`."""

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import PARTS, part_name
from partlabel.data.texts._matching import TableFile
from partlabel.data.texts._path_words import without_shared, words_of


def recognises(source: str) -> bool:
    """Return whether the source is `folder`."""
    return source == "folder"


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Return the words of each folder as a text, without parts and folders that all images are in."""
    names = (_names_of(image) for image in table.images)
    return without_shared([[" ".join(words_of(name)) for name in of_image] for of_image in names])


def _names_of(image: str) -> list[str]:
    """Return the folders of an image that are not parts (`train`, `val`, `test`)."""
    return [name for name in image.split("/")[:-1] if part_name(name) not in PARTS]
