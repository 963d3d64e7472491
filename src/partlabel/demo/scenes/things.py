"""Things in the scenes. Every public function draws one thing, and its name is the name of a class.

A thing fills about [-1, 1] in both directions and stands on y = 1. It may use `pen.place`: a tree by the sea is a palm.
"""

import math
from random import Random

from partlabel.demo.scenes.canvas import Colour, Pen, Point, clear, colour, darker, lighter

_INK = colour("4a302c")
_WHITE = colour("fff9ec")
_CORAL, _RED, _RUST = colour("f2785c"), colour("d9493f"), colour("b5533c")
_MUSTARD, _YELLOW, _PEACH = colour("eaa93b"), colour("ffd45c"), colour("ffcf9f")
_LEAF, _FOREST, _OLIVE = colour("7fb069"), colour("3f7a55"), colour("a3a847")
_TEAL, _SKY, _BLUE, _NAVY = colour("3d9a97"), colour("8ecae6"), colour("4f83b8"), colour("3b4a7a")
_PLUM, _LILAC, _PINK, _BROWN = colour("7a4a78"), colour("b79ad6"), colour("f4a6b0"), colour("8a5a3c")
_GREY = colour("a39c9a")
_BRIGHT = (_CORAL, _RED, _MUSTARD, _YELLOW, _TEAL, _BLUE, _PLUM, _PINK, _LEAF, _LILAC)


def _hue(rng: Random, *inks: Colour) -> Colour:
    """Choose one of the colours, slightly varied."""
    base = rng.choice(inks)
    return tuple(min(max(round(value + rng.uniform(-14, 14)), 0), 255) for value in base)


def _two(rng: Random) -> tuple[Colour, Colour]:
    """Choose two different bright colours."""
    a, b = rng.sample(_BRIGHT, 2)
    return _hue(rng, a), (_WHITE if rng.random() < 0.4 else _hue(rng, b))


def _star(x: float, y: float, r: float, inner: float = 0.5) -> list[Point]:
    """Compute the corners of a five-pointed star."""
    return [
        (
            x + r * (1 if k % 2 == 0 else inner) * math.sin(k * math.pi / 5),
            y - r * (1 if k % 2 == 0 else inner) * math.cos(k * math.pi / 5),
        )
        for k in range(10)
    ]


def _turn(start: float, end: float) -> list[float]:
    """Compute angles from `start` to `end`, for the outline of a part of a circle."""
    return [start + (end - start) * k / 24 for k in range(25)]


def _shadow(pen: Pen, width: float = 0.8, y: float = 0.98) -> None:
    pen.disc(0, y, width, 0.12, (60, 34, 48, 55))


def balloon(pen: Pen) -> None:
    """Draw a striped hot-air balloon with its basket."""
    a, b = _two(pen.rng)
    for side in (-1, 1):
        pen.line([(side * 0.3, 0.3), (side * 0.14, 0.72)], 0.035, _BROWN)
    pen.box(-0.17, 0.7, 0.17, 0.98, _BROWN, 0.05)
    pen.box(-0.19, 0.68, 0.19, 0.76, lighter(_BROWN))
    for width, ink in ((0.72, a), (0.5, b), (0.27, a), (0.09, b)):
        pen.blob(
            [
                (0, -1),
                (0.72 * width / 0.72, -0.62),
                (width, -0.25),
                (0.55 * width, 0.22),
                (0.3 * width, 0.42),
                (-0.3 * width, 0.42),
                (-0.55 * width, 0.22),
                (-width, -0.25),
                (-width, -0.62),
            ],
            ink,
        )
    pen.disc(-0.32, -0.55, 0.12, 0.24, clear(_WHITE, 0.35), 0.4)


def bicycle(pen: Pen) -> None:
    """Draw a bicycle with a basket in front."""
    ink = _hue(pen.rng, _RED, _TEAL, _MUSTARD, _NAVY, _CORAL)
    _shadow(pen, 1.0)
    for x in (-0.58, 0.58):
        pen.ring(x, 0.55, 0.4, 0.075, _INK)
        for k in range(3):
            c, s = 0.38 * math.cos(k * 1.05), 0.38 * math.sin(k * 1.05)
            pen.line([(x - c, 0.55 - s), (x + c, 0.55 + s)], 0.02, _GREY)
    saddle, crank, neck = (-0.3, -0.02), (-0.08, 0.55), (0.4, -0.05)
    for path in (
        [(-0.58, 0.55), saddle, crank, (-0.58, 0.55)],
        [saddle, neck, crank],
        [(0.58, 0.55), (0.34, -0.3)],
    ):
        pen.line(path, 0.085, ink)
    pen.line([saddle, (-0.34, -0.18)], 0.06, _GREY)
    pen.blob([(-0.55, -0.22), (-0.35, -0.27), (-0.15, -0.2), (-0.33, -0.14)], _INK)
    pen.line([(0.2, -0.36), (0.36, -0.33), (0.46, -0.42)], 0.06, _INK)
    pen.box(0.42, -0.36, 0.8, -0.04, lighter(_BROWN, 0.35), 0.06)
    if pen.rng.random() < 0.6:
        for x in (0.5, 0.61, 0.72):
            pen.disc(x, -0.4, 0.085, None, _hue(pen.rng, _PINK, _YELLOW, _CORAL, _WHITE))
    pen.disc(*crank, 0.09, None, _INK)


