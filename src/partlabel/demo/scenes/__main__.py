"""Scenes to try partlabel on, and the picture of them in the README.

python -m partlabel.demo.scenes collection FOLDER     photos and a half-filled table, for docs/tutorial.md
python -m partlabel.demo.scenes sheet FILE.png        scenes side by side, in 256 colours
"""

from pathlib import Path

from jsonargparse import auto_cli
from PIL import Image

from partlabel import LabelTable
from partlabel.demo import scenes


def sheet(file: Path, seed: int = 2) -> None:
    """Draw scenes side by side, what is present written below each.

    Args:
        file: PNG to write.
        seed: Of the scenes.
    """
    drawn = scenes.contact_sheet(seed=seed)
    few = drawn.quantize(palette=drawn.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
    few.save(file, optimize=True)


if __name__ == "__main__":
    made = auto_cli([scenes.collection, sheet], prog="python -m partlabel.demo.scenes")
    if isinstance(made, LabelTable):
        print(f"{made.root}: {len(made):,} photos, {made.known:,} of {made.labels.size:,} labels known")
