"""A pen for flat, softly shaded drawings: shapes in local coordinates, mapped to the image by an affine map.

Every shape becomes a polygon, so that it can be rotated, mirrored and scaled; Pillow fills it with alpha.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import ImageDraw

Colour = tuple[int, ...]
Number = int | float  # beartype checks annotations strictly: 0 is not a float
Point = tuple[Number, Number]

_CIRCLE = tuple((math.cos(k * math.tau / 36), math.sin(k * math.tau / 36)) for k in range(36))
_STEPS = (0.0, 0.2, 0.4, 0.6, 0.8)


def colour(code: str) -> Colour:
    """Convert a colour such as `"ffd45c"` to a tuple."""
    return tuple(bytes.fromhex(code))


def mix(a: Colour, b: Colour, share: Number) -> Colour:
    """Interpolate between the colours `a` and `b`."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))


def lighter(ink: Colour, share: Number = 0.3) -> Colour:
    """Mix a colour with a warm white."""
    return mix(ink, (255, 248, 230), share)


def darker(ink: Colour, share: Number = 0.25) -> Colour:
    """Mix a colour with a warm dark brown."""
    return mix(ink, (60, 34, 48), share)


def clear(ink: Colour, alpha: Number) -> Colour:
    """Set the alpha of a colour: 0 is transparent, 1 is opaque."""
    return (*ink[:3], round(255 * alpha))


def smooth(points: Sequence[Point]) -> list[Point]:
    """Compute a closed smooth curve through the points (Catmull-Rom)."""
    curve = []
    for k in range(len(points)):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = (points[(k + i - 1) % len(points)] for i in range(4))
        for t in _STEPS:
            wa, wb = t * (-0.5 + t * (1 - 0.5 * t)), 1 + t * t * (1.5 * t - 2.5)
            wc, wd = t * (0.5 + t * (2 - 1.5 * t)), t * t * (0.5 * t - 0.5)
            curve.append((wa * ax + wb * bx + wc * cx + wd * dx, wa * ay + wb * by + wc * cy + wd * dy))
    return curve