def bird(pen: Pen) -> None:
    """Draw a small round bird with raised wings."""
    ink = _hue(pen.rng, _BLUE, _CORAL, _YELLOW, _TEAL, _BROWN, _PINK, _WHITE)
    pen.blob([(-0.45, 0.05), (-0.98, -0.18), (-0.85, 0.12), (-0.95, 0.3)], darker(ink))
    pen.disc(0, 0.12, 0.62, 0.5, ink, -0.12)
    pen.disc(0.05, 0.3, 0.42, 0.27, lighter(ink, 0.5))
    pen.disc(0.48, -0.2, 0.36, None, ink)
    pen.polygon([(0.78, -0.28), (1.08, -0.12), (0.77, -0.05)], _MUSTARD)
    pen.disc(0.58, -0.27, 0.085, None, _INK)
    pen.disc(0.55, -0.3, 0.03, None, _WHITE)
    pen.disc(0.42, -0.08, 0.08, 0.06, (242, 120, 120, 130))
    up = pen.rng.choice((-1, -1, 1))
    pen.blob(
        [(0.22, 0.05), (-0.1, 0.55 * up), (-0.5, 0.92 * up), (-0.42, 0.4 * up), (-0.25, 0.0)],
        darker(ink, 0.15),
    )


def boat(pen: Pen) -> None:
    """Draw a sailing boat with two sails and a pennant."""
    hull, sail = (
        _hue(pen.rng, _RED, _BROWN, _NAVY, _TEAL, _WHITE),
        _hue(pen.rng, _WHITE, _PEACH, _YELLOW, _CORAL),
    )
    pen.line([(0, -0.92), (0, 0.5)], 0.06, _BROWN)
    pen.blob([(0.07, -0.82), (0.38, -0.3), (0.75, 0.36), (0.4, 0.4), (0.07, 0.4)], sail)
    pen.blob([(-0.07, -0.6), (-0.32, -0.1), (-0.6, 0.36), (-0.3, 0.4), (-0.07, 0.4)], darker(sail, 0.12))
    if pen.rng.random() < 0.5:
        pen.polygon([(0.07, 0.0), (0.56, 0.0), (0.66, 0.16), (0.07, 0.16)], clear(hull, 0.85))
    pen.polygon([(0, -1.0), (0.34, -0.9), (0, -0.8)], _RED)
    pen.polygon([(-0.95, 0.48), (0.98, 0.48), (0.66, 0.93), (0.55, 0.97), (-0.6, 0.97), (-0.7, 0.92)], hull)
    pen.polygon([(-0.95, 0.48), (0.98, 0.48), (0.92, 0.58), (-0.9, 0.58)], lighter(hull, 0.55))
    for x in (-0.4, 0.0, 0.4):
        pen.disc(x, 0.74, 0.075, None, lighter(_SKY, 0.4))
    if pen.place in ("beach", "harbour"):
        pen.blob(
            [(-1.1, 0.98), (-0.5, 0.9), (0, 0.96), (0.5, 0.9), (1.1, 0.98), (0, 1.06)], (255, 255, 255, 150)
        )


def cake(pen: Pen) -> None:
    """Draw a cake with dripping icing, cherries or candles on top."""
    rng = pen.rng
    dough, icing = (
        _hue(rng, _PEACH, _BROWN, _MUSTARD),
        _hue(rng, _PINK, _WHITE, _LILAC, _CORAL, colour("6b4032")),
    )
    pen.disc(0, 0.88, 0.98, 0.13, lighter(_SKY, 0.7))
    tiers = [(0.8, 0.05, 0.85)] if rng.random() < 0.5 else [(0.82, 0.3, 0.85), (0.52, -0.2, 0.32)]
    for width, top, bottom in tiers:
        pen.box(-width, top, width, bottom, dough, 0.08)
        pen.box(-width, (top + bottom) / 2 + 0.06, width, (top + bottom) / 2 + 0.15, lighter(icing, 0.35))
        pen.disc(0, top, width, 0.14, icing)
        for k in range(7):
            x = width * (k - 3) / 3.5
            pen.box(x - width / 7.5, top, x + width / 7.5, top + rng.uniform(0.12, 0.3), icing, width / 8)
        pen.disc(0, top - 0.03, width * 0.9, 0.09, lighter(icing, 0.35))
    width, top, _ = tiers[-1]
    for x in (-0.5, 0.0, 0.5):
        if rng.random() < 0.5:
            pen.disc(width * x, top - 0.14, 0.12, None, _RED)
            pen.disc(width * x - 0.04, top - 0.18, 0.035, None, _WHITE)
        else:
            pen.box(
                width * x - 0.045, top - 0.42, width * x + 0.045, top - 0.02, _hue(rng, _SKY, _CORAL, _YELLOW)
            )
            pen.glow(width * x, top - 0.52, 0.2, _YELLOW)
            pen.blob(
                [
                    (width * x, top - 0.68),
                    (width * x + 0.07, top - 0.5),
                    (width * x, top - 0.42),
                    (width * x - 0.07, top - 0.5),
                ],
                _MUSTARD,
            )
    if rng.random() < 0.4:
        pen.face(0, tiers[0][1] + 0.34, 0.3)


