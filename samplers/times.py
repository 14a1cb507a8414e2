"""Model time: the maps between a model's own time t and the host's sigma.

The host's sigma is rho = sigma/alpha for noise- and v-prediction models (k-diffusion's sigma) and t itself for flow
models. tAB-DEIS extrapolates in t (arXiv 2204.13902) and the time-uniform schedules are drawn in it. Every map is
strictly increasing, also beyond the ends of a table, and maps float64 to float64.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from .names import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class TimeMap(Protocol):
    """t(sigma) and back; `t_min`, `t_max` are the ends of the range that the model was trained on."""

    @property
    def t_min(self) -> float: ...
    @property
    def t_max(self) -> float: ...
    @property
    def knots(self) -> Array | None:
        """log sigma at the places where t(sigma) is not smooth, increasing; None when it is smooth everywhere."""

    def time(self, sigma: float) -> float:
        """t; at sigma 0 a number or -inf."""

    def sigma(self, time: float) -> float: ...
    def times(self, log_sigma: Array) -> Array:
        """t for an array of log sigma."""


def sigma_range(time: TimeMap) -> tuple[float, float]:
    """(sigma_min, sigma_max) of the model that a time map describes."""
    return time.sigma(time.t_min), time.sigma(time.t_max)


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A discrete-time model: t is the index into its increasing list of sigmas, log-linear between the entries.

    Beyond the ends the first and the last segment go on, so that t stays strictly increasing there.
    """

    sigmas: tuple[float, ...]
    t_min: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if len(self.sigmas) < 2:
            raise ValueError(f"a time table needs at least 2 sigmas, got {len(self.sigmas)}")
        for i, sigma in enumerate(self.sigmas):
            if not 0 < sigma < math.inf:
                raise ValueError(f"entry {i} of the time table is {sigma}, expected a positive finite sigma")
        if any(b <= a for a, b in zip(self.sigmas, self.sigmas[1:], strict=False)):
            raise ValueError("a time table must increase strictly; sort the model's sigmas and drop repeated ones")

    def __repr__(self) -> str:
        return f"Table({len(self.sigmas)} sigmas from {self.sigmas[0]:.6g} to {self.sigmas[-1]:.6g})"

    @property
    def t_max(self) -> float:
        return float(len(self.sigmas) - 1)

    @cached_property
    def _logs(self) -> tuple[float, ...]:
        return tuple(math.log(sigma) for sigma in self.sigmas)

    @property
    def knots(self) -> Array:
        return self._arrays[0]

    def _segment(self, position: int) -> int:
        return min(max(position, 0), len(self.sigmas) - 2)

    def time(self, sigma: float) -> float:
        if sigma <= 0:
            return -math.inf
        logs, value = self._logs, math.log(sigma)
        i = self._segment(bisect_right(logs, value) - 1)
        return i + (value - logs[i]) / (logs[i + 1] - logs[i])

    def sigma(self, time: float) -> float:
        i = self._segment(math.floor(time))
        at, above = self._logs[i], self._logs[i + 1]
        return math.exp(at + (time - i) * (above - at))

    @cached_property
    def _arrays(self) -> tuple[Array, Array]:
        import numpy as np

        logs = np.array(self._logs)
        return logs, 1.0 / np.diff(logs)

    def times(self, log_sigma: Array) -> Array:
        import numpy as np

        logs, slopes = self._arrays
        i = np.clip(np.searchsorted(logs, log_sigma, side="right") - 1, 0, len(logs) - 2)
        return i + (log_sigma - logs[i]) * slopes[i]


