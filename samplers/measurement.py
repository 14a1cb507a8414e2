"""Measures the statistics of a model on its own samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from statistics import fmean, variance
from typing import Any

import torch

from .inputs import work_dtype
from .level import Frame, Level
from .level import frame as make_frame
from .plan import Plan
from .run import Model, steps
from .schedules import schedule
from .solvers import plan as make_plan
from .statistics import Statistics
from .times import TimeMap

Tensor = torch.Tensor

_SOLVER = "dpmpp_2m"
#: levels that lie close together where the statistics change, for a state convention
_SCHEDULES = {"ve": "karras", "vp": "karras", "flow": "sgm_uniform"}


def measure_statistics(
    model: Model,
    noise: Tensor | Iterable[Tensor],
    *,
    frame: str | Frame = "ve",
    time: str | TimeMap | Sequence[float] | None = None,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    calls: int = 50,
    extra_args: Mapping[str, Any] | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> Statistics:
    """V = E Var[x0 | x] of a model at `calls` levels, for the solvers analytic_ddpm and analytic_ddim.

    The states of an accurate run of the ODE have the distribution that the model gives its data at each level, so
    samples of the model are all that is needed (arXiv 2201.06503 uses training data). Two estimates are joined:

        (1 - E||eps||^2/dim) rho^2                 the paper's, whose scatter is 2 rho^4/dim
        E||x0||^2/dim - E||D||^2/dim               the law of total variance, whose scatter is that of ||x0||^2/dim

    each with the other's scatter as its weight: the first counts at low noise, the second near pure noise. The result
    is put into the paper's bounds, 0 <= V <= min(rho^2, E||x0||^2/dim).

    model       model(x, sigma[B], **extra_args) -> denoised, as it will be used later: what guidance adds is measured
                too, and the theory does not know it
    noise       standard normal [B, ...], or batches of it one after the other, of which one is held at a time; at least
                two samples in all, 16 to 64 are good
    sigma_max, sigma_min
                range in host sigmas, by default the time map's
    calls       model calls for each sample, dpmpp_2m on karras levels (flow: sgm_uniform) down to sigma 0
    extra_args  for the model; the same for every batch
    callback    (model calls made, model calls in all, as far as known) after each

    float16 and bfloat16 states are squared and summed in float32. Raises FloatingPointError where the model answers
    NaN, ValueError for levels or noise that do not fit.
    """
    where = make_frame(frame, time)
    sigmas = schedule(_SCHEDULES[where.name], calls, frame=where, sigma_max=sigma_max, sigma_min=sigma_min)
    plan = make_plan(_SOLVER, sigmas, where)
    batches: Iterable[Tensor] = [noise] if isinstance(noise, Tensor) else noise
    total = len(plan) * (len(batches) if isinstance(batches, Sized) else 1)
    sums, dims, done = _Sums(len(plan)), 0, 0
    for batch in batches:
        if batch.ndim < 2 or batch.numel() == 0 or (dims and batch[0].numel() != dims):
            raise ValueError(
                f"noise has shape {tuple(batch.shape)}, expected [batch, ...], as many numbers in each sample as before"
            )
        dims = batch[0].numel()
        for _ in _measured(plan, model, batch, extra_args, sums):
            done += 1
            if callback is not None:
                callback(done, max(total, done))
    if len(sums.final) < 2:
        raise ValueError(f"got noise for {len(sums.final)} sample(s), expected at least 2; 16 to 64 are good")
    columns = zip(plan.levels, sums.data, sums.noise, strict=False)
    found = tuple(_joined(level, data, of_noise, sums.final, dims) for level, data, of_noise in columns)
    return Statistics(where.name, tuple(sigmas[:-1]), found, dims, len(sums.final), len(plan))


class _Sums:
    """Mean squares over the numbers of each sample, as Python floats: of x0, and at each level of D and of eps."""

    def __init__(self, calls: int) -> None:
        self.final: list[float] = []
        self.data: list[list[float]] = [[] for _ in range(calls)]
        self.noise: list[list[float]] = [[] for _ in range(calls)]


def _measured(
    plan: Plan, model: Model, noise: Tensor, extra_args: Mapping[str, Any] | None, sums: _Sums
) -> Iterator[None]:
    """Runs one batch and yields after each model call; nothing is read back before the end."""
    seen: list[tuple[Tensor, Tensor]] = []
    turns = steps(plan, model, noise * plan.levels[0].sigma, extra_args=extra_args)
    step = next(turns)
    while True:
        # in place of a difference of half-precision numbers
        x, data = step.x.to(work_dtype(step.x)), step.denoised.to(work_dtype(step.x))
        seen.append((_squares(data), _squares((x - step.level.alpha * data) / step.level.sigma)))
        del step, x, data
        yield
        try:
            step = next(turns)
        except StopIteration as end:
            final: Tensor = end.value
            break
    for i, (of_data, of_noise) in enumerate(seen):
        sums.data[i] += _finite(of_data, plan.levels[i])
        sums.noise[i] += _finite(of_noise, plan.levels[i])
    sums.final += _finite(_squares(final.to(work_dtype(final))), plan.levels[-1])


def _squares(x: Tensor) -> Tensor:
    """Mean square of each sample, [B]."""
    return x.flatten(1).square().mean(1)


def _finite(values: Tensor, level: Level) -> list[float]:
    found: list[float] = values.tolist()
    if not all(math.isfinite(value) for value in found):
        raise FloatingPointError(
            f"the model's answers are NaN, infinite or too large to be squared at sigma {level.host:g}; "
            "often float16 overflow: try bfloat16 or float32"
        )
    return found


def _joined(level: Level, data: Sequence[float], noise: Sequence[float], final: Sequence[float], dims: int) -> float:
    """V at a level, from the mean squares of D, of eps and of x0."""
    size = fmean(final)
    by_total = size - fmean(data)
    if math.isinf(level.rho):
        return min(max(by_total, 0.0), size)
    square = level.rho**2
    by_noise = square * (1.0 - fmean(noise))
    # the scatter of both over the samples
    of_noise, of_size = 2.0 * square**2 / dims, variance(final)
    share = of_noise / (of_noise + of_size) if of_size else 1.0
    return min(max(share * by_total + (1.0 - share) * by_noise, 0.0), square, size)