def car(pen: Pen) -> None:
    """Draw a small round car."""
    ink = _hue(pen.rng, *_BRIGHT)
    _shadow(pen, 1.0)
    pen.blob([(-0.62, 0.3), (-0.5, -0.18), (-0.25, -0.42), (0.15, -0.42), (0.4, -0.15), (0.6, 0.3)], ink)
    for path in (
        [(-0.45, 0.1), (-0.36, -0.15), (-0.2, -0.28), (-0.06, -0.28), (-0.06, 0.1)],
        [(0.04, 0.1), (0.04, -0.28), (0.14, -0.27), (0.3, -0.08), (0.38, 0.1)],
    ):
        pen.polygon(path, lighter(_SKY, 0.55))
    pen.box(-0.98, 0.12, 0.98, 0.68, ink, 0.22)
    pen.box(-0.98, 0.5, 0.98, 0.68, darker(ink, 0.18), 0.09)
    pen.disc(0.86, 0.32, 0.1, None, _YELLOW)
    pen.box(-0.98, 0.26, -0.86, 0.4, _RED, 0.04)
    for x in (-0.52, 0.52):
        pen.disc(x, 0.7, 0.27, None, _INK)
        pen.disc(x, 0.7, 0.12, None, _WHITE)
    if pen.rng.random() < 0.25:
        pen.box(-0.35, -0.6, 0.25, -0.42, _BROWN, 0.05)
    pen.line([(0.1, 0.24), (0.2, 0.24)], 0.04, darker(ink, 0.5))


def cat(pen: Pen) -> None:
    """Draw a sitting cat with its tail around it."""
    rng = pen.rng
    fur = _hue(rng, colour("e8965a"), _GREY, colour("4f4650"), _WHITE, colour("c9a27c"))
    _shadow(pen, 0.7)
    pen.line([(0.4, 0.85), (0.75, 0.8), (0.86, 0.5), (0.74, 0.25), (0.86, 0.08)], 0.15, darker(fur, 0.12))
    pen.blob([(0, -0.15), (0.34, 0.2), (0.5, 0.8), (0.4, 0.97), (-0.4, 0.97), (-0.5, 0.8), (-0.34, 0.2)], fur)
    pen.disc(0, 0.62, 0.26, 0.34, lighter(fur, 0.45))
    for side in (-1, 1):
        pen.disc(side * 0.2, 0.93, 0.17, 0.1, lighter(fur, 0.25))
        pen.polygon([(side * 0.46, -0.42), (side * 0.44, -1.0), (side * 0.06, -0.68)], fur)
        pen.polygon([(side * 0.39, -0.55), (side * 0.39, -0.85), (side * 0.18, -0.68)], _PINK)
    pen.disc(0, -0.36, 0.52, 0.42, fur)
    if rng.random() < 0.6:
        for x in (-0.12, 0.0, 0.12):
            pen.line([(x, -0.74), (x * 0.8, -0.58)], 0.06, darker(fur, 0.3))
        for y in (0.3, 0.48):
            for side in (-1, 1):
                pen.line([(side * 0.4, y), (side * 0.26, y + 0.04)], 0.06, darker(fur, 0.3))
    ink = _WHITE if sum(fur) < 330 else _INK
    pen.face(0, -0.32, 0.46, ink)
    pen.polygon([(-0.06, -0.32), (0.06, -0.32), (0, -0.25)], _CORAL)
    for side in (-1, 1):
        for y in (-0.3, -0.2):
            pen.line([(side * 0.3, y + 0.03), (side * 0.66, y)], 0.02, ink)


def cloud(pen: Pen) -> None:
    """Draw a cloud; sometimes it smiles."""
    rng = pen.rng
    ink = _hue(rng, _WHITE, _WHITE, colour("ffffff"), colour("fbe3ea"))
    if pen.place in ("rain", "night"):
        ink = _hue(rng, colour("5f6a84"), colour("d3d8e2"), colour("ece6ee"))
    puffs = [(-0.6, 0.28, 0.34), (-0.22, 0.0, 0.46), (0.3, 0.05, 0.42), (0.66, 0.3, 0.32)]
    puffs = [(x, y + rng.uniform(-0.12, 0.08), r * rng.uniform(0.85, 1.1)) for x, y, r in puffs]
    for x, y, r in puffs:
        pen.disc(x, y + 0.07, r, None, darker(ink, 0.13))
    pen.box(-0.92, 0.18, 0.95, 0.65, darker(ink, 0.13), 0.22)
    pen.box(-0.88, 0.12, 0.9, 0.56, ink, 0.2)
    for x, y, r in puffs:
        pen.disc(x, y - 0.02, r * 0.95, None, ink)
    if rng.random() < 0.35:
        pen.face(0, 0.2, 0.36)


