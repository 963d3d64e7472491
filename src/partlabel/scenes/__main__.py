"""`python -m partlabel.scenes docs/img/scenes.png` draws the contact sheet of the README, in 256 colours."""

import sys

from PIL import Image

from partlabel.scenes import contact_sheet

sheet = contact_sheet(seed=2)
sheet.quantize(palette=sheet.quantize(256), dither=Image.Dither.FLOYDSTEINBERG).save(
    sys.argv[1], optimize=True
)
