"""Dormand and Prince's adaptive method, as scipy has it, on the probability-flow ODE: a black box to compare with.

Song et al. (arXiv 2011.13456) hand the ODE to `scipy.integrate`'s RK45, and the papers of fast solvers
compare with that. Here it is given the straight form that is regular everywhere, in its own clock:

    ve, vp   d(x/alpha)/d(rho) = eps         flow   dx/d(sigma) = v

scipy chooses the steps, in float64 on the CPU; each model call brings the state to the model's device and the answer
back. Its error is one RMS over all numbers that it integrates, compared with atol + rtol |y|. It is given the
tolerances divided by the root of the batch's size, so that the errors E of the samples, in terms of the tolerances that
were asked for, satisfy

    a step is accepted if  sum of E^2 < 1,   hence every E < 1:

a sample may depend on its batch mates, within the tolerance, and is never held to less than it would be alone. One
sample is integrated exactly as by `scipy.integrate.solve_ivp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .adaptive_run import OVERFLOW, NotConvergedError, Run, Turn
from .level import Level
from .methods.embedded import end_step
from .plan import FROM_DATA
from .run import steps

Tensor = torch.Tensor
Array = np.ndarray[Any, np.dtype[np.float64]]

#: b - b^ of the pair (Dormand & Prince 1980, table 2): its sum with the slopes, times the step, is the error estimate.
#: scipy keeps the errors to itself, so they are computed again for the report; scipy's own decide.
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
#: calls of an attempt; the slope at its start is the last one of the step before
_STAGES = len(_ERROR) - 1
#: before the first attempt: the slope at the start, and one by which scipy finds a first step
_START = 2
#: calls of the step to sigma 0 that keeps its order: the model cannot be asked at 0, as a step of scipy's would
_END = 3
#: scipy warns below this rtol, and takes it instead
_LEAST_RTOL = 100 * np.finfo(np.float64).eps
#: not 0, so that a number that is 0 and stays 0 has no error
_LEAST_ATOL = 1e-30
#: as a share of sigma; models are asked in float32, which cannot tell levels apart that are nearer
_SHORTEST = 1e-6

#: form -> the factor of the straight variable y in the state x = factor y
_FACTOR: dict[str, Callable[[Level], float]] = {"noise": lambda level: level.alpha, "velocity": lambda level: 1.0}
#: clock -> what progress is measured in: finite where the clock is
_WAY: dict[str, Callable[[Level], float]] = {"rho": lambda level: level.lam, "sigma": lambda level: -level.sigma}


class RK45Run(Run):
    """A run by scipy's stepper, in the regular form's own clock, which in every frame is the host's sigma."""

    #: the paper's: both are 1e-5 there
    atol_per_rtol = 1.0

    def turns(self, levels: Sequence[Level]) -> Generator[Turn, None, None]:
        """From the first level to the last positive one as the tolerance allows; to sigma 0 in one step."""
        positive = [level for level in levels if level.sigma]
        if len(positive) > 1 and self.x.numel():
            yield from self._between(positive[-1])
        if self.at != levels[-1]:
            yield from self.end(levels[-1], _END)

    def _between(self, stop: Level) -> Generator[Turn, None, None]:
        from scipy.integrate import RK45

        self.afford(_START + _STAGES)
        if not bool(torch.isfinite(self.x).all()):
            raise FloatingPointError(f"{self.row.id} begins with NaN or inf in its state, at sigma {self.at.host:g}")
        share = len(self.x) ** -0.5
        rtol, atol = (
            max(share * self.options[name], least) for name, least in (("rtol", _LEAST_RTOL), ("atol", _LEAST_ATOL))
        )
        field = _Field(self, stop, rtol, atol)
        stepper = RK45(field, self.at.host, field.y, stop.host, rtol=rtol, atol=atol)
        field.stage = 0
        while stepper.status == "running":
            message = stepper.step()
            if message is not None:
                raise NotConvergedError(f"{self.row.id} stopped at sigma {self.at.host:g}: {message}", self.result)
            yield from field.accepted()
        self.asked.known = field.denoised  # the answer at `stop`, which a step to sigma 0 begins with


class _Tried(NamedTuple):
    """An attempt whose six calls are made, before scipy shows what it thinks of it."""

    end: Level
    errors: tuple[float, ...]
    y: Array
    slope: Array
    denoised: Tensor


