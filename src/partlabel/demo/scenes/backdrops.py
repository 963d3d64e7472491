"""Backgrounds and foregrounds of scenes: skies, ground, and unlabelled details.

Coordinates are those of the image: (0, 0) top left, (1, 1) bottom right. `horizon` is the top edge of the ground.
"""

import math
from collections.abc import Sequence

from partlabel.demo.scenes.canvas import Colour, Pen, clear, colour, darker, lighter, mix

_DAYS = tuple(
    (colour(top), colour(low))
    for top, low in (
        ("7cc6e8", "e3f3ee"),
        ("9ad3e6", "fdeed3"),
        ("f2b8a0", "ffe9c9"),
        ("f0a58f", "ffd9a0"),
        ("b8b5dd", "ffe0d0"),
        ("a8dcd1", "fbf3d5"),
    )
)
_NIGHTS = tuple(
    (colour(top), colour(low))
    for top, low in (("1f2a55", "5d5f9a"), ("2b2350", "8a6a9c"), ("17324d", "4f7f8f"), ("2d2f5e", "c98a8a"))
)
_SAND, _GRASS, _SNOW = colour("f3d9a4"), colour("a9c978"), colour("f6f8fb")
_BALLS = tuple(colour(code) for code in ("f2785c", "eaa93b", "3d9a97", "f4a6b0", "7a4a78", "4f83b8"))
_WHITE = colour("fff9ec")


def _near(pen: Pen, ink: Colour, spread: int = 14) -> Colour:
    """Vary a colour slightly."""
    return tuple(min(max(value + pen.rng.randint(-spread, spread), 0), 255) for value in ink)


def _fade(pen: Pen, top: float, bottom: float, upper: Colour, lower: Colour, steps: int = 20) -> None:
    """Draw a gradient over the whole width."""
    for k in range(steps):
        ink = mix(upper, lower, k / (steps - 1))
        pen.box(0, top + (bottom - top) * k / steps, 1, top + (bottom - top) * (k + 1) / steps + 0.005, ink)


def _roll(pen: Pen, y: float, height: float, ink: Colour, waves: float = 1.5) -> None:
    """Draw rolling ground from y down to the bottom."""
    phase, other = pen.rng.random() * math.tau, pen.rng.random() * math.tau
    top = [
        (
            k / 24,
            y
            + height * math.sin(phase + waves * k / 24 * math.tau)
            + 0.4 * height * math.sin(other + 2.3 * waves * k / 24 * math.tau),
        )
        for k in range(25)
    ]
    pen.polygon([*top, (1, 1), (0, 1)], ink)


def _specks(
    pen: Pen, count: int, top: float, bottom: float, inks: Sequence[Colour], size: float = 0.006
) -> None:
    rng = pen.rng
    for _ in range(count):
        r = size * rng.uniform(0.6, 1.6)
        pen.disc(rng.random(), rng.uniform(top, bottom), r, r * 0.8, rng.choice(inks))


def _bush(pen: Pen, x: float, y: float, r: float, ink: Colour) -> None:
    for dx, dy, share in ((-0.8, 0.25, 0.7), (0.75, 0.3, 0.65), (0, 0, 1)):
        pen.disc(x + dx * r, y + dy * r, r * share, r * share * 0.85, darker(ink, 0.1))
        pen.disc(x + dx * r - 0.1 * r, y + dy * r - 0.12 * r, r * share * 0.85, r * share * 0.7, ink)


def _stone(pen: Pen, x: float, y: float, r: float) -> None:
    ink = _near(pen, colour("b5aca6"))
    pen.blob(
        [(x - r, y), (x - 0.6 * r, y - 0.6 * r), (x + 0.3 * r, y - 0.7 * r), (x + r, y), (x, y + 0.12 * r)],
        ink,
    )


def _ball(pen: Pen, x: float, y: float, r: float) -> None:
    ink = _near(pen, pen.rng.choice(_BALLS))
    pen.disc(x, y + 0.95 * r, r, 0.2 * r, (60, 34, 48, 55))
    pen.disc(x, y, r, None, ink)
    pen.disc(x, y, r * 0.45, r, _WHITE, 0.5)
    pen.disc(x - 0.35 * r, y - 0.4 * r, r * 0.22, None, clear(_WHITE, 0.5))