def crab(pen: Pen) -> None:
    """Draw a waving crab."""
    ink = _hue(pen.rng, _CORAL, _RED, colour("e8794a"), _PLUM)
    _shadow(pen, 0.8)
    for side in (-1, 1):
        for k in range(3):
            y = 0.42 + 0.14 * k
            pen.line(
                [(side * 0.45, y), (side * 0.85, y + 0.02), (side * 0.98, y + 0.24)], 0.09, darker(ink, 0.12)
            )
        lift = pen.rng.uniform(-0.15, 0.2)
        pen.line([(side * 0.5, 0.25), (side * 0.86, 0.05 + lift), (side * 0.78, -0.3 + lift)], 0.12, ink)
        claw = pen.part(side * 0.74, -0.5 + lift, 0.3, flip=side < 0)
        claw.disc(0, 0, 0.95, 0.8, ink)
        claw.polygon([(-0.05, 0.0), (-0.5, -1.1), (0.45, -1.1)], darker(ink, 0.45))
        claw.blob([(-0.8, 0), (-0.85, -0.7), (-0.4, -1.05), (-0.25, -0.3), (0, 0.2)], ink)
        claw.blob([(0.8, 0), (0.95, -0.6), (0.55, -1.05), (0.2, -0.3), (0, 0.2)], ink)
        pen.line([(side * 0.2, 0.15), (side * 0.24, -0.16)], 0.07, ink)
        pen.disc(side * 0.24, -0.22, 0.14, None, _WHITE)
        pen.disc(side * 0.22, -0.2, 0.075, None, _INK)
    pen.disc(0, 0.42, 0.64, 0.44, ink)
    pen.disc(-0.1, 0.25, 0.36, 0.16, clear(_WHITE, 0.25))
    pen.arc(0, 0.42, 0.22, 0.17, 0.03, 0.47, 0.06, _INK)
    for side in (-1, 1):
        pen.disc(side * 0.4, 0.45, 0.1, 0.07, (255, 190, 180, 150))


def cup(pen: Pen) -> None:
    """Draw a steaming cup."""
    rng = pen.rng
    a, b = _two(rng)
    pen.ring(0.58, 0.42, 0.28, 0.13, a)
    pen.disc(0, 0.93, 0.85, 0.1, lighter(a, 0.5))
    pen.blob([(-0.6, 0.0), (0.6, 0.0), (0.58, 0.5), (0.38, 0.9), (-0.38, 0.9), (-0.58, 0.5)], a)
    pen.disc(0, 0.02, 0.6, 0.13, lighter(a, 0.4))
    pen.disc(0, 0.04, 0.5, 0.09, _hue(rng, colour("7a4a30"), colour("a8683a"), colour("f0e0c8")))
    style = rng.random()
    if style < 0.4:
        pen.face(0, 0.46, 0.34)
    elif style < 0.7:
        for x in (-0.32, 0.0, 0.32):
            pen.disc(x, 0.48, 0.11, None, b)
    else:
        pen.blob([(-0.57, 0.38), (0, 0.44), (0.57, 0.38), (0.54, 0.6), (0, 0.66), (-0.54, 0.6)], b)
    for x in (-0.22, 0.14):
        pen.line(
            [(x, -0.2), (x + 0.09, -0.38), (x - 0.06, -0.56), (x + 0.05, -0.78)], 0.07, (255, 255, 255, 120)
        )


def fish(pen: Pen) -> None:
    """Draw a striped fish with bubbles."""
    rng = pen.rng
    a, b = _two(rng)
    if pen.place == "kitchen":
        pen.disc(0, 0.98, 0.7, 0.1, (60, 34, 48, 55))
        pen.disc(0, 0.1, 0.98, 0.9, (255, 255, 255, 90))
        pen.polygon(
            [(0.97 * math.cos(t), 0.1 + 0.88 * math.sin(t)) for t in _turn(-0.45, math.pi + 0.45)],
            (142, 202, 230, 190),
        )
        pen = pen.part(0, 0.2, 0.6)
    pen.blob([(-0.5, 0.05), (-0.98, -0.42), (-0.86, 0.05), (-0.98, 0.52)], darker(a, 0.12))
    pen.blob([(-0.2, -0.3), (0.05, -0.72), (0.35, -0.38), (0.1, -0.2)], darker(a, 0.12))
    pen.blob([(-0.62, 0.05), (-0.2, -0.38), (0.35, -0.42), (0.8, 0.02), (0.35, 0.5), (-0.2, 0.46)], a)
    pen.blob([(-0.3, 0.38), (0.3, 0.34), (0.62, 0.22), (0.35, 0.5), (-0.15, 0.45)], lighter(a, 0.45))
    for x in (-0.28, 0.02)[: rng.choice((0, 1, 2, 2))]:
        pen.blob(
            [(x, -0.38), (x + 0.12, -0.36), (x + 0.1, 0.05), (x + 0.12, 0.44), (x, 0.46), (x + 0.02, 0.05)], b
        )
    pen.blob([(0.0, 0.1), (-0.28, 0.12), (-0.32, 0.36), (-0.1, 0.3)], darker(a, 0.2))
    pen.disc(0.46, -0.1, 0.13, None, _WHITE)
    pen.disc(0.49, -0.1, 0.075, None, _INK)
    pen.arc(0.62, 0.12, 0.12, 0.1, 0.15, 0.5, 0.04, _INK)
    if pen.place == "underwater":
        for k in range(rng.randint(1, 3)):
            pen.ring(0.85 + rng.uniform(-0.1, 0.1), -0.3 - 0.25 * k, 0.07, 0.03, (255, 255, 255, 190))