@dataclass(frozen=True)
class ContinuousVP:
    """The VP SDE with beta(t) = beta_min + t (beta_max - beta_min), t in (0, 1] (arXiv 2011.13456, eq. 32)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-3
    t_max: float = 1.0
    knots: None = None

    def sigma(self, time: float) -> float:
        growth = self.beta_max - self.beta_min
        return math.sqrt(math.expm1(time * (0.5 * growth * time + self.beta_min)))

    def time(self, sigma: float) -> float:
        # log(1 + sigma^2) = growth t^2/2 + beta_min t, solved in the form that subtracts nothing
        integral = 2.0 * math.log(math.hypot(1.0, sigma)) if sigma > 1 else math.log1p(sigma * sigma)
        growth = self.beta_max - self.beta_min
        return 2.0 * integral / (self.beta_min + math.sqrt(self.beta_min**2 + 2.0 * growth * integral))

    def times(self, log_sigma: Array) -> Array:
        import numpy as np

        integral = np.logaddexp(0.0, 2.0 * log_sigma)
        growth = self.beta_max - self.beta_min
        return 2.0 * integral / (self.beta_min + np.sqrt(self.beta_min**2 + 2.0 * growth * integral))


@dataclass(frozen=True)
class CosineVP:
    """alpha(t) = cos(pi/2 (t + s)/(1 + s)) / cos(pi/2 s/(1 + s)) (arXiv 2102.09672, eq. 17), t in [0, 1).

    t_max = 0.9946 is where DPM-Solver ends it (arXiv 2206.00927, appendix D).
    """

    s: float = 0.008
    t_min: float = 1e-3
    t_max: float = 0.9946
    knots: None = None

    @property
    def _start(self) -> float:
        return 0.5 * math.pi * self.s / (1.0 + self.s)

    def sigma(self, time: float) -> float:
        start = self._start
        swept = 0.5 * math.pi * time / (1.0 + self.s)
        # 1 - alpha^2 = (cos^2 a - cos^2 b)/cos^2 a = sin(b - a) sin(b + a)/cos^2 a: nothing cancels
        return math.sqrt(math.sin(swept) * math.sin(swept + 2 * start)) / math.cos(start + swept)

    def time(self, sigma: float) -> float:
        if sigma == 0.0:
            return 0.0  # 0/0 below where s is 0
        start = self._start
        # tan^2 b = tan^2 a + sigma^2/cos^2 a
        extra = (sigma / math.cos(start)) ** 2
        tan_a = math.tan(start)
        tan_b = math.hypot(tan_a, sigma / math.cos(start))
        # tan(b - a) = (tan^2 b - tan^2 a)/((tan b + tan a)(1 + tan a tan b))
        swept = math.atan(extra / ((tan_b + tan_a) * (1.0 + tan_a * tan_b)))
        return swept * (1.0 + self.s) * 2.0 / math.pi

    def times(self, log_sigma: Array) -> Array:
        import numpy as np

        scaled = np.exp(log_sigma) / math.cos(self._start)
        tan_a = math.tan(self._start)
        tan_b = np.hypot(tan_a, scaled)
        swept = np.arctan(scaled**2 / ((tan_b + tan_a) * (1.0 + tan_a * tan_b)))
        return swept * (1.0 + self.s) * 2.0 / math.pi


@dataclass(frozen=True)
class EDM:
    """Time is sigma itself (arXiv 2206.00364); the range is EDM's own."""

    t_min: float = 0.002
    t_max: float = 80.0
    knots: None = None

    def sigma(self, time: float) -> float:
        return time

    def time(self, sigma: float) -> float:
        return sigma

    def times(self, log_sigma: Array) -> Array:
        import numpy as np

        return np.exp(log_sigma)


@dataclass(frozen=True)
class LogSigma:
    """Time is log sigma, up to a factor the label of EDM's networks (arXiv 2206.00364, table 1: c_noise)."""

    t_min: float = math.log(0.002)
    t_max: float = math.log(80.0)
    knots: None = None

    def sigma(self, time: float) -> float:
        return math.exp(time)

    def time(self, sigma: float) -> float:
        return math.log(sigma) if sigma > 0 else -math.inf

    def times(self, log_sigma: Array) -> Array:
        return log_sigma


@dataclass(frozen=True)
class RectifiedVE:
    """t = sigma/(1 + sigma): the time of a rectified flow whose state is kept VE-scaled, as hosts keep Cosmos's."""

    t_min: float = 0.002 / 1.002
    t_max: float = 80.0 / 81.0
    knots: None = None

    def sigma(self, time: float) -> float:
        return time / (1.0 - time)

    def time(self, sigma: float) -> float:
        return sigma / (1.0 + sigma)

    def times(self, log_sigma: Array) -> Array:
        import numpy as np

        return 1.0 / (1.0 + np.exp(-log_sigma))