def _tufts(pen: Pen, count: int, y: float, ink: Colour) -> None:
    rng = pen.rng
    for _ in range(count):
        x, low, h = rng.random(), y + rng.uniform(-0.01, 0.03), rng.uniform(0.03, 0.07)
        for lean in (-0.5, 0, 0.5):
            pen.polygon([(x - 0.01, low), (x + lean * h, low - h), (x + 0.01, low)], ink)


def _weed(pen: Pen, x: float, y: float, height: float, width: float, ink: Colour) -> None:
    """Draw a wavy strand of seaweed, thinner towards its tip."""
    phase = pen.rng.random() * math.tau
    middle = [(x + 0.02 * math.sin(phase + k * 0.6), y - height * k / 14) for k in range(15)]
    left = [(a - width * (1 - k / 15) / 2, b) for k, (a, b) in enumerate(middle)]
    right = [(a + width * (1 - k / 15) / 2, b) for k, (a, b) in enumerate(middle)]
    pen.polygon(left + right[::-1], ink)


def _litter(pen: Pen, horizon: float) -> None:
    """Draw unlabelled things on the ground: balls, stones and bushes."""
    rng = pen.rng
    for _ in range(rng.choice((0, 1, 1, 2))):
        x, y, r = rng.random(), rng.uniform(horizon + 0.08, 0.95), rng.uniform(0.02, 0.05)
        if rng.random() < 0.5:
            _ball(pen, x, y - r, r)
        else:
            _stone(pen, x, y, r * 1.3)


def day(pen: Pen, horizon: float) -> None:
    """Draw a sky by day, from noon to sunset."""
    _fade(pen, 0.0, horizon + 0.06, *pen.rng.choice(_DAYS))
    if pen.rng.random() < 0.4:
        for _ in range(3):
            x, y, w = pen.rng.random(), pen.rng.uniform(0.05, horizon), pen.rng.uniform(0.1, 0.3)
            pen.disc(x, y, w, w * 0.07, (255, 255, 255, 60))


def dark(pen: Pen, horizon: float) -> None:
    """Draw a sky by night, with specks of light."""
    _fade(pen, 0.0, horizon + 0.06, *pen.rng.choice(_NIGHTS))
    _specks(pen, pen.rng.randint(15, 45), 0.0, horizon, ((255, 244, 214, 150), (255, 255, 255, 220)), 0.004)


def grey(pen: Pen, horizon: float) -> None:
    """Draw a rainy sky."""
    _fade(pen, 0.0, horizon + 0.06, _near(pen, colour("7d8fa8")), _near(pen, colour("c3cbd3")))


def cold(pen: Pen, horizon: float) -> None:
    """Draw a winter sky, by day or at dusk."""
    skies = (("a9c9e2", "f3ecec"), ("8fa6cf", "f6d5cf"), ("4b5b93", "d9a9b8"), ("c7d4de", "f4f1ea"))
    top, low = pen.rng.choice(skies)
    _fade(pen, 0.0, horizon + 0.06, colour(top), colour(low))


def wall(pen: Pen, horizon: float) -> None:
    """Draw a kitchen wall with a window, a picture or a shelf."""
    rng = pen.rng
    paint = _near(pen, colour(rng.choice(("f7dcc0", "cfe3d6", "f5e6c4", "e9cfd3", "cddcea", "f2c9a8"))))
    pen.box(0, 0, 1, 1, paint)
    style = rng.random()
    if style < 0.4:
        for k in range(9):
            pen.box(k / 9, 0, k / 9 + 0.05, horizon + 0.1, clear(_WHITE, 0.25))
    elif style < 0.7:
        for k in range(1, 11):
            pen.line([(0, k / 14), (1, k / 14)], 0.004, clear(_WHITE, 0.6))
            pen.line([(k / 11, 0), (k / 11, horizon)], 0.004, clear(_WHITE, 0.6))
    else:
        _specks(pen, 40, 0.0, horizon, (clear(darker(paint, 0.3), 0.5),), 0.008)
    x = rng.uniform(0.15, 0.7)
    if rng.random() < 0.5:
        top, bottom = 0.08, horizon - 0.12
        pen.box(x - 0.02, top - 0.02, x + 0.3, bottom + 0.02, _WHITE, 0.01)
        upper, lower = rng.choice((*_DAYS, *_NIGHTS))
        pen.box(x, top, x + 0.28, bottom, upper)
        pen.box(x, (top + bottom) / 2, x + 0.28, bottom, mix(upper, lower, 0.6))
        pen.line([(x + 0.14, top), (x + 0.14, bottom)], 0.016, _WHITE)
        pen.line([(x, (top + bottom) / 2), (x + 0.28, (top + bottom) / 2)], 0.016, _WHITE)
    elif rng.random() < 0.6:
        pen.box(x, 0.3, x + 0.34, 0.32, colour("8a5a3c"))
        for k in range(rng.randint(2, 5)):
            h = rng.uniform(0.06, 0.12)
            pen.box(
                x + 0.02 + 0.06 * k, 0.3 - h, x + 0.065 + 0.06 * k, 0.3, _near(pen, rng.choice(_BALLS)), 0.012
            )
    else:
        pen.box(x, 0.1, x + 0.2, 0.26, colour("8a5a3c"), 0.01)
        pen.box(x + 0.015, 0.115, x + 0.185, 0.245, _near(pen, rng.choice(_BALLS), 30))
        pen.disc(x + 0.1, 0.18, 0.04, None, _near(pen, rng.choice(_BALLS), 30))