def flower(pen: Pen) -> None:
    """Draw a flower; indoors it stands in a vase."""
    rng = pen.rng
    petal, heart = (
        _hue(rng, _PINK, _CORAL, _YELLOW, _LILAC, _WHITE, _RED),
        _hue(rng, _MUSTARD, _YELLOW, _BROWN),
    )
    stem = _hue(rng, _LEAF, _FOREST)
    bend = rng.uniform(-0.15, 0.15)
    pen.line([(0, 0.98), (bend, 0.4), (0, -0.3)], 0.09, stem)
    if pen.place == "kitchen":
        vase = _hue(rng, _TEAL, _SKY, _WHITE, _CORAL)
        pen.blob(
            [
                (-0.18, 0.25),
                (0.18, 0.25),
                (0.2, 0.4),
                (0.4, 0.75),
                (0.25, 0.98),
                (-0.25, 0.98),
                (-0.4, 0.75),
                (-0.2, 0.4),
            ],
            vase,
        )
        pen.disc(-0.18, 0.66, 0.06, 0.14, clear(_WHITE, 0.45))
    else:
        for side in (-1, 1):
            y = rng.uniform(0.5, 0.8)
            pen.blob(
                [(0, y + 0.1), (side * 0.28, y - 0.2), (side * 0.55, y - 0.2), (side * 0.34, y + 0.08)], stem
            )
    if rng.random() < 0.3:
        pen.blob(
            [
                (-0.42, -0.85),
                (-0.2, -0.62),
                (0, -0.95),
                (0.2, -0.62),
                (0.42, -0.85),
                (0.38, -0.3),
                (0, -0.12),
                (-0.38, -0.3),
            ],
            petal,
        )
        pen.blob([(0, -0.9), (0.18, -0.5), (0, -0.15), (-0.18, -0.5)], lighter(petal, 0.3))
        return
    petals = rng.choice((5, 6, 8))
    for k in range(petals):
        a = k * math.tau / petals + bend
        pen.disc(0.34 * math.sin(a), -0.46 - 0.34 * math.cos(a), 0.19, 0.25, petal, a)
    pen.disc(0, -0.46, 0.24, None, heart)
    if rng.random() < 0.5:
        pen.face(0, -0.46, 0.22)


def house(pen: Pen) -> None:
    """Draw a house with a lit window and smoke from its chimney."""
    rng = pen.rng
    wall, roof = (
        _hue(rng, _WHITE, _PEACH, _CORAL, _SKY, _YELLOW, _PINK, _RUST),
        _hue(rng, _RUST, _BROWN, _NAVY, _TEAL),
    )
    lit = pen.place in ("night", "winter") or rng.random() < 0.3
    glass = _YELLOW if lit else lighter(_SKY, 0.3)
    if rng.random() < 0.6:
        for k in range(3):
            pen.disc(0.46 + 0.1 * k, -0.98 - 0.14 * k, 0.1 + 0.035 * k, None, (255, 255, 255, 120))
        pen.box(0.36, -0.85, 0.56, -0.3, darker(roof, 0.2))
    pen.box(-0.72, -0.2, 0.72, 1, wall)
    pen.polygon([(0.4, -0.2), (0.72, -0.2), (0.72, 1), (0.52, 1)], clear(darker(wall, 0.4), 0.22))
    pen.polygon([(-0.92, -0.1), (0, -0.92), (0.92, -0.1)], roof)
    if pen.place == "winter":
        pen.blob(
            [
                (-0.92, -0.12),
                (-0.5, -0.5),
                (0, -0.98),
                (0.5, -0.5),
                (0.92, -0.12),
                (0.6, -0.2),
                (0.3, -0.5),
                (0, -0.6),
                (-0.3, -0.45),
                (-0.6, -0.2),
            ],
            _WHITE,
        )
    else:
        pen.polygon([(-0.92, -0.1), (0, -0.92), (0.1, -0.83), (-0.72, -0.1)], lighter(roof, 0.15))
    pen.disc(0, -0.4, 0.13, None, glass)
    pen.box(-0.14, 0.4, 0.2, 1, darker(roof, 0.1), 0.1)
    pen.disc(0.12, 0.72, 0.03, None, _YELLOW)
    for x in (-0.44, 0.48):
        if lit:
            pen.glow(x, 0.25, 0.36, _YELLOW, 0.09)
        pen.box(x - 0.17, 0.08, x + 0.17, 0.42, lighter(wall, 0.6))
        pen.box(x - 0.13, 0.12, x + 0.13, 0.38, glass)
        pen.line([(x, 0.12), (x, 0.38)], 0.035, lighter(wall, 0.6))
        pen.line([(x - 0.13, 0.25), (x + 0.13, 0.25)], 0.035, lighter(wall, 0.6))


def lamp(pen: Pen) -> None:
    """Draw a street lamp; in the kitchen, a ceiling lamp."""
    rng = pen.rng
    ink = _hue(rng, _INK, _NAVY, _FOREST)
    if pen.place == "kitchen":
        shade = _hue(rng, _TEAL, _CORAL, _MUSTARD, _WHITE, _PLUM)
        pen.line([(0, -3), (0, 0.1)], 0.05, _INK)
        pen.glow(0, 0.75, 0.95, _YELLOW, 0.08)
        pen.disc(0, 0.72, 0.26, None, lighter(_YELLOW, 0.5))
        pen.blob(
            [(-0.14, 0.06), (0.14, 0.06), (0.4, 0.35), (0.86, 0.7), (0, 0.74), (-0.86, 0.7), (-0.4, 0.35)],
            shade,
        )
        return
    _shadow(pen, 0.3)
    pen.line([(0, 0.96), (0, -0.4)], 0.09, ink)
    pen.box(-0.16, 0.86, 0.16, 1, ink, 0.04)
    pen.line([(-0.18, -0.3), (0.18, -0.3)], 0.06, ink)
    pen.glow(0, -0.66, 0.75, _YELLOW, 0.1)
    pen.polygon([(-0.14, -0.42), (0.14, -0.42), (0.24, -0.82), (-0.24, -0.82)], lighter(_YELLOW, 0.35))
    pen.polygon([(-0.3, -0.8), (0.3, -0.8), (0, -1)], ink)
    pen.line([(-0.14, -0.42), (-0.24, -0.82)], 0.04, ink)
    pen.line([(0.14, -0.42), (0.24, -0.82)], 0.04, ink)