@dataclass(frozen=True)
class FlowShift:
    """sigma = shift u / (1 + (shift - 1) u), the resolution shift of SD3 (arXiv 2403.03206, eq. 23), u in (0, 1]."""

    shift: float = 1.0
    t_min: float = 1e-3
    t_max: float = 1.0
    knots: None = None

    def __post_init__(self) -> None:
        if not self.shift > 0:
            raise ValueError(f"flow shift must be positive, got {self.shift}; 1 means no shift, SD3 uses 3")

    def sigma(self, time: float) -> float:
        return time / (time + (1.0 - time) / self.shift)  # exactly 1 at time 1

    def time(self, sigma: float) -> float:
        return sigma / (sigma + self.shift * (1.0 - sigma))

    def times(self, log_sigma: Array) -> Array:
        import numpy as np

        sigma = np.exp(log_sigma)
        return sigma / (sigma + self.shift * (1.0 - sigma))


def table_from_alphas_cumprod(alphas_cumprod: Sequence[float]) -> Table:
    """The table of a discrete VP model from its cumulative alphas (decreasing, in (0, 1))."""
    return Table(tuple(math.sqrt((1.0 - value) / value) for value in alphas_cumprod))


def _cumulative(betas: Sequence[float]) -> list[float]:
    product, out = 1.0, []
    for beta in betas:
        product *= 1.0 - beta
        out.append(product)
    return out


def _spaced(start: float, stop: float, n: int) -> list[float]:
    return [start + (stop - start) * i / (n - 1) for i in range(n)]


@cache
def scaled_linear() -> Table:
    """Stable Diffusion 1.x, 2.x and SDXL: sqrt(beta) linear, 1000 entries, sigma 0.0292 to 14.61."""
    return table_from_alphas_cumprod(_cumulative([b * b for b in _spaced(0.00085**0.5, 0.012**0.5, 1000)]))


@cache
def linear() -> Table:
    """DDPM (arXiv 2006.11239): beta linear from 1e-4 to 0.02, 1000 entries."""
    return table_from_alphas_cumprod(_cumulative(_spaced(1e-4, 0.02, 1000)))


@cache
def cosine() -> Table:
    """Improved DDPM (arXiv 2102.09672): cosine with betas clipped at 0.999, 1000 entries."""

    def bar(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    return table_from_alphas_cumprod(
        _cumulative([min(1 - bar((i + 1) / 1000) / bar(i / 1000), 0.999) for i in range(1000)])
    )


#: What ComfyUI and A1111 put in place of the zero that the rescaling gives, since a VE-scaled state cannot be infinite.
_TERMINAL_ALPHA_CUMPROD = 4.8973451890853435e-08


@cache
def zero_snr() -> Table:
    """Stable Diffusion's table rescaled to zero terminal SNR (arXiv 2305.08891, algorithm 1); last sigma 4518.8."""
    roots = [1.0 / math.sqrt(1.0 + sigma * sigma) for sigma in scaled_linear().sigmas]
    first, last = roots[0], roots[-1]
    cumulative = [((root - last) * first / (first - last)) ** 2 for root in roots]
    return table_from_alphas_cumprod([*cumulative[:-1], _TERMINAL_ALPHA_CUMPROD])


#: Time maps by name. `scaled_linear` is the default of VE-scaled and VP frames, `flow` that of flow frames.
TIME_MAPS: dict[str, Any] = {
    "scaled_linear": scaled_linear,
    "linear": linear,
    "cosine": cosine,
    "zero_snr": zero_snr,
    "vp": ContinuousVP,
    "cosine_vp": CosineVP,
    "edm": EDM,
    "log_sigma": LogSigma,
    "rectified_ve": RectifiedVE,
    "flow": FlowShift,
}


def time_map(spec: str | TimeMap | Sequence[float]) -> TimeMap:
    """A time map from its name, from a list of increasing sigmas, or unchanged. Unknown names raise ValueError."""
    if isinstance(spec, str):
        if spec not in TIME_MAPS:
            raise ValueError(nearest("time map", spec, TIME_MAPS))
        return cast("TimeMap", TIME_MAPS[spec]())
    if hasattr(spec, "times"):
        return cast("TimeMap", spec)
    if not hasattr(spec, "__iter__"):
        raise ValueError(f"a time map is a name, a list of increasing sigmas or a TimeMap, got {spec!r}")
    return Table(tuple(float(sigma) for sigma in spec))
