"""What a schedule divides: a checked range of sigma, a number of steps, and the two ways to put steps on a curve.

A curve gives sigma at u, where u = 0 is sigma_max and u = 1 is sigma_min. Two placements are published:

    closed    u = i/(n - 1), sigma_min is the last positive level and the step from it to 0 is extra
    trailing  u = i/n, the level at u = 1 is not sigma_min but 0

They differ only in schedules that end at 0; those that end at sigma_min have n + 1 levels at u = i/n either way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .level import Frame
from .times import Table, TimeMap

Curve = Callable[[float], float]

#: Table length of models whose time is continuous, where a published formula counts entries (ComfyUI's flow models).
_ENTRIES = 1000


@dataclass(frozen=True)
class Span:
    """From sigma `high` to `low` in n steps, the last of which ends at 0 if `to_zero`, in a frame (ve, vp or flow).

    `time` is the model's.
    """

    high: float
    low: float
    n: int
    to_zero: bool
    time: TimeMap
    frame: str

    @property
    def count(self) -> int:
        """How many positive levels there are."""
        return self.n if self.to_zero else self.n + 1

    @property
    def times(self) -> tuple[float, float]:
        """(t of `high`, t of `low`)."""
        return self.time.time(self.high), self.time.time(self.low)

    @property
    def origin(self) -> float:
        """The time of sigma 0; one entry before the first in a table, where that time is -inf."""
        zero = self.time.time(0.0)
        return min(zero if math.isfinite(zero) else self.time.t_min - self.entry, self.times[1])

    @property
    def discrete(self) -> bool:
        """Whether the model has a table of noise levels, so that levels can be entries of it."""
        return isinstance(self.time, Table)

    @property
    def entry(self) -> float:
        """The time between two entries of the model's table."""
        return 1.0 if self.discrete else (self.time.t_max - self.time.t_min) / (_ENTRIES - 1)

    def closed(self, curve: Curve) -> list[float]:
        return self._draw(curve, self.count - 1)

    def trailing(self, curve: Curve) -> list[float]:
        return self._draw(curve, self.n)

    def _draw(self, curve: Curve, parts: int) -> list[float]:
        # the ends are given numbers, so no rounding of the curve moves them
        return [self.high, *(curve(i / parts) if i < parts else self.low for i in range(1, self.count))]

    def line(self, start: float, stop: float) -> Curve:
        """The curve that is a straight line in model time."""
        return lambda u: self.time.sigma(start + u * (stop - start))


#: More steps than this are a slip (a denoise near 0): they would cost seconds, and levels would meet in float64.
_MOST_STEPS = 100_000


def make_span(
    n: int,
    denoise: float,
    end: int | str,
    sigma_min: float | None,
    sigma_max: float | None,
    default: tuple[float, float],
    where: Frame,
) -> Span:
    """The span of a request, checked; `default` is the range (sigma_min, sigma_max) where none is given."""
    low, high = _range(sigma_min, sigma_max, default, where)
    total = _total_steps(n, denoise)
    if end not in (0, "sigma_min"):
        raise ValueError(f"end is {end!r}, expected 0 (the last level is 0.0) or 'sigma_min' (it is sigma_min)")
    return Span(high, low, total, end == 0, where.time, where.name)


def _number(what: str, value: Any) -> float:
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise ValueError(f"{what} is {value!r}, expected a number")
    return float(value)


def _range(
    sigma_min: float | None, sigma_max: float | None, default: tuple[float, float], where: Frame
) -> tuple[float, float]:
    low = default[0] if sigma_min is None else _number("sigma_min", sigma_min)
    high = default[1] if sigma_max is None else _number("sigma_max", sigma_max)
    for name, value in (("sigma_min", low), ("sigma_max", high)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f"{name} is {value!r}, expected a positive finite noise level"
                + ("; a last level of 0 is end=0, the default" if value == 0 else "")
            )
    if high > where.highest:
        raise ValueError(
            f"sigma_max is {high:g}, but {where.name} levels lie in 0..{where.highest:g}; "
            "for a noise-prediction model use frame='ve'"
        )
    if not low < high:
        raise ValueError(f"sigma_min is {low:g} and sigma_max is {high:g}; sigma_min must be smaller than sigma_max")
    return low, high


def _total_steps(n: int, denoise: float) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise ValueError(f"n is {n!r}, expected a whole number of steps (an int), at least 1")
    if n < 1:
        raise ValueError(f"n is {n}, expected at least 1 step")
    share = _number("denoise", denoise)
    if not 0.0 < share <= 1.0:
        raise ValueError(f"denoise is {denoise!r}, expected a number above 0 and at most 1 (1 is the whole schedule)")
    if n / share > _MOST_STEPS:
        raise ValueError(
            f"n = {n} with denoise = {share:g} needs {n / share:.3g} steps, expected at most {_MOST_STEPS}"
        )
    return int(n / share)