def moon(pen: Pen) -> None:
    """Draw the sleeping moon: crescent or full."""
    ink = _hue(pen.rng, colour("ffe9a8"), colour("fff3cf"), colour("f5dca0"))
    pen.glow(0, 0, 1.25, ink, 0.06)
    if pen.rng.random() < 0.35:
        pen.disc(0, 0, 0.8, None, ink)
        for x, y, r in ((0.4, -0.42, 0.14), (-0.52, 0.3, 0.1), (0.3, 0.52, 0.09)):
            pen.disc(x, y, r, None, darker(ink, 0.12))
        pen.face(0, 0, 0.5, asleep=True)
        return
    outer = [(0.86 * math.cos(a), 0.86 * math.sin(a)) for a in _turn(0.8, math.tau - 0.8)]
    far = math.atan2(0.86 * math.sin(0.8), 0.86 * math.cos(0.8) - 0.4)
    wide = 0.86 * math.sin(0.8) / math.sin(far)
    inner = [(0.4 + wide * math.cos(a), wide * math.sin(a)) for a in _turn(math.tau - far, far)]
    pen.polygon(outer + inner, ink)
    pen.arc(-0.5, -0.12, 0.12, 0.09, 0.04, 0.46, 0.06, _INK)
    pen.arc(-0.42, 0.2, 0.14, 0.13, 0.03, 0.4, 0.06, _INK)
    pen.disc(-0.62, 0.14, 0.1, 0.07, (242, 120, 120, 130))


def mountain(pen: Pen) -> None:
    """Draw a mountain with a snowy top, often with a smaller one in front."""
    rng = pen.rng
    rock = _hue(rng, colour("8d86a8"), colour("7f8fa3"), colour("a1866f"), colour("6c7f8c"))
    for x, y, size in ((0.0, 0.0, 1.0), (rng.choice((-0.75, 0.75)), 0.42, 0.6))[: rng.choice((1, 2, 2))]:
        part = pen.part(x, y, size)
        part.polygon(
            [(-1.15, 0.98), (-0.5, 0.0), (-0.12, -0.8), (0, -0.9), (0.16, -0.75), (0.6, 0.1), (1.2, 0.98)],
            rock,
        )
        part.polygon(
            [(0, -0.9), (0.16, -0.75), (0.6, 0.1), (1.2, 0.98), (0.3, 0.98), (0.1, 0.2)], darker(rock, 0.16)
        )
        part.polygon(
            [
                (-0.32, -0.34),
                (-0.12, -0.8),
                (0, -0.9),
                (0.16, -0.75),
                (0.36, -0.36),
                (0.2, -0.2),
                (0.1, -0.36),
                (-0.02, -0.16),
                (-0.16, -0.36),
            ],
            _WHITE,
        )
        rock = lighter(rock, 0.12)


def sandcastle(pen: Pen) -> None:
    """Draw a sandcastle with a flag."""
    rng = pen.rng
    sand = _hue(rng, colour("e6bd7a"), colour("d9a862"), colour("f0cf94"))
    _shadow(pen, 1.0)
    pen.blob([(-1.05, 1), (-0.7, 0.72), (0, 0.66), (0.7, 0.72), (1.05, 1), (0, 1.05)], darker(sand, 0.12))
    towers = [(-0.62, 0.22, -0.05), (0.62, 0.22, -0.05), (0.0, 0.3, rng.uniform(-0.5, -0.3))]
    pen.box(-0.62, 0.3, 0.62, 0.92, darker(sand, 0.06))
    for x, half, top in towers:
        pen.box(x - half, top, x + half, 0.94, sand)
        pen.box(x + half * 0.35, top, x + half, 0.94, darker(sand, 0.1))
        for k in (-1, 0, 1):
            pen.box(x + half * (0.72 * k - 0.24), top - 0.13, x + half * (0.72 * k + 0.24), top + 0.02, sand)
    pen.box(-0.13, 0.58, 0.13, 0.94, darker(sand, 0.5), 0.1)
    for x in (-0.62, 0.62):
        pen.disc(x, 0.25, 0.06, 0.09, darker(sand, 0.4))
    top = towers[-1][2]
    pen.line([(0, top), (0, top - 0.5)], 0.04, _BROWN)
    pen.polygon(
        [(0.01, top - 0.52), (0.36, top - 0.4), (0.01, top - 0.28)], _hue(rng, _RED, _TEAL, _BLUE, _PINK)
    )


