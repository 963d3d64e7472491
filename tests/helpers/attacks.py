"""Files that are made to keep a reader busy, or to fill its memory; small themselves."""

from io import BytesIO

from PIL import Image


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again: each refines all of the picture."""
    file = BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True, quality=50)
    whole = file.getvalue()
    last = whole.rfind(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + b"\xff\xd9"


def deep(side: int) -> bytes:
    """A compressed TIFF of 32 bits a pixel."""
    file = BytesIO()
    Image.new("I", (side, side), 7).save(file, "TIFF", compression="tiff_deflate")
    return file.getvalue()


def encapsulated_postscript() -> bytes:
    """Write a file that Pillow passes to Ghostscript, for any suffix."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n"
