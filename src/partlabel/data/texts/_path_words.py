"""Words in the names of files and folders, without counters, dates and the prefixes of cameras."""

import re
from collections import Counter
from collections.abc import Sequence

_APART = re.compile(r"[\s_\-.,;+()\[\]{}~#@&=!'\"]+")
_HUMP = re.compile(r"(?<=[^\W\d_])(?<![A-ZÀ-Þ])(?=[A-ZÀ-Þ])")  # goldenRetriever
_COUNTED = re.compile(r"(?!(?:train|val|test)\d)([^\W\d_]+)\d*")  # `COCO_train2014_7` shows no train
_OF_CAMERAS = frozenset(
    _APART.split(
        "img dsc dscn dscf dcim pxl dji mvi mov vid gopr gopro imag pict sam cimg image images photo "
        "photos foto pic picture pictures scan screenshot frame untitled copy kopie copie edited wa "
        "whatsapp jpg jpeg png webp tif tiff heic thumb thumbnail"
    )
)
"""Words in lower case that cameras, phones and tools write into names of files and folders."""
_ENOUGH = 10  # names from which on a word in all of them is ignored


def words_of(name: str) -> list[str]:
    """Divide a name into words: `golden-retriever_012` and `goldenRetriever12` are golden, retriever.

    Pieces that mix letters and digits (hashes, ids) are left out, and so are single Latin letters.

    Args:
        name: Name without suffix.
    """
    found = []
    for piece in _APART.split(name):
        for hump in (
            _HUMP.split(piece) if not any(mark.isdigit() for mark in piece.rstrip("0123456789")) else ()
        ):
            word = _COUNTED.fullmatch(hump)
            if word and word[1].lower() not in _OF_CAMERAS and (len(word[1]) > 1 or not word[1].isascii()):
                found.append(word[1])
    return found


def without_shared(names: Sequence[Sequence[str]]) -> list[list[str]]:
    """Remove the words that all names have, which distinguish no photo (`holiday_001`, `holiday_002`, ...)."""
    counts = Counter(word for words in names for word in set(words))
    shared = {word for word, number in counts.items() if number == len(names) >= _ENOUGH}
    return [[word for word in words if word not in shared] for words in names]
