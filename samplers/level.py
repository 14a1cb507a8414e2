"""Levels and frames: how a host's sigma becomes alpha, sigma, lambda and rho.

A frame is a convention for the state, and this is where the conventions are kept.

    ve    x = x0 + sigma n                 host sigma = sigma = rho      (ComfyUI, A1111: noise, v and EDM models)
    vp    x = alpha x0 + sigma n           host sigma = rho = sigma/alpha, alpha^2 + sigma^2 = 1
    flow  x = (1 - sigma) x0 + sigma n     host sigma = sigma = t
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .names import nearest
from .times import TimeMap, time_map


class Level(NamedTuple):
    """One noise level: x = alpha x0 + sigma n. float64.

    alpha, sigma  signal and noise scale of the state
    lam           log(alpha/sigma), half the log-SNR; +inf at sigma 0, -inf at alpha 0
    rho           sigma/alpha; inf at alpha 0
    host          the number that the model is called with
    """

    alpha: float
    sigma: float
    lam: float
    rho: float
    host: float


def _ve(host: float) -> Level:
    return Level(1.0, host, -math.log(host) if host else math.inf, host, host)


def _vp(host: float) -> Level:
    alpha = 1.0 / math.hypot(1.0, host)
    return Level(alpha, host * alpha, -math.log(host) if host else math.inf, host, host)


def _flow(host: float) -> Level:
    if host == 1.0:
        return Level(0.0, 1.0, -math.inf, math.inf, 1.0)
    lam = math.log1p(-host) - math.log(host) if host else math.inf
    return Level(1.0 - host, host, lam, host / (1.0 - host), host)


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > 0 else math.exp(value) / (1.0 + math.exp(value))


def _flow_at_lam(lam: float) -> Level:
    # alpha straight from lambda: 1 - sigma would lose its digits near sigma 1
    sigma = _sigmoid(-lam)
    return Level(_sigmoid(lam), sigma, lam, math.exp(-lam), sigma)


class _Convention(NamedTuple):
    level: Callable[[float], Level]
    level_at_lam: Callable[[float], Level]
    highest: float  # largest host sigma
    time: str  # default time map
    regular: tuple[str, str]  # form and clock that stay regular at sigma 0 (flow: at sigma 1 too)


_CONVENTIONS = {
    "ve": _Convention(_ve, lambda lam: _ve(math.exp(-lam)), math.inf, "scaled_linear", ("noise", "rho")),
    "vp": _Convention(_vp, lambda lam: _vp(math.exp(-lam)), math.inf, "scaled_linear", ("noise", "rho")),
    "flow": _Convention(_flow, _flow_at_lam, 1.0, "flow", ("velocity", "sigma")),
}
FRAMES = tuple(_CONVENTIONS)


@dataclass(frozen=True)
class Frame:
    """A state convention (`name`: ve, vp, flow) together with the model's time map t(sigma)."""

    name: str
    time: TimeMap

    def level(self, host: float) -> Level:
        """The level at a host sigma; ValueError outside 0..highest."""
        if not 0.0 <= host <= self.highest:
            raise ValueError(f"{self.name} levels lie in 0..{self.highest:g}, got sigma {host}")
        return _CONVENTIONS[self.name].level(host)

    def level_at_lam(self, lam: float) -> Level:
        """The level at a finite lambda = log(alpha/sigma)."""
        return _CONVENTIONS[self.name].level_at_lam(lam)

    @property
    def highest(self) -> float:
        return _CONVENTIONS[self.name].highest

    @property
    def regular(self) -> tuple[str, str]:
        """(form, clock) that stay regular at sigma 0, and for flow at sigma 1 too."""
        return _CONVENTIONS[self.name].regular


def frame(name: str | Frame, time: str | TimeMap | Sequence[float] | None = None) -> Frame:
    """A frame by name (`ve`, `vp`, `flow`) and its time map (a name, a list of sigmas, or a TimeMap object).

    Without `time`: Stable Diffusion's table for ve and vp, unshifted flow time for flow. Unknown names: ValueError.
    """
    if not isinstance(name, (str, Frame)):
        raise ValueError(f"a frame is one of {', '.join(_CONVENTIONS)} or a Frame, got {name!r}")
    if isinstance(name, Frame):
        return name if time is None else Frame(name.name, time_map(time))
    if name not in _CONVENTIONS:
        raise ValueError(nearest("frame", name, _CONVENTIONS))
    return Frame(name, time_map(_CONVENTIONS[name].time if time is None else time))


def read_sigmas(sigmas: Any) -> list[float]:
    """The numbers of a list, array or tensor (one read-back). Raises ValueError unless it is one-dimensional."""
    if isinstance(sigmas, (str, bytes, dict)):
        raise ValueError(f"sigmas must be a one-dimensional sequence of numbers, got {sigmas!r}")
    given: object = sigmas.tolist() if hasattr(sigmas, "tolist") else sigmas
    try:
        return [float(value) for value in given]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(f"sigmas must be a one-dimensional sequence of numbers, got {sigmas!r}") from None


#: the float32 formulas of hosts may miss flow's sigma 1 by a few units in the last place
ONE = 1.0 + 1e-6


def as_float32(values: Iterable[float]) -> list[float]:
    """The numbers rounded as a host's float32 tensor holds them, still as Python floats."""
    values = list(values)
    return list(struct.unpack(f"{len(values)}f", struct.pack(f"{len(values)}f", *values)))


def snapped(values: Sequence[float], where: Frame) -> list[float]:
    """Levels that miss the frame's highest by no more than float32 rounding, on either side, are put on it."""
    top = where.highest
    return [top if top / ONE <= value <= top * ONE else value for value in values]


def read_levels(sigmas: Sequence[float], where: Frame) -> tuple[Level, ...]:
    """Checked levels of a schedule: n + 1 >= 2 strictly decreasing finite numbers, at least 0, the last may be 0.

    `sigmas` is any sequence of numbers, a numpy array or a tensor (read back once). Raises ValueError otherwise.
    """
    values = read_sigmas(sigmas)
    if len(values) < 2:
        raise ValueError(f"got {len(values)} sigma(s), expected n + 1 >= 2 levels for n model calls")
    for i, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"sigmas[{i}] is {value}; every level must be a finite number")
        if value < 0:
            raise ValueError(f"sigmas[{i}] is {value}; levels are noise levels and cannot be negative")
    if values[0] > where.highest:
        raise ValueError(
            f"sigmas[0] is {values[0]:g}, but {where.name} levels lie in 0..{where.highest:g}; "
            "is this a noise-prediction (frame='ve') schedule?"
        )
    if values[-1] > values[0]:
        raise ValueError(
            f"sigmas rise from {values[0]:g} to {values[-1]:g}; inversion (adding noise back along the ODE) is not "
            "offered yet, give decreasing levels"
        )
    for i, (a, b) in enumerate(itertools.pairwise(values)):
        if a == b:
            raise ValueError(f"sigmas[{i}] and sigmas[{i + 1}] are both {a:g}; remove the repeated level")
        if a < b:
            raise ValueError(f"sigmas must decrease, but sigmas[{i}] = {a:g} < sigmas[{i + 1}] = {b:g}")
    return tuple(where.level(value) for value in values)