@dataclass(frozen=True)
class Pen:
    """Pen with local coordinates: centre (0, 0), box about [-1, 1] in both directions, y downwards.

    Attributes:
        sheet: Drawing context in mode RGBA, so that alpha blends.
        rng: Random generator of the thing.
        place: Kind of scene; a tree by the sea is a palm.
        xx: With `xy`, `yx`, `yy`: linear map to pixels.
        x: With `y`: pixel of the centre.
    """

    sheet: ImageDraw.ImageDraw
    rng: Random
    place: str
    xx: Number
    xy: Number
    yx: Number
    yy: Number
    x: Number
    y: Number

    def part(
        self, x: Number, y: Number, size: Number = 1.0, *, tilt: Number = 0.0, flip: bool = False
    ) -> "Pen":
        """Return a pen for a part: centre at (x, y), scaled, rotated by `tilt` radians, optionally mirrored."""
        c, s = size * math.cos(tilt), size * math.sin(tilt)
        f = -1 if flip else 1
        (px, py) = self._map([(x, y)])[0]
        return replace(
            self,
            xx=f * (self.xx * c + self.xy * s),
            xy=self.xy * c - self.xx * s,
            yx=f * (self.yx * c + self.yy * s),
            yy=self.yy * c - self.yx * s,
            x=px,
            y=py,
        )

    def _map(self, points: Sequence[Point]) -> list[Point]:
        xx, xy, yx, yy, x0, y0 = self.xx, self.xy, self.yx, self.yy, self.x, self.y
        return [(x0 + xx * x + xy * y, y0 + yx * x + yy * y) for x, y in points]

    @property
    def pixels(self) -> float:
        """Number of pixels per unit."""
        return math.sqrt(abs(self.xx * self.yy - self.xy * self.yx))

    def polygon(self, points: Sequence[Point], ink: Colour) -> None:
        """Draw a filled polygon."""
        self.sheet.polygon(self._map(points), fill=ink)

    def blob(self, points: Sequence[Point], ink: Colour) -> None:
        """Draw a filled smooth shape through the points."""
        self.polygon(smooth(points), ink)

    def disc(
        self, x: Number, y: Number, rx: Number, ry: Number | None, ink: Colour, tilt: Number = 0.0
    ) -> None:
        """Draw a filled ellipse; a circle if `ry` is None."""
        ry = rx if ry is None else ry
        c, s = math.cos(tilt), math.sin(tilt)
        self.polygon([(x + rx * u * c - ry * v * s, y + rx * u * s + ry * v * c) for u, v in _CIRCLE], ink)

    def box(
        self, left: Number, top: Number, right: Number, bottom: Number, ink: Colour, round: Number = 0.0
    ) -> None:
        """Draw a filled rectangle with rounded corners."""
        if not round:
            self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], ink)
            return
        corners = []
        inner = (left + round, top + round, right - round, bottom - round)
        for quarter, (x, y) in enumerate(((2, 3), (0, 3), (0, 1), (2, 1))):
            turn = (*_CIRCLE, _CIRCLE[0])[9 * quarter : 9 * quarter + 10]
            corners += [(inner[x] + round * u, inner[y] + round * v) for u, v in turn]
        self.polygon(corners, ink)

    def line(self, points: Sequence[Point], width: Number, ink: Colour) -> None:
        """Draw a line with round ends; `width` in units."""
        pixels = max(width * self.pixels, 1.5)
        path = self._map(points)
        self.sheet.line(path, fill=ink, width=round(pixels), joint="curve" if len(path) > 2 else None)
        r = pixels / 2 - 0.5
        if r > 1.5:
            for x, y in (path[0], path[-1]):
                self.sheet.ellipse((x - r, y - r, x + r, y + r), fill=ink)

    def arc(
        self,
        x: Number,
        y: Number,
        rx: Number,
        ry: Number,
        start: Number,
        end: Number,
        width: Number,
        ink: Colour,
    ) -> None:
        """Draw a part of an ellipse's outline, from `start` to `end` in turns (0 right, 0.25 down)."""
        steps = max(int(abs(end - start) * 32), 6)
        angles = (math.tau * (start + (end - start) * k / steps) for k in range(steps + 1))
        self.line([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles], width, ink)

    def ring(self, x: Number, y: Number, r: Number, width: Number, ink: Colour) -> None:
        """Draw the outline of a circle."""
        self.arc(x, y, r, r, 0, 1.03, width, ink)

    def glow(self, x: Number, y: Number, r: Number, ink: Colour, strength: Number = 0.12) -> None:
        """Draw light around a point that fades outwards."""
        for k in range(5, 0, -1):
            self.disc(x, y, r * k / 5, None, clear(ink, strength))

    def face(
        self, x: Number, y: Number, r: Number, ink: Colour = (74, 48, 44), *, asleep: bool = False
    ) -> None:
        """Draw two eyes, pink cheeks and a smile in a circle of radius r."""
        for side in (-1, 1):
            self.disc(x + side * 0.62 * r, y + 0.2 * r, 0.2 * r, 0.14 * r, (242, 120, 120, 130))
            if asleep:
                self.arc(x + side * 0.36 * r, y - 0.12 * r, 0.16 * r, 0.13 * r, 0.04, 0.46, 0.08 * r, ink)
            else:
                self.disc(x + side * 0.36 * r, y - 0.1 * r, 0.11 * r, 0.15 * r, ink)
                self.disc(x + side * 0.36 * r - 0.04 * r, y - 0.15 * r, 0.04 * r, None, (255, 255, 255))
        self.arc(x, y + 0.1 * r, 0.27 * r, 0.26 * r, 0.03, 0.47, 0.09 * r, ink)