def sheep(pen: Pen) -> None:
    """Draw a woolly sheep."""
    rng = pen.rng
    wool, skin = (
        _hue(rng, _WHITE, _WHITE, colour("efe3d0"), colour("8f817c")),
        _hue(rng, colour("54454b"), _PEACH),
    )
    _shadow(pen, 0.8)
    for x in (-0.42, -0.2, 0.18, 0.38):
        pen.line([(x, 0.5), (x, 0.94)], 0.1, skin)
    for x, y, r in (
        (-0.55, 0.1, 0.3),
        (-0.35, -0.18, 0.32),
        (0.0, -0.25, 0.34),
        (0.35, -0.1, 0.32),
        (-0.4, 0.36, 0.3),
        (0.02, 0.4, 0.34),
        (0.38, 0.3, 0.3),
    ):
        pen.disc(x, y + 0.05, r, None, darker(wool, 0.14))
        pen.disc(x, y, r, None, wool)
    pen.disc(0, 0.1, 0.5, 0.36, wool)
    pen.disc(0.62, -0.12, 0.3, 0.34, skin)
    pen.disc(0.4, -0.18, 0.19, 0.09, skin, -0.5)
    pen.disc(0.86, -0.2, 0.17, 0.08, skin, 0.5)
    pen.disc(0.6, -0.4, 0.25, 0.17, wool)
    ink = _WHITE if sum(skin) < 330 else _INK
    for x in (0.53, 0.74):
        pen.disc(x, -0.14, 0.05, None, ink)
    pen.arc(0.64, 0.0, 0.11, 0.08, 0.03, 0.47, 0.04, ink)


def snowman(pen: Pen) -> None:
    """Draw a smiling snowman with a scarf and a hat."""
    rng = pen.rng
    snow, scarf, hat = (
        colour("fdfbf7"),
        _hue(rng, _RED, _TEAL, _MUSTARD, _PLUM),
        _hue(rng, _INK, _NAVY, _RED, _FOREST),
    )
    _shadow(pen, 0.7)
    for side in (-1, 1):
        pen.line([(side * 0.4, 0.18), (side * 0.84, -0.14)], 0.055, _BROWN)
        pen.line([(side * 0.72, -0.04), (side * 0.9, 0.0)], 0.04, _BROWN)
    for y, r in ((0.52, 0.48), (-0.28, 0.38)):
        pen.disc(0, y, r, r * 0.96, colour("c9d6e6"))
        pen.disc(-0.04, y - 0.03, r * 0.93, None, snow)
    for y in (0.3, 0.5, 0.7):
        pen.disc(0, y, 0.05, None, _INK)
    pen.face(0, -0.26, 0.38)
    pen.polygon([(-0.03, -0.28), (-0.03, -0.17), (0.36, -0.2)], colour("ee8a3a"))
    pen.blob([(-0.36, -0.02), (0, 0.06), (0.36, -0.02), (0.38, 0.12), (0, 0.2), (-0.38, 0.12)], scarf)
    pen.polygon([(0.16, 0.12), (0.34, 0.1), (0.42, 0.5), (0.22, 0.52)], darker(scarf, 0.12))
    if rng.random() < 0.6:
        pen.box(-0.26, -0.98, 0.26, -0.58, hat, 0.04)
        pen.box(-0.26, -0.7, 0.26, -0.6, scarf)
        pen.disc(0, -0.58, 0.44, 0.08, hat)
    else:
        pen.blob([(-0.36, -0.5), (-0.28, -0.82), (0, -0.94), (0.28, -0.82), (0.36, -0.5), (0, -0.58)], scarf)
        pen.disc(0, -0.92, 0.12, None, _WHITE)


def star(pen: Pen) -> None:
    """Draw a star with a face."""
    ink = _hue(pen.rng, _YELLOW, colour("fff0b0"), colour("ffc96b"))
    pen.glow(0, 0, 1.2, ink, 0.05)
    pen.blob(_star(0.0, 0.04, 0.95, 0.52), ink)
    pen.face(0, 0.06, 0.42)


def sun(pen: Pen) -> None:
    """Draw a smiling sun."""
    rng = pen.rng
    ink = _hue(rng, _YELLOW, colour("ffc04a"), colour("ff9f55"))
    pen.glow(0, 0, 1.35, ink, 0.06)
    rays = rng.choice((8, 10, 12, 14))
    turn = rng.random()
    for k in range(rays):
        a = (k + turn) * math.tau / rays
        r = 1.0 if k % 2 else 0.88
        pen.polygon(
            [
                (0.66 * math.cos(a - 0.17), 0.66 * math.sin(a - 0.17)),
                (r * math.cos(a), r * math.sin(a)),
                (0.66 * math.cos(a + 0.17), 0.66 * math.sin(a + 0.17)),
            ],
            darker(ink, 0.06),
        )
    pen.disc(0, 0, 0.62, None, ink)
    pen.disc(-0.05, -0.06, 0.5, None, clear(lighter(ink, 0.5), 0.4))
    pen.face(0, 0, 0.52)


def teapot(pen: Pen) -> None:
    """Draw a round teapot."""
    rng = pen.rng
    a, b = _two(rng)
    pen.ring(-0.62, 0.3, 0.3, 0.12, darker(a, 0.08))
    pen.blob(
        [(0.45, 0.55), (0.72, 0.3), (0.78, -0.05), (1.02, -0.16), (0.96, 0.2), (0.72, 0.62)], darker(a, 0.08)
    )
    pen.disc(0, 0.38, 0.66, 0.56, a)
    pen.disc(0, 0.92, 0.4, 0.08, darker(a, 0.25))
    pen.disc(0, -0.12, 0.36, 0.13, lighter(a, 0.25))
    pen.disc(0, -0.3, 0.11, None, b)
    if rng.random() < 0.5:
        pen.face(0, 0.4, 0.4)
    else:
        for x, y in ((-0.34, 0.3), (0, 0.2), (0.34, 0.3), (-0.18, 0.56), (0.18, 0.56)):
            pen.disc(x, y, 0.1, None, b)
    pen.disc(-0.3, 0.12, 0.16, 0.09, clear(_WHITE, 0.4), -0.5)
    pen.line([(1.0, -0.34), (1.08, -0.5), (0.98, -0.66), (1.06, -0.82)], 0.06, (255, 255, 255, 120))


