"""A plan as a picture, drawn with Pillow: levels along lambda, and the order of each call as its height."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from . import lettering
from .lettering import anchored
from .plan import Plan

_SCALE = 2  # drawn larger and scaled down, which smooths the lines
_PAPER, _INK, _QUIET = "#ffffff", "#33333a", "#b9b9c2"
_CALL, _STAGE = "#2f6db3", "#c8552b"
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 40, 56, 64


def draw(
    plan: Plan, named: bool = True, size: tuple[int, int] = (960, 420), zoom: int = 1, font: str | None = None
) -> Image.Image:
    """An RGB picture of `size` times `zoom` pixels, whose letters are 13 times `zoom` pixels high.

    named  False leaves orders out
    font   a TrueType file in the place of Pillow's own font, which is tiny before Pillow 10.1
    """
    plot = _Plot(plan, named, size, _SCALE * zoom, font)
    plot.draw()
    return plot.picture.resize((size[0] * zoom, size[1] * zoom), Image.Resampling.LANCZOS)


class _Plot:
    def __init__(self, plan: Plan, named: bool, size: tuple[int, int], scale: int, font: str | None) -> None:
        self.plan, self.named, self.size, self.scale, self.font = plan, named, size, scale, font
        self.picture = Image.new("RGB", (size[0] * scale, size[1] * scale), _PAPER)
        self.pen = ImageDraw.Draw(self.picture)
        lams = [level.lam for level in plan.levels if math.isfinite(level.lam)] or [0.0]
        self.low, self.high = min(lams), max(lams)
        self.top = max(plan.call_orders)

    def x(self, lam: float) -> float:
        """The place of a lambda; infinite ones stand at the border, a twelfth of the width outside."""
        width = self.size[0] - _LEFT - _RIGHT
        if math.isinf(lam):
            return _LEFT if lam < 0 else self.size[0] - _RIGHT
        share = 0.5 if self.high == self.low else (lam - self.low) / (self.high - self.low)
        return _LEFT + width * (1.0 / 12 + share * 10.0 / 12)

    def y(self, order: float) -> float:
        height = self.size[1] - _TOP - _BOTTOM
        return self.size[1] - _BOTTOM - height * (order / (self.top + 0.5) if self.named else 0.4)

    def line(self, points: list[tuple[float, float]], colour: str, width: int) -> None:
        self.pen.line([(x * self.scale, y * self.scale) for x, y in points], fill=colour, width=width * self.scale)

    def text(self, at: tuple[float, float], text: str, anchor: str = "lt", size: int = 13) -> None:
        font = lettering.font(size * self.scale, self.font)
        self.pen.text(
            (at[0] * self.scale, at[1] * self.scale), text, fill=_INK, font=font, anchor=anchored(font, anchor)
        )

    def draw(self) -> None:
        plan, floor = self.plan, self.size[1] - _BOTTOM
        what = f"{plan.solver}, order {plan.order}, " if self.named else ""
        self.text((_LEFT, 16), f"{what}{len(plan)} model calls on {plan.frame.name}", size=17)
        self.line([(_LEFT, floor), (self.size[0] - _RIGHT, floor)], _QUIET, 1)
        for level in plan.levels:
            self.line([(self.x(level.lam), floor), (self.x(level.lam), floor + 6)], _INK, 1)
        for level in (plan.levels[0], plan.levels[len(plan.levels) // 2], plan.levels[-1]):
            self.text((self.x(level.lam), floor + 12), f"{level.lam:.3g}", "mt")
        self.text((self.size[0] / 2, self.size[1] - 20), "lambda = log(alpha / sigma)", "mt")
        if self.named:
            for order in range(1, self.top + 1):
                self.text((_LEFT - 14, self.y(order)), f"{order}", "rm")
                self.line([(_LEFT, self.y(order)), (self.size[0] - _RIGHT, self.y(order))], "#ececf1", 1)
            self.text((10, _TOP - 22), "order")
        for i, call in enumerate(plan):
            self._call(i, call.level.lam, call.target.lam, plan.call_orders[i])

    def _call(self, i: int, lam: float, to: float, order: int) -> None:
        stage = not self.plan.opens(i)
        colour = _STAGE if stage else _CALL
        x, y = self.x(lam), self.y(order)
        self.line([(x, y), (self.x(to), y)], colour, 2)
        box = [(x - 5) * self.scale, (y - 5) * self.scale, (x + 5) * self.scale, (y + 5) * self.scale]
        self.pen.ellipse(box, fill=_PAPER if stage else colour, outline=colour, width=2 * self.scale)
