"""XML annotation files in any encoding known to Python, with errors that name the file.

The parser of the standard library supports few encodings: files are decoded here, according to their declaration, and
passed to it as text. gb2312 is decoded as gb18030, which contains it, because programs write gb18030 under this name.
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
        file: XML file.

    Raises:
        ValueError: The encoding is unknown or not the declared one, or the file is not XML or defines entities.
    """
    content = file.read_bytes()
    encoding = _encoding_of(content)
    try:
        text = content.decode(_WIDER.get(encoding, encoding)).removeprefix("\ufeff")
    except LookupError:
        raise ValueError(f"{file}: the encoding {encoding!r} is not known; save it as UTF-8") from None
    except UnicodeError:
        raise ValueError(f"{file}: it is not in {encoding}, as it declares; save it as UTF-8") from None
    if "<!ENTITY" in text:
        raise ValueError(f"{file}: it defines entities, which no annotation needs; remove its document type")
    try:
        return ElementTree.fromstring(text.lstrip())
    except (ElementTree.ParseError, RecursionError) as error:
        raise ValueError(f"{file}: not XML: {error}") from None


def first_tag(file: Path) -> str:
    """Return the name of the first element, as far as the first bytes show it; empty if they do not.

    Args:
        file: XML file.
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
