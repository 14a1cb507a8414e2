"""Multistep methods: one model call per step, the prediction extrapolated through the remembered ones.

One driver serves DPM-Solver and DPM-Solver++ multistep (clock lambda; arXiv 2206.00927, 2211.01095), tAB- and
rhoAB-DEIS (clock time, rho; arXiv 2204.13902) and the velocity form on flow models (clock sigma). They differ in the
form, the clock, the number of remembered predictions, and in what published code does to the moments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..level import Frame, Level
from ..plan import Call, Writer
from ..quadrature import CLOCKS, moments, scale, weights
from .blocks import kept_form, write_exponential, write_regular

Moments = list[float]


def _midpoint(mu: Moments) -> Moments:
    # 2M of DPM-Solver++, algorithm 2: the slope acts as if theta were 1/2 all along the step
    return [mu[0], 0.5 * mu[0], *mu[2:]]


def _halved(mu: Moments) -> Moments:
    # 3M of the official code (dpm_solver_pytorch.py, line 883): its D2 lacks a factor 2
    return [*mu[:2], 0.5 * mu[2], *mu[3:]]


@dataclass(frozen=True)
class MomentRule:
    """What a variant does to the exact moments of a step with `points` predictions, and which degree stays exact."""

    points: int
    change: Callable[[Moments], Moments]
    exact_degree: int


#: variant -> rule; a variant without one integrates its polynomial exactly
MOMENT_RULES = {"midpoint": MomentRule(2, _midpoint, 0), "official": MomentRule(3, _halved, 1)}


@dataclass(frozen=True)
class Adams:
    """A multistep method: straight form, clock of the extrapolation, number of predictions that a full step combines."""

    form: str
    clock: str
    points: int


def write(
    method: Adams,
    frame: Frame,
    levels: Sequence[Level],
    *,
    variant: str = "paper",
    start: str = "euler",
    final: bool = False,
    last: str = "regular",
) -> list[Call]:
    """The calls of an Adams method on n + 1 levels.

    start  euler: points 1, 2, 3, ...;  2s: one second-order block on the first three levels whose answers become history
    final  lower order at the end: min(points, steps left)
    last   the step to sigma 0. regular: the frame's regular form and clock, full order;  denoise: x = D
    """
    writer, n = Writer(frame, levels), len(levels) - 1
    rule = MOMENT_RULES.get(variant)
    readings: dict[str, list[float]] = {}  # clock -> what it shows at every level
    if start == "2s" and method.points > 1 and n > 1:
        _write_start(writer, levels[:3], method.form)
    while (i := len(writer.calls)) < n:
        s, t = levels[i], levels[i + 1]
        points = min(method.points, i + 1, n - i if final else n)
        form, clock = method.form, method.clock
        if t.sigma == 0.0:
            if last == "denoise":
                form, points = "data", 1
            else:
                form, clock = frame.regular
        elif s.alpha == 0.0 and form == "noise":
            form, points = "data", 1  # the noise form divides by alpha
        if clock == "lambda" and levels[i - points + 1].alpha == 0.0:
            clock = "sigma"  # lambda is -inf there; a clock that is finite keeps the order
        mu, degree = moments(form, clock, frame, s, t, points), points - 1
        if rule is not None and points == rule.points and clock == method.clock:
            mu, degree = rule.change(mu), rule.exact_degree
        thetas = [0.0]
        if points > 1:
            if clock not in readings:
                readings[clock] = [CLOCKS[clock](frame, level) for level in levels]
            u = readings[clock]
            thetas = [(u[j] - u[i]) / (u[i + 1] - u[i]) for j in range(i, i - points, -1)]
        keeps = kept_form(method.form, s)
        writer.step(t, scale(form, s, t), weights(mu, thetas), of=form, keeps=keeps, clock=clock, exact_degree=degree)
    return writer.calls


def _write_start(writer: Writer, levels: Sequence[Level], form: str) -> None:
    """The 2s block: in lambda for noise and data, in sigma for velocity; its answers are remembered in `form`.

    rho nodes are no good here: on uniform-lambda levels the first steps in rho are huge (measured 74 times worse at 6 calls).
    """
    if form == "velocity":
        write_regular(writer, levels)
    else:
        write_exponential(writer, levels, form, keeps=form)
