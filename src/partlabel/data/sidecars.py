"""Keywords written into `.xmp` files beside photos, as Lightroom, digiKam and PhotoPrism read them.

A class becomes an item of `dc:subject`; one whose name is a path, `animal|dog`, an item of `lr:hierarchicalSubject`
too, with the leaf in `dc:subject`, as Lightroom writes it. digiKam prefers a list of its own, `digiKam:TagsList`, with
`animal/dog`: it is continued where a file has it. Keywords are only added. In a file that exists, items are inserted
into its text, so that everything else stays as it is, byte for byte.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape

from partlabel.core.files import atomic_write
from partlabel.core.labels import PRESENT
from partlabel.data.images import metadata
from partlabel.data.readers.keywords import keywords_in
from partlabel.data.tables.label_table import LabelTable

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
Property = tuple[str, str, str]
"""Namespace, usual prefix and name."""
SUBJECT = ("http://purl.org/dc/elements/1.1/", "dc", "subject")
HIERARCHY = ("http://ns.adobe.com/lightroom/1.0/", "lr", "hierarchicalSubject")
DIGIKAM = ("http://www.digikam.org/ns/1.0/", "digiKam", "TagsList")
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n  <rdf:Description rdf:about="">\n  </rdf:Description>\n </rdf:RDF>\n'
    '</x:xmpmeta>\n<?xpacket end="w"?>\n'
).encode()
_TAG = re.compile(
    rb"<(?P<prefix>[^\s:/>]+:)?(?P<name>[^\s:/>]+)(?:[^\"'>/]|\"[^\"]*\"|'[^']*')*(?P<closed>/)?>"
)
"""A start tag; a slash between its attributes and the bracket closes it."""
_FIX = "write the sidecar again with the program that it comes from, or move it away to start a new one"


def write_sidecars(table: LabelTable, folder: Path) -> int:
    """Write the present labels of each image into the sidecar that it has, or else a new one (`a.jpg.xmp`).

    All files are checked before the first one is written.

    Args:
        table: Label table.
        folder: Folder in which images, or sidecars alone, lie.

    Returns:
        The number of files that were changed or created.

    Raises:
        ValueError: A file is not XMP, or an image is outside of the folder.
    """
    changed = sum(1 for _ in _changes(table, folder))
    for file, after in _changes(table, folder):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as aside:
            aside.write_bytes(after)
    return changed


def _changes(table: LabelTable, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each sidecar that changes, and its text after that; errors as in `write_sidecars`."""
    for row, image in enumerate(table.images):
        names = [name for name, code in zip(table.classes, table.labels[row], strict=True) if code == PRESENT]
        if not names:
            continue
        path = folder / image
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"row {row + 1}: the image {image!r} is outside of {folder}")
        file = next(iter(metadata.xmp_files(path)), Path(f"{path}.xmp"))
        before = file.read_bytes() if file.is_file() else None
        after = with_keywords(_EMPTY if before is None else before, names, file)
        if after != before:
            yield file, after


def with_keywords(packet: bytes, names: Sequence[str], file: Path) -> bytes:
    """Add keywords to the text of an XMP file, unless it has them.

    Args:
        packet: Text of the file, in UTF-8.
        names: Class names; `|` separates the levels of a hierarchy.
        file: File, for messages.

    Raises:
        ValueError: The file is not XMP in UTF-8, or has no description.
    """
    try:
        known = {*keywords_in(packet)}
        places = _Places(packet)
    except (ValueError, SyntaxError, expat.ExpatError) as error:
        raise ValueError(f"{file}: not XMP in UTF-8: {error}; {_FIX}") from None
    if places.description is None:
        raise ValueError(f"{file}: XMP without an rdf:Description; {_FIX}")
    leaves = {levels[-1] for levels in known}
    paths = [tuple(level.strip() for level in name.split("|")) for name in names]
    plain = [path[-1] for path in paths if path[-1] not in leaves]
    nested = ["|".join(path) for path in paths if len(path) > 1 and path not in known]
    slashed = _new_tags(packet, paths) if places.has(DIGIKAM) else []
    for property_, items in ((SUBJECT, plain), (HIERARCHY, nested), (DIGIKAM, slashed)):
        if items:
            packet = _Places(packet).with_items(property_, list(dict.fromkeys(items)))
    return packet


def _new_tags(packet: bytes, paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the paths that digiKam's list lacks, as it writes them; without names that have a slash themselves."""
    tree = metadata.xmp_tree(packet)
    assert tree is not None
    listed = {item.text for tags in tree.iter(_qualified(DIGIKAM)) for item in tags.iter(f"{{{RDF}}}li")}
    slashed = ["/".join(path) for path in paths if not any("/" in level for level in path)]
    return [tag for tag in slashed if tag not in listed]


def _qualified(property_: Property) -> str:
    """Return the name of a property as ElementTree writes it."""
    return f"{{{property_[0]}}}{property_[2]}"


class _Places:
    """Where items are inserted into the text of an XMP file.

    Args:
        packet: Text of the file, in UTF-8.

    Attributes:
        description: Start and end of the first `rdf:Description`, without its end tag, as offsets in bytes; None
            without one.
        lists: The same of the `rdf:Bag` or `rdf:Seq` of each property.
    """

    def __init__(self, packet: bytes) -> None:
        packet.decode("utf-8")
        self.packet = packet
        self.description: tuple[int, int] | None = None
        self.lists: dict[str, tuple[int, int]] = {}
        self._open: list[tuple[str, int]] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(packet.rstrip(b"\0 \r\n\t"), True)

    def _start(self, name: str, attributes: object) -> None:
        self._open.append((name, self._parser.CurrentByteIndex))

    def _end(self, name: str) -> None:
        _, start = self._open.pop()
        parent = self._open[-1][0] if self._open else ""
        place = (start, self._parser.CurrentByteIndex)
        if name == f"{RDF} Description" and parent == f"{RDF} RDF" and self.description is None:
            self.description = place
        if name in (f"{RDF} Bag", f"{RDF} Seq"):
            self.lists.setdefault(parent, place)

    def has(self, property_: Property) -> bool:
        """Return whether there is a list of this property."""
        return f"{property_[0]} {property_[2]}" in self.lists

    def with_items(self, property_: Property, items: Sequence[str]) -> bytes:
        """Return the text with items added to a property."""
        space, prefix, name = property_
        place = self.lists.get(f"{space} {name}")
        rdf = self._prefix(place or self.description)
        text = "".join(f"<{rdf}li>{escape(item)}</{rdf}li>" for item in items)
        if place is None:
            text = (
                f'<{prefix}:{name} xmlns:{prefix}="{space}"><{rdf}Bag>{text}</{rdf}Bag></{prefix}:{name}>\n'
            )
        return self._inserted(place or self.description, text)

    def _prefix(self, place: tuple[int, int] | None) -> str:
        """Return the prefix of the tag of a place with its colon, as written; empty without one."""
        assert place is not None
        tag = _TAG.match(self.packet, place[0])
        assert tag is not None
        return (tag["prefix"] or b"").decode()

    def _inserted(self, place: tuple[int, int] | None, text: str) -> bytes:
        """Return the whole text with a piece inserted before an end tag, or into a tag that closes itself."""
        assert place is not None
        start, end = place
        alone = _TAG.fullmatch(self.packet, start, end)
        if alone is None or not alone["closed"]:
            return self.packet[:end] + text.encode() + self.packet[end:]
        opened = self.packet[start : alone.start("closed")] + b">"
        closing = b"</" + (alone["prefix"] or b"") + alone["name"] + b">"
        return self.packet[:start] + opened + text.encode() + closing + self.packet[end:]
