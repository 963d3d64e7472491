"""XML annotation files in any encoding that Python knows, with errors that name the file.

The parser of the standard library decodes few encodings by itself: files are decoded here, by what they declare, and
given to it as text. gb2312 is read as gb18030, which contains it: that is what programs write under this name.
"""

import codecs
import re
from pathlib import Path
from xml.etree import ElementTree

_DECLARED = re.compile(rb"""^<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "euc-cn": "gb18030"}


def parse(file: Path) -> ElementTree.Element:
    """Parse an XML file and return its root.

    Args:
        file: The file.

    Raises:
        ValueError: It is in an unknown or another encoding than it declares, is no XML, or defines entities.
    """
    content = file.read_bytes()
    encoding = _encoding_of(content)
    try:
        text = content.decode(_WIDER.get(encoding, encoding)).removeprefix("\ufeff")
    except LookupError:
        raise ValueError(f"{file}: the encoding {encoding!r} is not known; save it as UTF-8") from None
    except UnicodeError:
        raise ValueError(f"{file}: it is not in {encoding}, as it should be; save it as UTF-8") from None
    if "<!ENTITY" in text:
        raise ValueError(f"{file}: it defines entities, which no annotation needs; remove its document type")
    try:
        return ElementTree.fromstring(text.lstrip())
    except (ElementTree.ParseError, RecursionError) as error:
        raise ValueError(f"{file}: no XML: {error}") from None


def first_tag(file: Path) -> str:
    """Return the name of the first element of a file, as far as its first bytes tell; empty if they do not.

    Args:
        file: The file.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(4096).replace(b"\0", b"")
    except OSError:
        return ""
    found = re.search(rb"<([A-Za-z_][\w:.-]*)", start)
    return found[1].decode("ascii") if found else ""


def _encoding_of(content: bytes) -> str:
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            return name
    found = _DECLARED.search(content.lstrip())
    return found[1].decode("ascii").lower() if found else "utf-8"
