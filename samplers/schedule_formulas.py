"""The formulas of the schedules: functions from a Span to its positive levels, the highest first."""

from __future__ import annotations

import math
from dataclasses import replace

from .schedule_span import Span
from .schedule_tables import ays as ays_tables
from .times import ContinuousVP, FlowShift, sigma_range

# --- formulas in sigma -----------------------------------------------------------------------------------------------


def power(at: Span, rho: float) -> list[float]:
    """sigma = (high^(1/rho) + u (low^(1/rho) - high^(1/rho)))^rho (arXiv 2206.00364, eq. 5)."""
    top, bottom = at.high ** (1 / rho), at.low ** (1 / rho)
    return at.closed(lambda u: (top + u * (bottom - top)) ** rho)


def polyexponential(at: Span, rho: float = 1.0) -> list[float]:
    """log sigma = log low + (1 - u)^rho log(high/low)."""
    ratio = math.log(at.high / at.low)
    return at.closed(lambda u: at.low * math.exp(ratio * (1.0 - u) ** rho))


def kl_optimal(at: Span) -> list[float]:
    """arctan sigma = (1 - u) arctan high + u arctan low (arXiv 2404.14507, theorem 3.1 with c = 1)."""
    top, bottom = math.atan(at.high), math.atan(at.low)
    return at.closed(lambda u: math.tan(top + u * (bottom - top)))


def linear_quadratic(at: Span, threshold: float) -> list[float]:
    """sigma = 1 - x(i), where x is linear up to (n//2, threshold), then the parabola with that slope and x(n) = 1."""
    linear = at.n // 2
    slope = threshold / max(linear, 1)
    rest = at.n - linear
    bend = (1.0 - threshold - slope * rest) / rest**2
    floor = 0.0 if at.to_zero else at.low

    def curve(u: float) -> float:
        past = u * at.n - linear
        x = threshold + past * (slope + (bend * past if past > 0 else 0.0))
        return floor + (at.high - floor) * (1.0 - x)

    return at.trailing(curve)


def laplace(at: Span, mu: float, beta: float) -> list[float]:
    """log sigma = mu - beta sign(1/2 - u) log(1 - 2 |1/2 - u|), its two infinite ends put at high and low."""
    top, bottom = math.log(at.high), math.log(at.low)

    def tails(value: float) -> tuple[float, float]:
        """(above, below): the shares of the distribution above and below a log sigma."""
        small = 0.5 * math.exp(-abs(value - mu) / beta)
        return (small, 1.0 - small) if value > mu else (1.0 - small, small)

    def quantiles(first: tuple[float, float], last: tuple[float, float]) -> list[float]:
        def curve(u: float) -> float:
            # both shares as mixtures, so that the smaller one keeps its digits
            above, below = ((1.0 - u) * a + u * b for a, b in zip(first, last, strict=True))
            return mu - beta * math.log(2.0 * above) if above < below else mu + beta * math.log(2.0 * below)

        return at.closed(lambda u: math.exp(curve(u)))

    levels = quantiles((0.0, 1.0), (1.0, 0.0))
    # The formula runs from infinity to 0. Clamping only its two ends is harmless; further levels outside the range
    # would all be clamped to the same number, so then the distribution is cut to the range instead.
    if all(at.low < level < at.high for level in levels[1:-1]):
        return levels
    return quantiles(tails(top), tails(bottom))


def ays(at: Span, table: str) -> list[float]:
    """The table as a curve, piecewise linear in log sigma over u, scaled in log sigma to end at high and low."""
    logs = [math.log(level) for level in ays_tables()[table]]
    top, bottom = math.log(at.high), math.log(at.low)
    stretch = (top - bottom) / (logs[0] - logs[-1])

    def curve(u: float) -> float:
        position = u * (len(logs) - 1)
        i = min(int(position), len(logs) - 2)
        value = logs[i] + (position - i) * (logs[i + 1] - logs[i])
        return math.exp(bottom + stretch * (value - logs[-1]))

    return at.trailing(curve)


