"""Fits a plan to a model: Gauss-Newton on the levels and weights, for the error at the end of the run.

The error e_s of a sample is its distance from where a converged run ends. A few samples lie where the flow divides and
are far off whatever is done, so the loss is that of Student's t (Cauchy's), with the median error c as its width:

    loss = mean_s log(e_s^2 + c^2),    weights of the least squares: w_s = 1/(e_s^2 + c^2)

The derivatives are differences of runs (`Samples.normal_equations`); the model's own gradients are not needed. A step
solves (J'WJ + D (mu + prior)) step = -J'Wr with D the diagonal of J'WJ (Levenberg-Marquardt); the prior draws the
weights to the method's own. Other samples, those for choosing, say which round's plan is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .family import Family
from .samples import Samples, Work

Tensor = torch.Tensor

#: of the weights towards the published ones, as a share of what the data say about each
_PRIOR = 1e-5
_FIRST_DAMPING, _LEAST_DAMPING = 1e-2, 1e-6
_HARDER, _SOFTER = 10.0, 5.0
#: a step changes no entry (lambda of a level, a weight's share of the whole) by more than this
_LONGEST_STEP = 2.0
#: steps that are tried in a round, each with 10 times the damping, before the fit ends
_TRIALS = 7
#: rounds without a gain on the samples for choosing, before the fit ends
_PATIENCE = 4
#: a gain is at least this share of the error
_GAIN = 0.01
#: width of the differences by the type in which the model is asked: its rounding, divided by this, is the slopes' error
_WIDTHS = {torch.float64: 1e-4, torch.float32: 1e-3}
_HALF_WIDTH = 3e-2


@dataclass(frozen=True)
class Fit:
    """A fit that goes on: where it is, and the best point so far by the samples for choosing.

    theta, errors  the last accepted point, and the errors of the samples for fitting there [S]
    best, chosen   the best point and its mean error on the samples for choosing
    idle           rounds since it was found
    over           whether more rounds would change nothing
    """

    family: Family
    theta: Sequence[float]
    errors: Tensor
    best: Sequence[float]
    chosen: float
    damping: float = _FIRST_DAMPING
    idle: int = 0
    over: bool = False


def begin(family: Family, sigmas: Sequence[float], fitting: Samples, choosing: Samples) -> Work[Fit]:
    """The published method of a family on given levels, as the start of a fit."""
    theta = family.start(sigmas)
    plan = family.plan(theta)
    errors = yield from fitting.errors(plan)
    chosen = _mean((yield from choosing.errors(plan)))
    return Fit(family, theta, errors, theta, chosen)


def round_calls(family: Family) -> tuple[int, int]:
    """Calls that a round makes at most: on each sample for fitting, on each for choosing."""
    n = family.calls
    return n + sum(n - 1 - i for i in family.first_updates) + _TRIALS * n, n


def advance(fit: Fit, fitting: Samples, choosing: Samples) -> Work[Fit]:
    """One round."""
    family = fit.family
    width = fit.errors.median()
    weights = 1.0 / (fit.errors.square() + width.square())
    eps = _WIDTHS.get(fitting.asked, _HALF_WIDTH)
    gram, right = yield from fitting.normal_equations(family, fit.theta, weights / weights.sum(), eps)
    if not bool(gram.isfinite().all()) or not float(gram.diagonal().max()) > 0.0:
        return replace(fit, over=True)  # a plan off its limits, or a model that answers the same whatever it is asked
    start = family.start(family.sigmas(fit.theta))
    away = torch.tensor(fit.theta, dtype=torch.float64) - torch.tensor(start, dtype=torch.float64)  # 0 for levels
    diagonal = gram.diagonal().clamp_min(1e-12 * gram.diagonal().max())
    prior = _PRIOR * diagonal
    prior[: family.levels_size] = 0.0
    damping, loss = fit.damping, _loss(fit.errors, width)
    for _ in range(_TRIALS):
        step = torch.linalg.solve(gram + torch.diag(damping * diagonal + prior), right - prior * away)
        step *= min(1.0, _LONGEST_STEP / float(step.abs().max()))
        theta = family.project([old + change for old, change in zip(fit.theta, step.tolist(), strict=True)])
        errors = yield from fitting.errors(family.plan(theta))
        if _loss(errors, width) < loss:
            break
        damping *= _HARDER
    else:
        return replace(fit, over=True)
    chosen = _mean((yield from choosing.errors(family.plan(theta))))
    damping = max(damping / _SOFTER, _LEAST_DAMPING)
    if chosen < (1.0 - _GAIN) * fit.chosen:
        return replace(fit, theta=theta, errors=errors, best=theta, chosen=chosen, damping=damping, idle=0)
    idle = fit.idle + 1
    return replace(fit, theta=theta, errors=errors, damping=damping, idle=idle, over=idle >= _PATIENCE)


def _mean(errors: Tensor) -> float:
    """Geometric mean: less moved by a few samples than the median is by which samples there are."""
    return float(errors.log().mean().exp())


def _loss(errors: Tensor, width: Tensor) -> float:
    return float((errors.square() + width.square()).log().mean())