def tree(pen: Pen) -> None:
    """Draw a tree: a palm by the sea, a fir in the mountains, a round one elsewhere."""
    rng = pen.rng
    bark = _hue(rng, _BROWN, colour("6b4a3a"))
    if pen.place == "beach":
        leaf = _hue(rng, _LEAF, _FOREST)
        pen.line([(-0.1, 0.98), (0.02, 0.4), (0.0, -0.1), (0.1, -0.45)], 0.13, bark)
        for k, (x, y) in enumerate(
            ((-0.72, -0.02), (0.9, 0.0), (-0.86, -0.5), (1.0, -0.5), (-0.3, -0.95), (0.56, -0.95))
        ):
            dx, dy = x - 0.1, y + 0.45
            pen.blob(
                [
                    (0.1, -0.5),
                    (0.1 + 0.4 * dx, -0.66 + 0.45 * dy),
                    (0.1 + 0.8 * dx, -0.62 + 0.85 * dy),
                    (x, y),
                    (0.1 + 0.75 * dx, -0.42 + 0.8 * dy),
                    (0.1 + 0.4 * dx, -0.4 + 0.5 * dy),
                ],
                darker(leaf, 0.06 * k),
            )
        for x in (0.0, 0.16):
            pen.disc(x, -0.38, 0.09, None, darker(bark, 0.2))
        return
    _shadow(pen, 0.5)
    if pen.place in ("mountains", "winter") or rng.random() < 0.2:
        leaf = _hue(rng, _FOREST, colour("2f6650"), colour("4f8a60"))
        pen.box(-0.1, 0.6, 0.1, 0.98, bark)
        for half, top, bottom in ((0.62, -0.1, 0.74), (0.5, -0.55, 0.3), (0.36, -1.0, -0.15)):
            pen.polygon([(-half, bottom), (0, top), (half, bottom), (0, bottom + 0.07)], leaf)
            pen.polygon([(half, bottom), (0, top), (0.06, bottom + 0.06)], darker(leaf, 0.14))
            if pen.place == "winter":
                pen.blob(
                    [
                        (0, top - 0.02),
                        (half * 0.5, top + 0.42),
                        (half * 0.12, top + 0.34),
                        (-half * 0.2, top + 0.46),
                        (-half * 0.48, top + 0.4),
                    ],
                    _WHITE,
                )
        return
    leaf = _hue(rng, _LEAF, _FOREST, _OLIVE, colour("e39a4a") if rng.random() < 0.3 else _LEAF)
    if pen.place == "night":
        leaf = darker(leaf, 0.35)
    pen.polygon([(-0.12, 0.98), (-0.08, 0.1), (0.08, 0.1), (0.12, 0.98)], bark)
    pen.line([(0.02, 0.4), (0.3, 0.1)], 0.07, bark)
    crown = [(-0.36, 0.0, 0.38), (0.36, 0.02, 0.36), (0.0, -0.42, 0.48), (-0.08, 0.02, 0.4)]
    for x, y, r in crown:
        pen.disc(x + 0.04, y + 0.05, r, None, darker(leaf, 0.16))
    for x, y, r in crown:
        pen.disc(x - 0.03, y - 0.03, r * 0.93, None, leaf)
    pen.disc(-0.2, -0.5, 0.2, 0.14, clear(lighter(leaf, 0.5), 0.5), -0.5)
    if rng.random() < 0.4:
        for _ in range(5):
            pen.disc(rng.uniform(-0.5, 0.5), rng.uniform(-0.6, 0.2), 0.075, None, _RED)


def umbrella(pen: Pen) -> None:
    """Draw a striped umbrella."""
    a, b = _two(pen.rng)
    top = pen.part(0, 0.02, tilt=pen.rng.uniform(-0.3, 0.3))
    top.line([(0, -0.95), (0, 0.9)], 0.06, _BROWN)
    if pen.place != "beach":
        top.arc(0.12, 0.88, 0.12, 0.1, 0.0, 0.5, 0.06, _BROWN)
    dome = [(math.cos(k * math.pi / 12), -0.9 * math.sin(k * math.pi / 12) + 0.05) for k in range(13)]
    top.polygon(dome, a)
    for left, right in ((-0.66, -0.3), (0.3, 0.66)) if pen.rng.random() < 0.7 else ((-0.3, 0.3),):
        top.polygon([(left, 0.05), (left * 0.75, -0.5), (0, -0.86), (right * 0.75, -0.5), (right, 0.05)], b)
    for k in range(5):
        top.disc(-0.8 + 0.4 * k, 0.04, 0.2, 0.09, b if k in (1, 3) else a)
    top.disc(0, -0.9, 0.06, None, _BROWN)
    top.polygon([(1, 0.05), *dome[1:6], (0.4, 0.05)], (60, 34, 48, 30))