# --- formulas in model time ------------------------------------------------------------------------------------------


def time_uniform(at: Span) -> list[float]:
    """t = (1 - u) t(high) + u t(low)."""
    return at.closed(at.line(*at.times))


def time_power(at: Span, kappa: float) -> list[float]:
    """t^(1/kappa) = (1 - u) t(high)^(1/kappa) + u t(low)^(1/kappa), t counted from the time of sigma 0."""
    start, stop = at.times
    origin = at.origin
    top, bottom = (start - origin) ** (1 / kappa), (stop - origin) ** (1 / kappa)
    return at.closed(lambda u: at.time.sigma(origin + (top + u * (bottom - top)) ** kappa))


def vp(at: Span, beta_d: float, beta_min: float, eps_s: float) -> list[float]:
    """sigma = sqrt(exp(beta_d t^2/2 + beta_min t) - 1), t uniform."""
    return time_uniform(replace(at, time=_vp_time(beta_d, beta_min, eps_s)))


def _vp_time(beta_d: float, beta_min: float, eps_s: float) -> ContinuousVP:
    return ContinuousVP(beta_min, beta_min + beta_d, t_min=eps_s)


def vp_range(beta_d: float, beta_min: float, eps_s: float) -> tuple[float, float]:
    """sigma at t = eps_s and t = 1."""
    return sigma_range(_vp_time(beta_d, beta_min, eps_s))


def sgm_uniform(at: Span) -> list[float]:
    """time_uniform, trailing."""
    return at.trailing(at.line(*at.times))


def flow_shift(at: Span, shift: float) -> list[float]:
    """sigma = shift v/(1 + (shift - 1) v), v uniform from v(high) to 0, or to v(low) where that is the last level."""
    shifted = replace(at, time=FlowShift(shift))
    start, stop = shifted.times
    return shifted.trailing(shifted.line(start, 0.0 if at.to_zero else stop))


def simple(at: Span) -> list[float]:
    """Entry floor(i N/n) from the top of the model's N; without a table the same line without the floor."""
    start, stop = at.times
    # one entry past sigma_min is where a table would hold sigma 0 (exactly so for flow models)
    end = max(stop - at.entry, at.origin) if at.to_zero else stop
    stride = (start - end) / at.entry / at.n
    if not at.discrete:
        return at.trailing(at.line(start, end))
    if stride < 1.0 - 1e-9:  # more steps than entries: hosts repeat levels
        return sgm_uniform(at)
    # 1e-6 of an entry absorbs the rounding of t(sigma)
    return at.trailing(lambda u: at.time.sigma(start - math.floor(u * at.n * stride + 1e-6)))


def ddim_uniform(at: Span) -> list[float]:
    """Entry 1 + k N/n from the bottom of the model's N, k = n - 1 .. 0.

    N/n is not rounded down: with it, hosts take 63 steps for 60, and starting at the n-th entry loses high noise.
    """
    start, stop = at.times
    entries = (start - stop) / at.entry
    # entry 0 (sigma_min) is left out; both numbers shrink when there are too few entries
    lowest = min(1.0, entries / at.n)
    stride = min((entries + 1.0) / at.n, (entries - lowest) / max(at.n - 1, 1))
    levels = [at.time.sigma(stop + at.entry * (lowest + stride * i)) for i in reversed(range(at.n))]
    levels[0] = min(levels[0], at.high)  # t(sigma) and back may round upwards
    return levels if at.to_zero else [*levels, at.low]