def water(pen: Pen, horizon: float) -> None:
    """Draw the sea from below, with light from above."""
    rng = pen.rng
    pen.box(0, 0, 1, horizon + 0.02, lighter(colour("8ecae6"), 0.6))
    top, low = rng.choice((("7fd0d6", "2a6f97"), ("8fd6c4", "2f7d80"), ("86bfe8", "3b4f8f")))
    _fade(pen, horizon, 1.0, colour(top), colour(low))
    _wave(pen, horizon, 0.012, colour(top))
    for _ in range(4):
        x, w = rng.uniform(-0.1, 1), rng.uniform(0.03, 0.1)
        pen.polygon(
            [(x, horizon), (x + w, horizon), (x + 2.2 * w - 0.25, 0.9), (x - 0.25, 0.9)], (255, 255, 255, 26)
        )


def _wave(pen: Pen, y: float, height: float, ink: Colour) -> None:
    phase = pen.rng.random() * 6
    top = [(k / 40, y + height * math.sin(phase + k * 0.9)) for k in range(41)]
    pen.polygon([*top, (1, y + 0.05), (0, y + 0.05)], ink)


def shore(pen: Pen, horizon: float) -> None:
    """Draw the sea, with a beach in front."""
    rng = pen.rng
    sea = _near(pen, colour(rng.choice(("4fb0bf", "5aa9d6", "6cc0b0", "4f83b8"))))
    _fade(pen, horizon, horizon + 0.2, sea, lighter(sea, 0.45), 10)
    for _ in range(9):
        x, y = rng.random(), rng.uniform(horizon + 0.02, horizon + 0.16)
        pen.line([(x, y), (x + rng.uniform(0.03, 0.1), y)], 0.007, (255, 255, 255, 130))
    sand = _near(pen, _SAND)
    _roll(pen, horizon + 0.185, 0.012, clear(_WHITE, 0.8), 2.0)
    _roll(pen, horizon + 0.205, 0.012, sand, 2.0)
    _specks(pen, 40, horizon + 0.25, 1.0, (darker(sand, 0.15), lighter(sand, 0.4)))
    if rng.random() < 0.35:
        x, y, a, b = rng.uniform(0.1, 0.7), rng.uniform(0.75, 0.9), *rng.sample(_BALLS, 2)
        for k in range(5):
            left = x + 0.05 * k
            pen.polygon(
                [(left, y), (left + 0.05, y), (left + 0.09, y + 0.09), (left + 0.04, y + 0.09)], (a, b)[k % 2]
            )
    _litter(pen, horizon + 0.2)


def seabed(pen: Pen, horizon: float) -> None:
    """Draw sand under the sea, with weeds and stones."""
    rng = pen.rng
    _roll(pen, 0.84, 0.02, mix(_SAND, colour("4f83b8"), 0.25))
    for _ in range(rng.randint(3, 7)):
        x, h, ink = (
            rng.random(),
            rng.uniform(0.1, 0.3),
            _near(pen, colour(rng.choice(("3f7a55", "7fb069", "b5533c")))),
        )
        _weed(pen, x, 0.94, h, 0.018, ink)
    for _ in range(rng.randint(1, 4)):
        _stone(pen, rng.random(), rng.uniform(0.9, 0.98), rng.uniform(0.03, 0.07))
    for _ in range(rng.randint(0, 6)):
        pen.ring(
            rng.random(),
            rng.uniform(horizon + 0.1, 0.8),
            rng.uniform(0.006, 0.015),
            0.004,
            (255, 255, 255, 150),
        )


