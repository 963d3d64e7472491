"""Pictures of `docs/gallery.md`: parts of the pages that partlabel writes, as headless Chromium shows them.

python docs/pictures.py untidy/inspect.html zoo/vocabulary.html runs/demo/report.html

The gallery says how these pages are made.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

FOLDER = Path(__file__).parent / "img"
SHOWN = {
    "inspect.html": {
        "inspect-labels": ["header", "#labels"],
        "inspect-images": ["#alike", "#broken"],
    },
    "vocabulary.html": {
        "inspect-rules": ["#rules"],
        "inspect-vocabulary": ["#vocabulary"],
    },
    "report.html": {
        "report-classes": ["header", "#classes"],
        "report-training": ["#training", "#pseudo-labels"],
        "report-filled": ["#filled"],
        "report-examples": ["#examples"],
        "report-graph": ["#graph"],
    },
}
"""Of each page, what a picture shows of it."""
LIMIT = 200_000


def take(page: Path, parts: list[str], out: Path, width: int = 900) -> None:
    """A picture of some parts of a page, in few colours, as high as they are.

    Args:
        page: An HTML file.
        parts: CSS selectors of children of its body.
        out: PNG to write.
        width: In pixels.
    """
    css = f"body > :not({', '.join(parts)}) {{ display: none }} .example ~ .example ~ .example {{ display: none }}"
    with tempfile.TemporaryDirectory() as folder:
        copy, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        copy.write_text(page.read_text().replace("</head>", f"<style>{css}</style></head>"))
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--window-size={width},5000",
        ]
        subprocess.run([*command, f"--screenshot={shot}", copy.as_uri()], check=True, capture_output=True)
        whole = Image.open(shot).convert("RGB")
    empty = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))
    _, _, _, bottom = ImageChops.difference(whole, empty).getbbox()
    cut = whole.crop((0, 0, width, bottom + 24))
    few = next(few for few in _ever_fewer_colours(cut, out) if out.stat().st_size < LIMIT)
    print(f"{out}: {cut.width} x {cut.height}, {few} colours, {out.stat().st_size:,} bytes")


def _ever_fewer_colours(picture: Image.Image, out: Path):
    for colours in (256, 128, 64, 32, 16):
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, optimize=True)
        yield colours


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        for name, parts in SHOWN[path.name].items():
            take(path, parts, FOLDER / f"{name}.png")
