"""The file names of the photos, as words: `red-car_012.jpg` is `red car`, and `IMG_2041.jpg` nothing."""

from pathlib import PurePosixPath

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import TableFile
from partlabel.data.texts._path_words import without_shared, words_of


def recognises(source: str) -> bool:
    """Return whether the source is `filename`."""
    return source == "filename"


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Return the words of each image's file name as a text, without those that all names have."""
    words = without_shared([words_of(PurePosixPath(image).stem) for image in table.images])
    return [[" ".join(of_image)] for of_image in words]