def road(pen: Pen, horizon: float) -> None:
    """Draw a row of distant roofs, a pavement and a street."""
    rng = pen.rng
    x, far = -0.05, colour(rng.choice(("c9b6c4", "b9c4cf", "d9b9a4")))
    while x < 1:
        w, h = rng.uniform(0.08, 0.18), rng.uniform(0.05, 0.22)
        ink = _near(pen, far)
        pen.box(x, horizon - h, x + w, horizon + 0.02, ink)
        if rng.random() < 0.5:
            pen.polygon([(x, horizon - h), (x + w / 2, horizon - h - 0.06), (x + w, horizon - h)], ink)
        for k in range(int(w / 0.05)):
            pen.box(
                x + 0.015 + 0.05 * k,
                horizon - h + 0.03,
                x + 0.035 + 0.05 * k,
                horizon - h + 0.06,
                lighter(ink),
            )
        x += w
    pen.box(0, horizon, 1, 1, _near(pen, colour("d8c8b4")))
    street = _near(pen, colour("8b8791"))
    pen.box(0, horizon + 0.16, 1, 1, street)
    pen.box(0, horizon + 0.145, 1, horizon + 0.165, lighter(street, 0.6))
    for k in range(5):
        x = k * 0.24 + rng.uniform(-0.01, 0.01)
        pen.box(x, horizon + 0.31, x + 0.12, horizon + 0.325, lighter(street, 0.7))
    if rng.random() < 0.4:
        _bush(pen, rng.random(), horizon + 0.05, rng.uniform(0.04, 0.08), _near(pen, colour("7fb069")))
    _litter(pen, horizon)


def wet_road(pen: Pen, horizon: float) -> None:
    """Draw the street in the rain, with puddles."""
    road(pen, horizon)
    for _ in range(pen.rng.randint(2, 4)):
        x, y, w = pen.rng.random(), pen.rng.uniform(horizon + 0.25, 0.97), pen.rng.uniform(0.06, 0.16)
        pen.disc(x, y, w, w * 0.22, (195, 214, 228, 150))


def meadow(pen: Pen, horizon: float) -> None:
    """Draw green hills with bushes, sometimes with a fence."""
    rng = pen.rng
    grass = _near(pen, colour(rng.choice(("a9c978", "8fbf7f", "c2c873", "9fc39a"))))
    _roll(pen, horizon - 0.02, 0.04, lighter(grass, 0.3))
    _roll(pen, horizon + 0.04, 0.025, grass)
    if rng.random() < 0.35:
        y = horizon + 0.1
        for k in range(12):
            pen.box(k / 11.5, y - 0.07, k / 11.5 + 0.02, y + 0.03, _WHITE, 0.008)
        for dy in (-0.045, 0.0):
            pen.box(0, y + dy, 1, y + dy + 0.012, _WHITE)
    for _ in range(rng.randint(0, 3)):
        _bush(
            pen,
            rng.random(),
            horizon + rng.uniform(0, 0.1),
            rng.uniform(0.03, 0.08),
            darker(_near(pen, grass), 0.2),
        )
    _specks(pen, 25, horizon + 0.12, 1.0, (lighter(grass, 0.4), darker(grass, 0.12)))
    _litter(pen, horizon)


def blanket(pen: Pen, horizon: float) -> None:
    """Draw a meadow with a chequered blanket, narrower further away."""
    meadow(pen, horizon)
    ink = pen.rng.choice(_BALLS)
    shades = (ink, lighter(ink, 0.5), _WHITE)
    top, step = horizon + 0.14, (0.85 - horizon) / 5

    def corner(row: int, column: int) -> tuple[float, float]:
        return 0.5 + (0.8 + 0.04 * row) * (column / 8 - 0.5), top + step * row

    for row in range(5):
        for column in range(8):
            corners = [corner(row + dy, column + dx) for dy, dx in ((0, 0), (0, 1), (1, 1), (1, 0))]
            pen.polygon(corners, shades[row % 2 + column % 2])


