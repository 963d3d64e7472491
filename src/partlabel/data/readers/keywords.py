"""Keywords inside image files, as photo managers write them: XMP `dc:subject`, IPTC keywords, Windows' XPKeywords.

Hierarchical keywords (`animal|dog` of Lightroom, `animal/dog` of digiKam and Windows) are read as well; by default
their last name is the class, because these programs write it into `dc:subject`. `.xmp` files beside the images
(darktable, Lightroom) are read too. An image without any keyword counts as not annotated.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from PIL import ExifTags, ImageFile

from partlabel.core.progress_bar import track
from partlabel.data.images import metadata
from partlabel.data.images.decode import photo_formats
from partlabel.data.images.listing import images_in
from partlabel.data.images.opening import opened
from partlabel.data.readers import _hierarchy, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "keywords list only what is present; a keyword that an image does not have is unknown",
    "negative": "a keyword that an image with keywords does not have is absent; all labels of an image "
    "without keywords are unknown",
}
_SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
_HIERARCHIES = {
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject": "|",
    "{http://www.digikam.org/ns/1.0/}TagsList": "/",
    "{http://ns.microsoft.com/photo/1.0/}LastKeywordXMP": "/",
}
_ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_KEYWORDS = (2, 25)  # of IPTC


def recognises(path: Path) -> bool:
    """Return False: detection would open every image, so the format must be given explicitly."""
    return False


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    hierarchy: _hierarchy.Hierarchy = "leaf",
) -> LabelTable:
    """Read the keywords of the images in a folder and its subfolders. Images that cannot be read have no keywords.

    Args:
        path: Image folder.
        images: Not used: the images are in `path`.
        absent: Meaning of a keyword that an image does not have; required.
        classes: Keywords that are classes, in their order; others are left out. By default all that occur, in
            alphabetical order.
        hierarchy: Levels of a hierarchical keyword that are classes: the `leaf`, the leaf and its `parents`, or the
            whole `path`, written `animal|dog`.

    Raises:
        ValueError: There are no images, none has keywords, or two hierarchies have the same last name.
    """
    require_absent(path, absent, "keywords list only what is present")
    if not path.is_dir():
        raise ValueError(f"{path}: not a folder; give the one with the images")
    listed = images_in(path, (".xmp",))
    keywords = [keywords_of(path / image) for image in track(listed, "Reading keywords", unit="photos")]
    found = []
    for image, names in zip(listed, _hierarchy.classes_of(path, keywords, hierarchy), strict=True):
        chosen = names if classes is None else [name for name in names if name in classes]
        found.append(_names.Found(image, chosen, looked=bool(names)))
    if not any(each.looked for each in found):
        raise ValueError(f"{path}: none of the {len(listed)} images has keywords (XMP, IPTC, XPKeywords)")
    return _names.table(path, found, classes, absent, path)


def keywords_of(path: Path) -> list[_hierarchy.Levels]:
    """Return the distinct keywords of an image and of the `.xmp` beside it; plain ones are paths of one name.

    Args:
        path: Image file.

    Raises:
        ValueError: The `.xmp` beside it cannot be parsed.
    """
    names: list[_hierarchy.Levels] = []
    for beside in metadata.xmp_files(path):
        try:
            names += keywords_in(beside.read_bytes())
        except ElementTree.ParseError as error:
            raise ValueError(f"{beside}: not XMP: {error}") from None
    with suppress(Exception), opened(path, photo_formats()) as image:  # Pillow's plugins raise all kinds
        names += _inside(image)
    return [each for each in dict.fromkeys(names) if each]


def _inside(image: ImageFile.ImageFile) -> list[_hierarchy.Levels]:
    """Return the keywords in the image's own XMP, IPTC and EXIF."""
    names: list[_hierarchy.Levels] = []
    with suppress(ElementTree.ParseError):  # other programs have written what they have
        names += keywords_in(metadata.xmp_inside(image))
    plain = metadata.iptc_values(image, _KEYWORDS)
    plain += metadata.windows_text(image, ExifTags.Base.XPKeywords).split(";")
    return names + [_hierarchy.levels([name]) for name in plain]


def keywords_in(packet: bytes) -> list[_hierarchy.Levels]:
    """Return the items of `dc:subject` and of hierarchical keywords of an XMP packet.

    Args:
        packet: Text of the packet; may be empty.

    Raises:
        ElementTree.ParseError: As `metadata.xmp_tree`.
    """
    tree = metadata.xmp_tree(packet)
    if tree is None:
        return []
    plain = [item.text or "" for subject in tree.iter(_SUBJECT) for item in subject.iter(_ITEM)]
    nested = [
        (item.text or "").split(mark)
        for name, mark in _HIERARCHIES.items()
        for keywords in tree.iter(name)
        for item in keywords.iter(_ITEM)
    ]
    return [_hierarchy.levels([name]) for name in plain] + [_hierarchy.levels(names) for names in nested]
