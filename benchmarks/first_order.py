"""First-order methods on the VP ODE that hold something constant over a step: the noise, the score, or all (Euler)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import fewstep
import torch

from ..samplers.level import Frame
from ..samplers.times import TimeMap
from .claim_errors import END
from .problems import median_error

Tensor = torch.Tensor
#: D(y, rho) for y = x/alpha
Denoise = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Clock:
    """rho = sigma/alpha and its like as functions of a model's time."""

    time: TimeMap

    def rho(self, t: float) -> float:
        return self.time.sigma(t)

    def scale(self, t: float) -> float:
        """1/alpha."""
        return math.hypot(1.0, self.rho(t))

    def half_beta(self, t: float) -> float:
        """-d(log alpha)/dt: beta(t)/2 of the VP SDE, exact where beta is linear, else over one of the table's steps."""
        width = 1e-3 * (self.time.t_max - self.time.t_min)
        return (math.log(self.scale(t + 0.5 * width)) - math.log(self.scale(t - 0.5 * width))) / width


#: (y, eps, t, t') -> y'
Step = Callable[[Clock, Tensor, Tensor, float, float], Tensor]


def noise_form(clock: Clock, y: Tensor, eps: Tensor, t: float, to: float) -> Tensor:
    """The exponential integrator with the noise held: DDIM."""
    return y + (clock.rho(to) - clock.rho(t)) * eps


def score_form(clock: Clock, y: Tensor, eps: Tensor, t: float, to: float) -> Tensor:
    """The exponential integrator with the score held."""
    # dy = -sigma score d(rho); with the score -eps/sigma held, the integral of sigma = rho/sqrt(1 + rho^2) is the root
    return y + (clock.scale(to) - clock.scale(t)) * (clock.scale(t) / clock.rho(t)) * eps


def euler(clock: Clock, y: Tensor, eps: Tensor, t: float, to: float) -> Tensor:
    """Euler's method in x and t: dx/dt = -beta/2 x + beta/(2 sigma) eps, sigma = rho/sqrt(1 + rho^2)."""
    x = y / clock.scale(t)
    return (x + (to - t) * clock.half_beta(t) * (eps * clock.scale(t) / clock.rho(t) - x)) * clock.scale(to)


#: (model, y at the highest level, exact y at sigma_min)
Solved = tuple[Denoise, Tensor, Tensor]


def errors(frame: Frame, solved: Iterable[Solved], step: Step, levels: str, n: int) -> list[float]:
    """Median error after n steps, of each that is solved."""
    clock, out = Clock(frame.time), []
    times = [frame.time.time(sigma) for sigma in fewstep.schedule(levels, n, frame=frame, end=END)]
    for denoise, start, exact in solved:
        y = start
        for t, to in pairwise(times):
            y = step(clock, y, (y - denoise(y, clock.rho(t))) / clock.rho(t), t, to)
        out.append(median_error(y, exact))
    return out