class _Field:
    """The ODE's right-hand side as scipy asks for it. It sees from the calls what scipy tries, and how that goes.

    A call after the sixth of an attempt begins another attempt. If scipy's `step` has not returned in between, the one
    before was rejected.
    """

    def __init__(self, run: RK45Run, stop: Level, rtol: float, atol: float) -> None:
        self.run, self.stop, self.rtol, self.atol = run, stop, rtol, atol
        self.zero = run.frame.level(0.0)
        form, clock = run.frame.regular
        self.from_data, self.factor, self.way = FROM_DATA[form], _FACTOR[form], _WAY[clock]
        self.first = run.at
        # at the start of the step: the straight variable, its slope, and the model's answer
        self.y: Array = _numbers(run.x / self.factor(run.at))
        self.slope: Array
        self.denoised: Tensor
        self.stage = -_START  # calls made of this attempt
        self.sum: Array  # of the slopes with the weights of the error
        self.tried: _Tried | None = None
        self.turns: list[Turn] = []  # rejected attempts of this step; scipy lets nobody in between

    def __call__(self, t: float, y: Array) -> Array:
        if self.stage == _STAGES:
            self._rejected()
        if self.stage == 0:
            self.run.afford(_STAGES)
            self.sum = _ERROR[0] * self.slope
        level = self._level(float(t))
        slope, denoised = self._ask(level, y)
        if self.stage == -_START:
            self.slope, self.denoised = slope, denoised
        self.stage += 1
        if self.stage > 0:
            self.sum += _ERROR[self.stage] * slope
        if self.stage == _STAGES:
            self.tried = _Tried(level, self._errors(level, y), y, slope, denoised)
        return slope

    def accepted(self) -> Generator[Turn, None, None]:
        """To be called after each `step` of scipy's: what it tried in vain, and the step that it took."""
        assert self.tried is not None
        yield from self.turns
        self.turns.clear()
        tried, run = self.tried, self.run
        start, stop = self.way(self.first), self.way(self.stop)
        run.progress = (self.way(tried.end) - start) / (stop - start)
        yield run.tried(tried.end, tried.errors, True, self.denoised)
        run.x, run.at = self._state(tried.end, tried.y), tried.end
        self.y, self.slope, self.denoised = tried.y, tried.slope, tried.denoised
        self.stage, self.tried = 0, None

    def _rejected(self) -> None:
        assert self.tried is not None
        tried, run = self.tried, self.run
        self.turns.append(run.tried(tried.end, tried.errors, False, self.denoised))
        width = run.at.host - tried.end.host
        if width < _SHORTEST * run.at.host:
            raise run.no_step(f"{width:.1e} in sigma", math.hypot(*tried.errors))
        self.stage, self.tried = 0, None

    def _level(self, host: float) -> Level:
        # older scipy looks for its first step beyond the end, where rho may be negative; and start + step can miss the
        # end by a rounding error
        if host <= self.stop.host * (1.0 + 1e-15):
            return self.stop
        return self.run.frame.level(min(host, self.first.host))

    def _state(self, level: Level, y: Array) -> Tensor:
        return torch.from_numpy(self.factor(level) * y).view(self.run.x.shape).to(self.run.x)

    def _ask(self, level: Level, y: Array) -> tuple[Array, Tensor]:
        """(the slope there, the model's answer). The first call of x = D asks as every run does, with its checks."""
        run = self.run
        plan = end_step(run.row.id, run.frame, level, self.zero, run.row.order, "denoise")
        turns = steps(plan, run.asked, self._state(level, y), extra_args=run.arguments)
        denoised = next(turns).denoised
        turns.close()
        answer = _numbers(denoised)
        if not np.isfinite(answer).all():
            raise FloatingPointError(
                f"{run.row.id} met NaN or inf at sigma {level.host:g}, by model call {run.asked.calls}; {OVERFLOW}"
            )
        on_x, on_data = self.from_data(level)
        return on_x * self.factor(level) * y + on_data * answer, denoised

    def _errors(self, level: Level, y: Array) -> tuple[float, ...]:
        """E of each sample for the attempt that ends at `level` with y."""
        allowed = self.atol + self.rtol * np.maximum(np.abs(self.y), np.abs(y))
        scaled = (level.host - self.run.at.host) * self.sum / allowed
        batch = len(self.run.x)
        each = np.square(scaled).reshape(batch, -1).mean(axis=1) / batch
        return tuple(np.sqrt(each).tolist())


def _numbers(x: Tensor) -> Array:
    """A tensor's numbers in a row, in float64 on the CPU."""
    return x.detach().to("cpu", torch.float64).reshape(-1).numpy()
