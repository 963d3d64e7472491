"""Texts inside the image files: caption, title, headline and keywords of IPTC and XMP, and EXIF's ImageDescription.

XMP beside the image (`a.xmp`, `a.jpg.xmp`) is read too. An image that cannot be read has no text.
"""

from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from PIL import ExifTags, ImageFile

from partlabel.core.progress_bar import track
from partlabel.data.images import metadata
from partlabel.data.images.decode import photo_formats
from partlabel.data.images.opening import opened
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import TableFile, paths_of

_DC, _PHOTOSHOP = "{http://purl.org/dc/elements/1.1/}", "{http://ns.adobe.com/photoshop/1.0/}"
_LISTS = (f"{_DC}description", f"{_DC}title", f"{_DC}subject")
_PLAIN = f"{_PHOTOSHOP}Headline"
_ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_IPTC = ((2, 5), (2, 105), (2, 120), (2, 25))  # title, headline, caption, keywords
_WINDOWS = (ExifTags.Base.XPTitle, ExifTags.Base.XPSubject, ExifTags.Base.XPComment, ExifTags.Base.XPKeywords)
_OF_CAMERAS = (
    *("olympus digital camera", "minolta digital camera", "kodak digital still camera", "digital camera"),
    *("sony dsc", "exif_jpeg_picture", "dig_camera", "samsung camera pictures", "screenshot", "untitled"),
)
"""Descriptions that cameras and phones write into every photo."""


def recognises(source: str) -> bool:
    """Return whether the source is `exif`."""
    return source == "exif"


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Read the texts inside each image.

    Raises:
        ValueError: The table has no image folder.
    """
    return [texts_inside(path) for path in track(paths_of(source, table), "Reading texts", unit="photos")]


def texts_inside(path: Path) -> list[str]:
    """Return the texts inside an image file and in the XMP beside it."""
    found: list[str] = []
    for beside in metadata.xmp_files(path):
        with suppress(ElementTree.ParseError, OSError):
            found += _of_xmp(beside.read_bytes())
    with suppress(Exception), opened(path, photo_formats()) as image:  # Pillow's plugins raise all kinds
        found += _inside(image)
    return [text for text in found if text.strip().lower() not in _OF_CAMERAS]


def _inside(image: ImageFile.ImageFile) -> list[str]:
    """Return the texts of an image's XMP, IPTC and EXIF; what cannot be parsed is left out."""
    found: list[str] = []
    with suppress(Exception):
        found += _of_xmp(metadata.xmp_inside(image))
    with suppress(Exception):
        found += metadata.iptc_values(image, *_IPTC)
    with suppress(Exception):
        description = image.getexif().get(ExifTags.Base.ImageDescription, "")
        found.append(
            description.decode("utf-8", "replace") if isinstance(description, bytes) else str(description)
        )
        found += [part for tag in _WINDOWS for part in metadata.windows_text(image, tag).split(";")]
    return found


def _of_xmp(packet: bytes) -> list[str]:
    """Return description, title, keywords and headline of an XMP packet.

    Raises:
        ElementTree.ParseError: As `metadata.xmp_tree`.
    """
    tree = metadata.xmp_tree(packet)
    if tree is None:
        return []
    listed = [item.text or "" for name in _LISTS for each in tree.iter(name) for item in each.iter(_ITEM)]
    plain = [each.text or "" for each in tree.iter(_PLAIN)]
    return [*listed, *plain, *(each.attrib[_PLAIN] for each in tree.iter() if _PLAIN in each.attrib)]
