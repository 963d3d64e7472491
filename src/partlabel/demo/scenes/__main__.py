"""Command line of the scenes: data for the tutorial, and the image in the README.

python -m partlabel.demo.scenes collection FOLDER     photos and a partially labelled table (docs/tutorial.md)
python -m partlabel.demo.scenes sheet FILE.png        contact sheet of scenes, in 256 colours
"""

from pathlib import Path

from jsonargparse import auto_cli
from PIL import Image

from partlabel import LabelTable
from partlabel.demo import scenes


def sheet(file: Path, seed: int = 2) -> None:
    """Draw a contact sheet of scenes, with the present classes below each.

    Args:
        file: PNG file to write.
        seed: Random seed of the scenes.
    """
    drawn = scenes.contact_sheet(seed=seed)
    few = drawn.quantize(palette=drawn.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
    few.save(file, optimize=True)


if __name__ == "__main__":
    made = auto_cli([scenes.collection, sheet], prog="python -m partlabel.demo.scenes")
    if isinstance(made, LabelTable):
        print(f"{made.root}: {len(made):,} photos, {made.known:,} of {made.labels.size:,} labels known")
