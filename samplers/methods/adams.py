"""Multistep methods: one model call per step, the prediction extrapolated through the remembered ones.

One driver serves DPM-Solver and DPM-Solver++ multistep (clock lambda; arXiv 2206.00927, 2211.01095), tAB- and
rhoAB-DEIS (clock time, rho; arXiv 2204.13902), the velocity form on flow models (clock sigma), and the
predictor-correctors UniPC (arXiv 2302.04867) and SA-Solver (arXiv 2309.05019). They differ in the form, the clock, the
number of remembered predictions, and in what published code does to the moments.

A corrector of p + 1 points raises the order to p + 1 at no call: the answer at the end of a step, which the next step
needs anyhow, joins the weights, and the step is made again before the next one starts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..level import Frame, Level
from ..plan import Call
from ..quadrature import CLOCKS, deviation, moments, scale, weights
from ..writer import Writer
from .blocks import UNITS, too_wide, write_exponential, write_regular, write_single


@dataclass(frozen=True)
class MomentRule:
    """What a variant does to the exact moments of a step with `points` predictions, and which degree stays exact.

    change   (moments, what mu_0 would be if the measure were that at the step's end all along) -> moments
    """

    points: int
    change: Callable[[list[float], float], list[float]]
    exact_degree: int


#: 2M of DPM-Solver++, algorithm 2: the slope acts as if theta were 1/2 all along the step. UniPC's B_2(h) is the same.
MIDPOINT = MomentRule(2, lambda mu, end: [mu[0], 0.5 * mu[0]], 0)
#: UniPC's B_1(h) (arXiv 2302.04867), and the official SA-Solver's two predictions.
STRAIGHT = MomentRule(2, lambda mu, end: [mu[0], 0.5 * end], 0)
#: 3M of the official code (dpm_solver_pytorch.py, line 883): its second derivative lacks a factor 2.
HALVED = MomentRule(3, lambda mu, end: [mu[0], mu[1], 0.5 * mu[2]], 1)


@dataclass(frozen=True)
class Adams:
    """A multistep method.

    form       the straight form that is integrated
    clock      the variable in which its prediction is extrapolated
    points     how many predictions a step combines
    corrector  how many a corrector combines, the one at the end of the step included; 0: there is none
    even       the levels are taken for evenly spaced in the clock, whatever they are
    """

    form: str
    clock: str
    points: int
    corrector: int = 0
    even: bool = False


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
    final  lower order at the end: min(points, steps left); a corrector has one point more
    last   the step to sigma 0. regular: the frame's regular form and clock, full order;  denoise: x = D
    """
    writer, n = Writer(frame, levels, eta), len(levels) - 1
    steps = _Steps(method, rule, writer, levels)
    # with last="denoise" the interval to sigma 0 cannot be a part of the block
    if start == "2s" and n > 1 and (last == "regular" or levels[2].sigma > 0.0):
        _write_start(writer, levels[:3], method.form)
    while (i := len(writer.calls)) < n:
        if method.corrector and i:
            steps.correct(i, min(method.corrector, i + 1, n - i + 2 if final else n))
        points = min(method.points, i + 1, n - i if final else n)
        steps.write(i, 1 if last == "denoise" and levels[i + 1].sigma == 0.0 else points)
    return writer.calls


class _Combination(NamedTuple):
    """A step as a combination of predictions at neighbouring levels."""

    form: str
    clock: str
    scale: float
    weights: list[float]
    exact_degree: int
    noise: float


@dataclass
class _Steps:
    """The steps of one method on given levels."""

    method: Adams
    rule: MomentRule | None
    writer: Writer
    levels: Sequence[Level]
    readings: dict[str, list[float]] = field(default_factory=dict)  # clock -> what it shows at every level

    def write(self, i: int, points: int) -> None:
        """The step from level i."""
        form, keeps = self._form(i), self.method.form
        made = self._combination(form, i, i, points)
        if made is None:
            write_single(self.writer, self.levels[i + 1], keeps, self.method.clock)
            return
        self.writer.step(
            self.levels[i + 1],
            made.scale,
            made.weights,
            of=made.form,
            keeps=keeps,
            clock=made.clock,
            exact_degree=made.exact_degree,
            noise=made.noise,
        )

    def correct(self, i: int, points: int) -> None:
        """The step to level i again, with the prediction there among those that it combines."""
        made = self._combination(self._form(i - 1), i - 1, i, points)
        if made is not None:
            self.writer.redo(
                made.scale, made.weights, of=made.form, clock=made.clock, exact_degree=made.exact_degree
            )

    def _form(self, i: int) -> tuple[str, str]:
        """(form, clock) of the step from level i: the regular ones where the method's are not."""
        s, t = self.levels[i], self.levels[i + 1]
        return self.writer.frame.regular if 0.0 in (s.alpha, t.sigma) else (self.method.form, self.method.clock)

    def _combination(self, at: tuple[str, str], i: int, newest: int, points: int) -> _Combination | None:
        """The step from level i by the predictions at `points` levels, level `newest` the last; None for one point."""
        (form, clock), frame, levels = at, self.writer.frame, self.levels
        s, t = levels[i], levels[i + 1]
        if clock == "lambda" and levels[newest - points + 1].alpha == 0.0:
            clock = "sigma"  # lambda is -inf there; a clock that is finite keeps the order
        if clock not in self.readings:
            self.readings[clock] = [CLOCKS[clock](frame, level) for level in levels]
        u = self.readings[clock]
        points = _usable(u, i, newest, points)
        while not self.writer.convertible(points, form):
            points -= 1
        strength, width = self.writer.strength(form, s, t), u[i + 1] - u[i]
        while points > 1:
            nodes = range(newest, newest - points, -1)
            mu, degree = moments(form, clock, frame, s, t, points, strength), points - 1
            if self.method.even:
                thetas, degree = [float(j - i) for j in nodes], 0
            else:
                thetas = [(u[j] - u[i]) / width for j in nodes]
            if self.rule is not None and points == self.rule.points and clock == self.method.clock:
                end = UNITS[form, clock](t, (1.0 + strength) * width)
                mu, degree = self.rule.change(mu, end), self.rule.exact_degree
            factors = weights(mu, thetas)
            if points == 2 or t.sigma == 0.0 or sum(map(abs, factors)) <= _AMPLIFICATION * abs(mu[0]):
                noise = deviation(form, s, t, strength)
                return _Combination(form, clock, scale(form, s, t, strength), factors, degree, noise)
            points -= 1
        return None


#: The weights of more than two predictions may add up to this many times their sum: so much is an error of the model
#: amplified. Adams-Bashforth of four points on equal steps has 6.7; linear_quadratic's jump to long steps would reach
#: 2600. The step to sigma 0 is left to the option `last`.
_AMPLIFICATION = 25.0
#: A step may be at most this many times as long, in its clock, as the history that it extrapolates from. Beyond, the
#: weights grow like this ratio to the power of the degree, and amplify the model's errors. Published schedules stay
#: below 20 at up to 50 calls (linear_quadratic with 6 reaches 64); typed lists may not.
_LONGEST_STEP = 100.0


def _usable(u: Sequence[float], i: int, newest: int, points: int) -> int:
    """How many predictions the step from u[i] to u[i + 1] can combine: neighbours apart, none too near for the step."""
    width = abs(u[i + 1] - u[i])
    for j in range(1, points):
        if not (width > 0.0 and abs(u[newest - j + 1] - u[newest - j]) * _LONGEST_STEP >= width):
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
