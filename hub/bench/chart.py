"""The picture of a run: latency against load, as an SVG written by hand. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 50, 60
COLOURS = ("#1f6f8b", "#c2541b", "#5b7f2b", "#7a4b9d")
FONT = 'font-family="sans-serif" font-size="12" fill="#333"'


@dataclass(frozen=True, slots=True)
class Line:
    """``points`` are (changes a second, milliseconds)."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str
    dashed: bool = False


def draw(title: str, lines: list[Line]) -> str:
    """Both axes are logarithmic: scenarios differ by powers of ten. A line without points is left out."""
    lines = [line for line in lines if line.points]
    xs = [x for line in lines for x, _ in line.points] or [1.0]
    ys = [y for line in lines for _, y in line.points] or [1.0]
    plane = _Plane(*_decades(xs), *_decades(ys))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="26" {FONT} font-weight="bold">{escape(title)}</text>',
        *plane.grid(),
        *(part for place, line in enumerate(lines) for part in _line(plane, line, place)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class _Plane:
    """Bounds are powers of ten, given as exponents."""

    x_low: int
    x_high: int
    y_low: int
    y_high: int

    def x(self, value: float) -> float:
        share = (math.log10(value) - self.x_low) / (self.x_high - self.x_low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.y_low) / (self.y_high - self.y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def grid(self) -> list[str]:
        low, high, right = HEIGHT - BOTTOM, TOP, WIDTH - RIGHT
        parts = []
        for exponent in range(self.x_low, self.x_high + 1):
            at = self.x(10.0**exponent)
            parts.append(f'<line x1="{at}" y1="{low}" x2="{at}" y2="{high}" stroke="#ddd"/>')
            parts.append(f'<text x="{at}" y="{low + 18}" {FONT} text-anchor="middle">{10.0**exponent:g}</text>')
        for exponent in range(self.y_low, self.y_high + 1):
            at = self.y(10.0**exponent)
            parts.append(f'<line x1="{LEFT}" y1="{at}" x2="{right}" y2="{at}" stroke="#ddd"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{at + 4}" {FONT} text-anchor="end">{10.0**exponent:g}</text>')
        middle = (LEFT + right) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 16}" {FONT} text-anchor="middle">changes per second</text>')
        turned = f'transform="rotate(-90 18 {HEIGHT / 2})"'
        return [*parts, f'<text x="18" y="{HEIGHT / 2}" {FONT} text-anchor="middle" {turned}>milliseconds</text>']


def _line(plane: _Plane, line: Line, place: int) -> list[str]:
    spots = [(plane.x(x), plane.y(y)) for x, y in line.points]
    way = " ".join(f"{x},{y}" for x, y in spots)
    stroke = f'stroke="{line.colour}" stroke-width="2"' + (' stroke-dasharray="6 4"' if line.dashed else "")
    legend, start = TOP + 12 + place * 20, WIDTH - RIGHT + 14
    return [
        f'<polyline points="{way}" fill="none" {stroke}/>',
        *(f'<circle cx="{x}" cy="{y}" r="3" fill="{line.colour}"/>' for x, y in spots),
        f'<line x1="{start}" y1="{legend - 4}" x2="{start + 24}" y2="{legend - 4}" {stroke}/>',
        f'<text x="{start + 30}" y="{legend}" {FONT}>{escape(line.name)}</text>',
    ]


def _decades(values: list[float]) -> tuple[int, int]:
    """The powers of ten around the values, at least one apart."""
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))
