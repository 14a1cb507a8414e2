"""Error over model calls as a picture, drawn with Pillow: work and precision of each series, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from .lettering import anchored, font, width
from .ranking import MEASURED, UNMEASURABLE

if TYPE_CHECKING:
    from .comparison import Comparison

_SCALE = 2  # drawn larger and scaled down, which smooths the lines
_PAPER, _INK, _QUIET, _GRID = "#ffffff", "#33333a", "#8d8d96", "#ececf1"
#: distinct for most eyes (Okabe & Ito 2008, without its yellow), and again with other marks
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#33333a")
_LEFT, _TOP, _BOTTOM, _RIGHT = 76, 54, 58, 24
_PLOT, _HEIGHT, _LINE = 560, 380, 22


@dataclass(frozen=True)
class _Point:
    calls: int
    error: float
    low: float
    high: float
    sure: bool


@dataclass(frozen=True)
class _Series:
    name: str
    points: tuple[_Point, ...]
    colour: str
    mark: str

    @property
    def label(self) -> str:
        """The name with the slope over all of its measured points."""
        sure = [point for point in self.points if point.sure]
        first, last = (sure[0], sure[-1]) if sure else (None, None)
        if first is None or last is None or last.calls == first.calls:
            return self.name
        slope = math.log(first.error / last.error) / math.log(last.calls / first.calls)
        return f"{self.name}, slope {slope:.1f}"


def draw(comparison: Comparison) -> Image.Image:
    """See `Comparison.plot_picture`. ValueError where no setting has a finite error above 0."""
    return _Plot(comparison).picture


def _series(comparison: Comparison) -> list[_Series]:
    """The lines, the one that ends highest first."""
    points: dict[str, list[_Point]] = {}
    for row, score in zip(comparison.rows, comparison.scores, strict=True):
        if score.status in (MEASURED, UNMEASURABLE) and score.error:
            low, high = score.low or score.error, score.high or score.error
            # between infinite samples the interval has no end
            ends = (low, high if math.isfinite(high) else score.error)
            points.setdefault(row.series, []).append(_Point(row.calls, score.error, *ends, score.status == MEASURED))
    ordered = {name: tuple(sorted(each, key=lambda point: point.calls)) for name, each in points.items()}
    names = sorted(ordered, key=lambda name: -ordered[name][-1].error)
    marks = [mark for mark in ("circle", "square", "diamond") for _ in _COLOURS]
    return [
        _Series(name, ordered[name], colour, mark)
        for name, colour, mark in zip(names, cycle(_COLOURS), cycle(marks), strict=False)
    ]


class _Plot:
    def __init__(self, comparison: Comparison) -> None:
        self.comparison, self.series = comparison, _series(comparison)
        if not self.series:
            raise ValueError("there is nothing to plot: no setting has a finite error above 0")
        points = [point for each in self.series for point in each.points]
        self.calls = sorted({point.calls for point in points})
        low, high = min(point.low for point in points), max(point.high for point in points)
        self.lines = [
            (value, f"{words} {value:.2g}", dash)
            for value, words, dash in (
                (comparison.within, "near enough:", 5),
                (comparison.reference.uncertainty, "the reference is sure to", 2),
            )
            if low / 3.0 < value < high * 3.0
        ]
        values = [low, high, *(value for value, _, _ in self.lines)]
        self.low, self.high = math.log10(min(values)) - 0.08, math.log10(max(values)) + 0.08
        labels = [*(each.label for each in self.series), *(text for _, text, _ in self.lines)]
        legend = max(width(label, font(13)) for label in labels) + 46
        height = max(_HEIGHT, _LINE * len(labels) + 20)
        self.size = (_LEFT + _PLOT + legend + _RIGHT, _TOP + height + _BOTTOM)
        self.canvas = Image.new("RGB", (self.size[0] * _SCALE, self.size[1] * _SCALE), _PAPER)
        self.pen = ImageDraw.Draw(self.canvas)
        self._draw()

    @property
    def picture(self) -> Image.Image:
        return self.canvas.resize(self.size, Image.Resampling.LANCZOS)

    def x(self, calls: float) -> float:
        first, last = math.log(self.calls[0]), math.log(self.calls[-1])
        share = 0.5 if first == last else (math.log(calls) - first) / (last - first)
        return _LEFT + 34 + share * (_PLOT - 68)

    def y(self, error: float) -> float:
        height = self.size[1] - _TOP - _BOTTOM
        return _TOP + height * (self.high - math.log10(error)) / (self.high - self.low)

    def line(self, points: Sequence[tuple[float, float]], colour: str, thick: float) -> None:
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self.pen.line(scaled, fill=colour, width=round(thick * _SCALE))

    def dashed(self, ends: tuple[int, int], y: float, dash: int) -> None:
        for start in range(ends[0], ends[1], 2 * dash):
            self.line([(start, y), (min(start + dash, ends[1]), y)], _QUIET, 1)

    def text(self, at: tuple[float, float], text: str, anchor: str, size: int = 13, colour: str = _INK) -> None:
        face = font(size * _SCALE)
        place = (at[0] * _SCALE, at[1] * _SCALE)
        self.pen.text(place, text, fill=colour, font=face, anchor=anchored(face, anchor))

    def mark(self, x: float, y: float, series: _Series, sure: bool = True) -> None:
        """A filled mark; one that cannot be measured is hollow."""
        fill, around = series.colour if sure else _PAPER, 2 * _SCALE
        x, y, r = x * _SCALE, y * _SCALE, 4.5 * _SCALE
        if series.mark == "circle":
            self.pen.ellipse([x - r, y - r, x + r, y + r], fill=fill, outline=series.colour, width=around)
        elif series.mark == "square":
            self.pen.rectangle([x - r, y - r, x + r, y + r], fill=fill, outline=series.colour, width=around)
        else:
            corners = [(x, y - 1.3 * r), (x + 1.3 * r, y), (x, y + 1.3 * r), (x - 1.3 * r, y)]
            self.pen.polygon(corners, fill=fill)
            self.pen.line([*corners, corners[0], corners[1]], fill=series.colour, width=around)

    def _draw(self) -> None:
        it, floor = self.comparison, self.size[1] - _BOTTOM
        title = f"Distance to {it.reference.calls} calls, median of {it.samples} on {it.range.frame.name}"
        self.text((_LEFT, 18), title, "lt", 17)
        for error in _ticks(self.low, self.high):
            y = self.y(error)
            self.line([(_LEFT, y), (_LEFT + _PLOT, y)], _GRID, 1)
            self.text((_LEFT - 10, y), f"{error:.4g}" if error >= 1e-3 else f"{error:.0e}", "rm")
        right = -math.inf
        for calls in self.calls:
            x, half = self.x(calls), 0.5 * width(str(calls), font(13))
            self.line([(x, floor), (x, floor + 5)], _INK, 1)
            if x - half > right + 6:
                self.text((x, floor + 9), str(calls), "mt")
                right = x + half
        self.text((_LEFT + 0.5 * _PLOT, floor + 32), "model calls", "mt")
        self.line([(_LEFT, floor), (_LEFT + _PLOT, floor)], _QUIET, 1)
        for value, _, dash in self.lines:
            self.dashed((_LEFT, _LEFT + _PLOT), self.y(value), dash)
        for i, each in enumerate(self.series):
            # side by side, so that equal points and their intervals can be seen
            aside = (i - 0.5 * (len(self.series) - 1)) * min(3.0, 24.0 / len(self.series))
            path = [(self.x(point.calls) + aside, self.y(point.error)) for point in each.points]
            for start, end in pairwise(path):
                self.line([start, end], each.colour, 1.5)
            for point, (x, y) in zip(each.points, path, strict=True):
                self.line([(x, self.y(point.low)), (x, self.y(point.high))], each.colour, 1)
                self.mark(x, y, each, point.sure)
        for i, each in enumerate(self.series):
            y = _TOP + 12 + i * _LINE
            x = _LEFT + _PLOT + 20
            self.line([(x - 9, y), (x + 9, y)], each.colour, 1.5)
            self.mark(x, y, each)
            self.text((x + 18, y), each.label, "lm")
        for i, (_, text, dash) in enumerate(self.lines, len(self.series)):
            y = _TOP + 12 + i * _LINE
            x = _LEFT + _PLOT + 20
            self.dashed((x - 9, x + 9), y, dash)
            self.text((x + 18, y), text, "lm", colour=_QUIET)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two exponents; the powers alone over three decades."""
    steps = (1.0, 2.0, 5.0) if high - low < 3.0 else (1.0,)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    values = [step * 10.0**exponent for exponent in exponents for step in steps]
    return [value for value in values if low <= math.log10(value) <= high]
