"""A plan as a picture, drawn with Pillow: levels along lambda, and the order of each call as its height."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .plan import Plan

_SIZE = (960, 420)
_SCALE = 2  # drawn larger and scaled down, which smooths the lines
_PAPER, _INK, _QUIET = "#ffffff", "#33333a", "#b9b9c2"
_CALL, _STAGE = "#2f6db3", "#c8552b"
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 40, 56, 64


def draw(plan: Plan, named: bool = True) -> Image.Image:
    """An RGB picture of 960 x 420 pixels. Without `named`, orders are left out."""
    picture = Image.new("RGB", (_SIZE[0] * _SCALE, _SIZE[1] * _SCALE), _PAPER)
    _Plot(ImageDraw.Draw(picture), plan, named).draw()
    return picture.resize(_SIZE, Image.Resampling.LANCZOS)


class _Plot:
    def __init__(self, pen: ImageDraw.ImageDraw, plan: Plan, named: bool) -> None:
        self.pen, self.plan, self.named = pen, plan, named
        self.font = ImageFont.load_default()
        lams = [level.lam for level in plan.levels if math.isfinite(level.lam)] or [0.0]
        self.low, self.high = min(lams), max(lams)
        self.top = max(plan.call_orders)

    def x(self, lam: float) -> float:
        """The place of a lambda; infinite ones stand at the border, a twelfth of the width outside."""
        width = _SIZE[0] - _LEFT - _RIGHT
        if math.isinf(lam):
            return _LEFT if lam < 0 else _SIZE[0] - _RIGHT
        share = 0.5 if self.high == self.low else (lam - self.low) / (self.high - self.low)
        return _LEFT + width * (1.0 / 12 + share * 10.0 / 12)

    def y(self, order: float) -> float:
        height = _SIZE[1] - _TOP - _BOTTOM
        return _SIZE[1] - _BOTTOM - height * (order / (self.top + 0.5) if self.named else 0.4)

    def line(self, points: list[tuple[float, float]], colour: str, width: int) -> None:
        self.pen.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour, width=width * _SCALE)

    def text(self, at: tuple[float, float], text: str, anchor: str = "lt", size: int = 13) -> None:
        font = _font(size * _SCALE) or self.font
        self.pen.text((at[0] * _SCALE, at[1] * _SCALE), text, fill=_INK, font=font, anchor=_anchor(font, anchor))

    def draw(self) -> None:
        plan, floor = self.plan, _SIZE[1] - _BOTTOM
        what = f"{plan.solver}, order {plan.order}, " if self.named else ""
        self.text((_LEFT, 16), f"{what}{len(plan)} model calls on {plan.frame.name}", size=17)
        self.line([(_LEFT, floor), (_SIZE[0] - _RIGHT, floor)], _QUIET, 1)
        for level in plan.levels:
            self.line([(self.x(level.lam), floor), (self.x(level.lam), floor + 6)], _INK, 1)
        for level in (plan.levels[0], plan.levels[len(plan.levels) // 2], plan.levels[-1]):
            self.text((self.x(level.lam), floor + 12), f"{level.lam:.3g}", "mt")
        self.text((_SIZE[0] / 2, _SIZE[1] - 20), "lambda = log(alpha / sigma)", "mt")
        if self.named:
            for order in range(1, self.top + 1):
                self.text((_LEFT - 14, self.y(order)), f"{order}", "rm")
                self.line([(_LEFT, self.y(order)), (_SIZE[0] - _RIGHT, self.y(order))], "#ececf1", 1)
            self.text((10, _TOP - 22), "order")
        for i, call in enumerate(plan):
            self._call(i, call.level.lam, call.target.lam, plan.call_orders[i])

    def _call(self, i: int, lam: float, to: float, order: int) -> None:
        stage = not self.plan.opens(i)
        colour = _STAGE if stage else _CALL
        x, y = self.x(lam), self.y(order)
        self.line([(x, y), (self.x(to), y)], colour, 2)
        box = [(x - 5) * _SCALE, (y - 5) * _SCALE, (x + 5) * _SCALE, (y + 5) * _SCALE]
        self.pen.ellipse(box, fill=_PAPER if stage else colour, outline=colour, width=2 * _SCALE)


def _font(size: int) -> Any:
    """Pillow's own scalable font; None before Pillow 10.1, whose only built-in font has one size."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return None


def _anchor(font: Any, anchor: str) -> str | None:
    return anchor if isinstance(font, ImageFont.FreeTypeFont) else None