def dim_meadow(pen: Pen, horizon: float) -> None:
    """Draw hills at night."""
    rng = pen.rng
    hill = _near(pen, colour(rng.choice(("3d5a66", "46506f", "4d5f4f", "54466b"))))
    _roll(pen, horizon - 0.03, 0.05, lighter(hill, 0.12))
    _roll(pen, horizon + 0.04, 0.03, hill)
    _specks(pen, 12, horizon + 0.1, 1.0, (lighter(hill, 0.2), darker(hill, 0.2)))
    if rng.random() < 0.5:
        _specks(pen, 8, horizon, 0.95, ((255, 230, 140, 200),), 0.006)
    _litter(pen, horizon)


def snow(pen: Pen, horizon: float) -> None:
    """Draw snowy hills."""
    rng = pen.rng
    _roll(pen, horizon - 0.02, 0.04, colour("dbe6f1"))
    _roll(pen, horizon + 0.05, 0.025, _near(pen, _SNOW, 5))
    for _ in range(rng.randint(0, 3)):
        x, y, r = rng.random(), rng.uniform(horizon + 0.08, 0.95), rng.uniform(0.02, 0.06)
        pen.disc(x, y, r * 2, r * 0.7, colour("e3ecf5"))
    _litter(pen, horizon)


def table(pen: Pen, horizon: float) -> None:
    """Draw a table, with or without cloth, and something on it."""
    rng = pen.rng
    cloth = _near(
        pen, colour(rng.choice(("b5794c", "fff4e0", "f2a58c", "9cc5b8", "8a5a3c", "f0cf94", "d9d2ea")))
    )
    pen.box(0, horizon, 1, 1, cloth)
    pen.box(0, horizon, 1, horizon + 0.015, lighter(cloth, 0.4))
    if rng.random() < 0.5:
        for k in range(7):
            x = (k - 3) / 3
            pen.polygon(
                [
                    (0.5 + 0.5 * x - 0.02, horizon),
                    (0.5 + 0.5 * x + 0.02, horizon),
                    (0.5 + 0.9 * x + 0.05, 1),
                    (0.5 + 0.9 * x - 0.05, 1),
                ],
                clear(darker(cloth, 0.3), 0.25),
            )
    for _ in range(rng.randint(0, 3)):
        x, y, r = rng.random(), rng.uniform(horizon + 0.08, 0.96), rng.uniform(0.025, 0.045)
        pen.disc(x, y, r, r * 0.92, _near(pen, colour(rng.choice(("d9493f", "eaa93b", "a3a847", "f2785c")))))
        pen.line([(x, y - r), (x + 0.01, y - 1.5 * r)], 0.007, colour("6b4a3a"))


def grass(pen: Pen, horizon: float) -> None:
    """Draw tufts of grass in front of everything."""
    if pen.rng.random() < 0.7:
        _tufts(pen, pen.rng.randint(2, 7), 1.0, _near(pen, colour("6f9f5a")))
    if pen.rng.random() < 0.2:
        x, ink = pen.rng.choice((-0.02, 1.02)), _near(pen, colour("5f8f5a"))
        _bush(pen, x, 0.92, pen.rng.uniform(0.1, 0.18), ink)


def night_grass(pen: Pen, horizon: float) -> None:
    """Draw dark grass in front of everything."""
    _tufts(pen, pen.rng.randint(1, 6), 1.0, _near(pen, colour("2c3f4a")))


def rain(pen: Pen, horizon: float) -> None:
    """Draw falling rain."""
    for _ in range(pen.rng.randint(30, 70)):
        x, y, h = pen.rng.random() * 1.1, pen.rng.random(), pen.rng.uniform(0.03, 0.06)
        pen.line([(x, y), (x - 0.25 * h, y + h)], 0.005, (235, 242, 250, 130))


def flakes(pen: Pen, horizon: float) -> None:
    """Draw falling snow, sometimes with a drift in front."""
    _specks(pen, pen.rng.choice((0, 25, 50, 80)), 0.0, 1.0, ((255, 255, 255, 230),), 0.007)
    if pen.rng.random() < 0.4:
        _roll(pen, 0.96, 0.03, _near(pen, _SNOW, 4), 1.0)


def weeds(pen: Pen, horizon: float) -> None:
    """Draw seaweed in the foreground."""
    for _ in range(pen.rng.randint(0, 2)):
        x = pen.rng.choice((0.04, 0.12, 0.88, 0.96))
        _weed(pen, x, 1.02, pen.rng.uniform(0.35, 0.55), 0.04, _near(pen, colour("2f6650")))


def nothing(pen: Pen, horizon: float) -> None:
    """Draw no foreground."""
