"""Multistep methods: one model call per step, the prediction extrapolated through the remembered ones.

One driver serves DPM-Solver and DPM-Solver++ multistep (clock lambda; arXiv 2206.00927, 2211.01095), tAB- and
rhoAB-DEIS (clock time, rho; arXiv 2204.13902) and the velocity form on flow models (clock sigma). They differ in the
form, the clock, the number of remembered predictions, and in what published code does to the moments.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..level import Frame, Level
from ..plan import Call, Writer
from ..quadrature import CLOCKS, deviation, moments, scale, weights
from .blocks import too_wide, write_exponential, write_regular, write_single


@dataclass(frozen=True)
class MomentRule:
    """What a variant does to the exact moments of a step with `points` predictions, and which degree stays exact."""

    points: int
    change: Callable[[list[float]], list[float]]
    exact_degree: int


#: 2M of DPM-Solver++, algorithm 2: the slope acts as if theta were 1/2 all along the step.
MIDPOINT = MomentRule(2, lambda mu: [mu[0], 0.5 * mu[0]], 0)
#: 3M of the official code (dpm_solver_pytorch.py, line 883): its second derivative lacks a factor 2.
HALVED = MomentRule(3, lambda mu: [mu[0], mu[1], 0.5 * mu[2]], 1)


@dataclass(frozen=True)
class Adams:
    """A multistep method: its straight form, the clock it extrapolates in, and how many predictions a step combines."""

    form: str
    clock: str
    points: int


def multistep(
    method: Adams,
    frame: Frame,
    levels: Sequence[Level],
    *,
    rule: MomentRule | None = None,
    start: str = "euler",
    final: bool = False,
    last: str = "regular",
    eta: float = 0.0,
) -> list[Call]:
    """The calls of a multistep method on n + 1 levels, with noise of strength eta.

    rule   None integrates the polynomial exactly
    start  euler: 1, 2, 3, ... predictions;  2s: a second-order block on the first three levels, both answers history
    final  lower order at the end: min(points, steps left)
    last   the step to sigma 0. regular: the frame's regular form and clock, full order;  denoise: x = D
    """
    writer, n = Writer(frame, levels, eta), len(levels) - 1
    readings: dict[str, list[float]] = {}  # clock -> what it shows at every level
    # with last="denoise" the interval to sigma 0 cannot be a part of the block
    if start == "2s" and n > 1 and (last == "regular" or levels[2].sigma > 0.0):
        _write_start(writer, levels[:3], method.form)
    while (i := len(writer.calls)) < n:
        s, t = levels[i], levels[i + 1]
        points = min(method.points, i + 1, n - i if final else n)
        form, clock = method.form, method.clock
        if t.sigma == 0.0:
            form, clock = frame.regular
            points = 1 if last == "denoise" else points
        if clock == "lambda" and levels[i - points + 1].alpha == 0.0:
            clock = "sigma"  # lambda is -inf there; a clock that is finite keeps the order
        if clock not in readings:
            readings[clock] = [CLOCKS[clock](frame, level) for level in levels]
        points = _usable(readings[clock], i, points)
        while not writer.convertible(points, form):
            points -= 1
        if points == 1:
            write_single(writer, t, method.form, method.clock)
            continue
        u, width = readings[clock], readings[clock][i + 1] - readings[clock][i]
        while True:
            thetas = [(u[j] - u[i]) / width for j in range(i, i - points, -1)]
            strength = writer.strength(form, t)
            mu, degree = moments(form, clock, frame, s, t, points, strength), points - 1
            if rule is not None and points == rule.points and clock == method.clock:
                mu, degree = rule.change(mu), rule.exact_degree
            factors = weights(mu, thetas)
            if points == 2 or t.sigma == 0.0 or sum(map(abs, factors)) <= _AMPLIFICATION * abs(mu[0]):
                break
            points -= 1
        writer.step(
            t,
            scale(form, s, t, strength),
            factors,
            of=form,
            keeps=method.form,
            clock=clock,
            exact_degree=degree,
            noise=deviation(form, s, t, strength),
        )
    return writer.calls


#: The weights of more than two predictions may add up to this many times their sum: so much is an error of the model
#: amplified. Adams-Bashforth of four points on equal steps has 6.7; linear_quadratic's jump to long steps would reach
#: 2600. The step to sigma 0 is left to the option `last`.
_AMPLIFICATION = 25.0
#: A step may be at most this many times as long, in its clock, as the history that it extrapolates from. Beyond, the
#: weights grow like this ratio to the power of the degree, and amplify the model's errors. Published schedules stay
#: below 20 at up to 50 calls (linear_quadratic with 6 reaches 64); typed lists may not.
_LONGEST_STEP = 100.0


def _usable(u: Sequence[float], i: int, points: int) -> int:
    """How many predictions the step from u[i] to u[i + 1] can combine: neighbours apart, none too near for the step."""
    width = abs(u[i + 1] - u[i])
    for j in range(1, points):
        if not (width > 0.0 and abs(u[i - j + 1] - u[i - j]) * _LONGEST_STEP >= width):
            return j
    return points


def _write_start(writer: Writer, levels: Sequence[Level], form: str) -> None:
    """The 2s block: in lambda for noise and data, in sigma for velocity; its answers are remembered in `form`.

    rho nodes are no good here: the first steps of uniform-lambda levels are huge in rho (74 times worse at 6 calls).
    Where an interval is too wide for a block in lambda, the block is in the frame's regular form if that is no matter
    of rho (on flow a first level of 0.9999999, which float32 makes of 1 in hosts, is 13 away from the second), and left
    out otherwise.
    """
    regular, _ = writer.frame.regular
    wide = any(too_wide(a, b) for a, b in itertools.pairwise(levels))
    if form == "velocity" or (wide and regular == "velocity"):
        write_regular(writer, levels, keeps=form)
    elif not wide:
        write_exponential(writer, levels, form, keeps=form)
