"""Multistep weights: integrals of an interpolating polynomial against a form's measure, in float64.

The three straight forms of the ODE (docs/mathematics.md; arXiv 2204.13902, 2206.00927, 2211.01095):

    noise     x_t = (alpha_t/alpha_s) x_s + alpha_t  int eps d(rho)
    data      x_t = (sigma_t/sigma_s) x_s + sigma_t  int D   d(1/rho)
    velocity  x_t =                   x_s +          int v   d(sigma)          (flow frames)

The prediction is replaced by the polynomial through its values at known levels, in a clock u (lambda, rho, sigma, or
the model's time). With theta = (u - u_s)/(u_t - u_s) everything is made of the moments  mu_k = int theta^k  against
the measure: in closed form where one exists, otherwise by Gauss-Legendre quadrature in lambda.

With noise of strength eta (arXiv 2211.01095, section 4 and appendix B), for a step of width h in lambda:

    data   x_t = (sigma_t/sigma_s) e^{-eta h} x_s + (1 + eta) alpha_t int e^{-(1+eta)(lam_t - lam)} D d(lam)
                 + sigma_t sqrt(1 - e^{-2 eta h}) z
    noise  x_t = (alpha_t/alpha_s) x_s + (1 + eta) alpha_t int eps d(rho) + sigma_t sqrt(eta (e^{2h} - 1)) z
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from .level import Frame, Level
from .phi import phi

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: A clock reads a level. Time needs the frame's map, so every clock gets the frame.
CLOCKS: dict[str, Callable[[Frame, Level], float]] = {
    "lambda": lambda frame, level: level.lam,
    "rho": lambda frame, level: level.rho,
    "sigma": lambda frame, level: level.sigma,
    "time": lambda frame, level: frame.time.time(level.host),
}


def scale(form: str, s: Level, t: Level, eta: float = 0.0) -> float:
    """The factor on the state over a step from level s to level t."""
    if form == "noise":
        return t.alpha / s.alpha
    if form == "data":
        return t.sigma / s.sigma * (math.exp(-eta * (t.lam - s.lam)) if eta else 1.0)
    return 1.0


def deviation(form: str, s: Level, t: Level, eta: float) -> float:
    """Standard deviation of the noise that a step from s to t adds."""
    if not eta:
        return 0.0
    h = t.lam - s.lam
    return t.sigma * math.sqrt(eta * math.expm1(2.0 * h) if form == "noise" else -math.expm1(-2.0 * eta * h))


def moments(form: str, clock: str, frame: Frame, s: Level, t: Level, n: int, eta: float = 0.0) -> list[float]:
    """mu_0 ... mu_{n-1} of the step from s to t: int theta^k against the form's measure, times the form's factor."""
    if n == 1:
        return [_whole(form, s, t, eta)]
    closed = _CLOSED.get((form, clock))
    return closed(s, t, n, eta) if closed else _gauss(form, clock, frame, s, t, n, eta)


def _whole(form: str, s: Level, t: Level, eta: float) -> float:
    """mu_0, the DDIM weight: the same in every clock, finite also where lambda is not (data, velocity)."""
    if form == "velocity":
        return t.sigma - s.sigma
    if math.isfinite(s.lam) and math.isfinite(t.lam):  # no difference of nearly equal numbers
        h, more = t.lam - s.lam, 1.0 + eta
        return -t.sigma * more * math.expm1(h) if form == "noise" else -t.alpha * math.expm1(-more * h)
    if form == "noise":
        return t.sigma - t.alpha * s.rho
    return t.alpha - t.sigma * (s.alpha / s.sigma)


def _noise_lambda(s: Level, t: Level, n: int, eta: float) -> list[float]:
    h = t.lam - s.lam
    return _phi_moments(-t.sigma * (1.0 + eta) * h, h, n)


def _data_lambda(s: Level, t: Level, n: int, eta: float) -> list[float]:
    h = (1.0 + eta) * (t.lam - s.lam)
    return _phi_moments(t.alpha * h, -h, n)


def _phi_moments(factor: float, z: float, n: int) -> list[float]:
    # int_0^1 e^{(1-theta) z} theta^k dtheta = k! phi_{k+1}(z)
    values, factorial, out = phi(z, n), 1.0, []
    for k in range(n):
        factorial *= max(k, 1)
        out.append(factor * factorial * values[k + 1])
    return out


def _noise_rho(s: Level, t: Level, n: int, eta: float) -> list[float]:
    width = t.alpha * (t.rho - s.rho) * (1.0 + eta)
    return [width / (k + 1) for k in range(n)]


def _velocity_sigma(s: Level, t: Level, n: int, eta: float) -> list[float]:
    width = t.sigma - s.sigma
    return [width / (k + 1) for k in range(n)]


_CLOSED: dict[tuple[str, str], Callable[[Level, Level, int, float], list[float]]] = {
    ("noise", "lambda"): _noise_lambda,
    ("data", "lambda"): _data_lambda,
    ("noise", "rho"): _noise_rho,
    ("velocity", "sigma"): _velocity_sigma,
}

#: Longest piece in lambda that one Gauss rule covers. With 16 nodes and cubic polynomials in continuous VP time the
#: error is at most 8e-15 up to 4.0 and 7e-12 at 4.9 (measured over linear, quadratic and uniform-lambda grids).
_PIECE = 4.0
_NODES_SMOOTH = 16
#: Between two knots of a table t is linear in log sigma and a piece is about 0.01 long in lambda. The error of 4
#: nodes on a piece of length h is 5.6e-10 h^9 times an eighth derivative, below rounding up to 0.1.
_NODES_BETWEEN_KNOTS = 4
_SHORT = 0.1


@cache
def _legendre(n: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on 0..1."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def _pieces(frame: Frame, clock: str, a: float, b: float) -> tuple[Array, int]:
    """Ends of the pieces of lambda in a..b on which the clock is smooth, and how many nodes each needs."""
    import numpy as np

    # a table's knots are log(host sigma), which is -lambda where the host's sigma is rho
    knots = frame.time.knots if clock == "time" and frame.name != "flow" else None
    if knots is None:
        return np.linspace(a, b, max(1, math.ceil((b - a) / _PIECE)) + 1), _NODES_SMOOTH
    first, last = np.searchsorted(knots, (-b, -a))
    ends = np.concatenate(((a,), -knots[first:last][::-1], (b,)))
    if (ends[1:] - ends[:-1]).max() <= _SHORT:
        return ends, _NODES_BETWEEN_KNOTS
    # long pieces: beyond the table's ends, and near the top of cosine and zero-SNR tables
    return np.union1d(ends, np.arange(a, b, _PIECE)), _NODES_SMOOTH


def _clock_values(clock: str, frame: Frame, lam: Array) -> Array:
    import numpy as np

    if clock == "lambda":
        return lam
    if clock == "rho":
        return np.exp(-lam)
    # log of the host's sigma
    log_host = -np.logaddexp(0.0, lam) if frame.name == "flow" else -lam
    if clock == "time":
        return frame.time.times(log_host)
    return np.exp(log_host)  # sigma of ve and flow frames


def _gauss(form: str, clock: str, frame: Frame, s: Level, t: Level, n: int, eta: float) -> list[float]:
    import numpy as np

    ends, count = _pieces(frame, clock, s.lam, t.lam)
    nodes, weights = _legendre(count)
    widths = ends[1:] - ends[:-1]
    lam = (ends[:-1, None] + widths[:, None] * nodes).ravel()
    measure = (widths[:, None] * weights).ravel()
    # alpha_t d(rho) = -sigma_t e^{lam_t - lam} d(lam);   sigma_t d(1/rho) = alpha_t e^{lam - lam_t} d(lam)
    more = 1.0 + eta
    measure *= more * (-t.sigma * np.exp(t.lam - lam) if form == "noise" else t.alpha * np.exp(more * (lam - t.lam)))
    start, stop = CLOCKS[clock](frame, s), CLOCKS[clock](frame, t)
    theta = (_clock_values(clock, frame, lam) - start) / (stop - start)
    out = []
    for k in range(n):
        if k:
            measure *= theta
        out.append(float(measure.sum()))
    return out


def weights(mu: Sequence[float], thetas: Sequence[float]) -> list[float]:
    """Weights of the values at `thetas`: the solution of sum_j w_j theta_j^k = mu_k, so that polynomials are exact.

    Bjorck & Pereyra's algorithm for the (dual) Vandermonde system (Math. Comp. 24, 1970).
    """
    out, n = list(mu), len(mu)
    for k in range(n - 1):
        for i in range(n - 1, k, -1):
            out[i] -= thetas[k] * out[i - 1]
    for k in range(n - 2, -1, -1):
        for i in range(k + 1, n):
            out[i] /= thetas[i] - thetas[i - k - 1]
        for i in range(k, n - 1):
            out[i] -= out[i + 1]
    return out