def beta(at: Span, alpha: float, beta: float) -> list[float]:
    """t = t(low) + q (t(high) - t(low)), q the quantile of Beta(alpha, beta) at 1 - u, trailing (arXiv 2407.12173)."""
    from scipy.special import betaincinv

    start, stop = at.times
    entries = (start - stop) / at.entry
    where = [float(betaincinv(alpha, beta, 1.0 - i / at.n)) * entries for i in range(at.count)]
    if at.discrete:
        rounded = [float(round(position)) for position in where]
        # hosts round to the model's entries and drop repeated levels, which costs steps
        if len(set(rounded)) == len(rounded):
            where = rounded
    inner = [at.time.sigma(stop + at.entry * position) for position in where[1 : at.n]]
    return [at.high, *inner] if at.to_zero else [at.high, *inner, at.low]


# --- FastDPM, arXiv 2106.00132 ---------------------------------------------------------------------------------------

#: growth -> p, where the p-th root of what grows is a line
_ROOTS = {"linear": 1, "quadratic": 2}
#: where the published quadratic steps begin, as a share of the model's steps
_QUADRATIC_REACH = 0.8


def fastdpm_var(at: Span, growth: str) -> list[float]:
    """abar_s = prod_{i <= s} (1 - eta_i), eta_i = (1 + c i)^p eta_0, sigma = sqrt((1 - abar)/abar); p = 1 or 2.

    eta_0 is 1 - abar of `low`, which for a whole table is its beta_0, and c is such that the whole product is the abar
    of `high` (the code's get_VAR_noise; there to 1e-4, here to float64). Where a narrow range leaves no
    c >= 0, the variances are equal.
    """
    p, count = _ROOTS[growth], at.count
    if count < 3:
        return [at.high, at.low][:count]
    bottom, top = _log_ratio(at.low), _log_ratio(at.high)
    # eta_0 = 1 - abar(low)
    first = -math.expm1(-bottom)

    def logs(last: float) -> list[float]:
        """-log(1 - eta_i), i = 1 .. count - 1, for the last variance."""
        start, stop = first ** (1 / p), last ** (1 / p)
        return [-math.log1p(-((start + (stop - start) * i / (count - 1)) ** p)) for i in range(1, count)]

    equal = (top - bottom) / (count - 1)
    if equal <= -math.log1p(-first):
        parts = [equal] * (count - 1)
    else:
        # the last variance is the largest, so it alone must not pass the whole range
        low, high = first, -math.expm1(bottom - top)
        for _ in range(100):
            last = 0.5 * (low + high)
            low, high = (last, high) if sum(logs(last)) < top - bottom else (low, last)
        parts = logs(low)
    inner, reached = [], bottom
    for part in parts[:-1]:
        reached += part
        inner.append(math.sqrt(math.expm1(reached)))
    return [at.high, *reversed(inner), at.low]


def _log_ratio(sigma: float) -> float:
    """-log abar = log(1 + sigma^2)."""
    return 2.0 * math.log(math.hypot(1.0, sigma)) if sigma > 1 else math.log1p(sigma * sigma)


def fastdpm_step(at: Span, growth: str) -> list[float]:
    """Entry floor(c i^p) of the model's T, i = n - 1 .. 0; p = 1: c (n - 1) = T - 1; p = 2: c (n - 1)^2 = 0.8 T.

    As the paper's code (get_STEP_step) takes them; a model without a table has no floor.
    """
    p, count = _ROOTS[growth], at.count
    start, stop = at.times
    entries = (start - stop) / at.entry
    reach = entries if p == 1 else min(_QUADRATIC_REACH * (entries + 1.0), entries)
    if count == 1:
        return [at.high if reach == entries else at.time.sigma(stop + at.entry * reach)]
    where = [reach * (i / (count - 1)) ** p for i in range(count)]
    if at.discrete:
        # 1e-6 of an entry absorbs the rounding of t(sigma)
        whole = [float(math.floor(position + 1e-6)) for position in where]
        # the published code asks twice at one level where entries are few
        if len(set(whole)) == count:
            where = whole
    levels = [at.low, *(at.time.sigma(stop + at.entry * position) for position in where[1:])]
    if reach == entries:
        levels[-1] = at.high
    return levels[::-1]
