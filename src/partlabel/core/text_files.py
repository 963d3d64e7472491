"""Text files as lines: UTF-8, with or without byte order mark, or UTF-16 with it."""

from pathlib import Path


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file, including empty ones, so that they can be numbered.

    Lines end only at line feeds and carriage returns: U+2028 and similar are text, as in JSON.

    Raises:
        ValueError: The file has another encoding.
    """
    try:
        content = path.read_bytes()
        coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        text = content.decode(coding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def listed_in(path: Path) -> list[str]:
    """Return the non-empty lines of a list, without surrounding spaces.

    Raises:
        ValueError: The file has another encoding.
    """
    return [line.strip() for line in lines_of(path) if line.strip()]


def not_utf8(path: Path, error: UnicodeDecodeError) -> ValueError:
    """Return the error for a file in another encoding."""
    return ValueError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8")
