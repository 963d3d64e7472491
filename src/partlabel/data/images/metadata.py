"""Metadata of photos, as photo managers write them: XMP inside the file and beside it, IPTC, and texts of EXIF."""

from pathlib import Path
from xml.etree import ElementTree

from PIL import ImageFile, IptcImagePlugin

_CHARACTERS = (1, 90)  # of IPTC
_UTF8 = b"\x1b%G"


def xmp_files(path: Path) -> list[Path]:
    """Return the `.xmp` files beside an image (darktable writes `a.jpg.xmp`, Lightroom `a.xmp`)."""
    return [beside for beside in (Path(f"{path}.xmp"), path.with_suffix(".xmp")) if beside.is_file()]


def xmp_inside(image: ImageFile.ImageFile) -> bytes:
    """Return the XMP packet of an image; empty if it has none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode() if isinstance(packet, str) else packet


def xmp_tree(packet: bytes) -> ElementTree.Element | None:
    """Parse an XMP packet; None if it is empty.

    Raises:
        ElementTree.ParseError: The packet is not XML, or declares entities, which XMP never does but attacks do.
    """
    packet = packet.strip(b"\0 \r\n\t")
    if not packet:
        return None
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ElementTree.ParseError("it declares a document type")
    return ElementTree.fromstring(packet)


def iptc_values(image: ImageFile.ImageFile, *datasets: tuple[int, int]) -> list[str]:
    """Return the values of IPTC datasets; UTF-8 if declared or valid, else Latin-1."""
    info = IptcImagePlugin.getiptcinfo(image) or {}
    found: list[str] = []
    for dataset in datasets:
        values = info.get(dataset, [])
        for raw in values if isinstance(values, list) else [values]:
            try:
                found.append(raw.decode("utf-8"))
            except UnicodeDecodeError:
                found.append(raw.decode("utf-8" if info.get(_CHARACTERS) == _UTF8 else "latin-1", "replace"))
    return found


def windows_text(image: ImageFile.ImageFile, tag: int) -> str:
    """Return a text that Windows wrote into EXIF (`XPTitle`, `XPKeywords`, ...); empty if there is none."""
    value = image.getexif().get(tag)
    return bytes(value).decode("utf-16-le", "replace").rstrip("\0") if value else ""
