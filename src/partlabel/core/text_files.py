"""Text files by lines: UTF-8, with or without the mark that Windows puts first, or UTF-16 with it."""

from pathlib import Path


def lines_of(path: Path) -> list[str]:
    """The lines of a text file, empty ones too, so that they can be counted.

    They end at line feeds and carriage returns alone: U+2028 and its like are text, as in JSON.

    Raises:
        ValueError: The file is neither.
    """
    try:
        content = path.read_bytes()
        coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        text = content.decode(coding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def listed_in(path: Path) -> list[str]:
    """What a list names, one a line, without spaces around it.

    Raises:
        ValueError: The file is not UTF-8.
    """
    return [line.strip() for line in lines_of(path) if line.strip()]


def not_utf8(path: Path, error: UnicodeDecodeError) -> ValueError:
    """What to say of a file in another encoding."""
    return ValueError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8")
