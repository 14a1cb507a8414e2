"""Adaptive solvers: steps in lambda as long as a tolerance allows, chosen while running.

A step is tried with an embedded pair (`methods/embedded.py`) at `order` model calls. The error of a sample is

    E = RMS over its numbers of (x_high - x_low)/delta
    delta = max(atol, rtol max(|x_low|, |x_low of the step before|))

and the largest E of the batch decides: the batch shares its steps, and a step counts only if every sample passes. So
a sample may depend on its batch mates, within the tolerance, and is never held to less than it would be alone. (The
official code decides so too; k-diffusion takes the mean over the batch, where easy samples hide a hard one.)

The run goes on with x_high. After a rejection the answer at the start of the step is used again: another attempt costs
order - 1 calls. Each attempt reads back once, since the next step depends on it; the result is looked at once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from .level import Frame, Level, read_levels
from .level import frame as make_frame
from .methods.embedded import Pair, end_step, pair
from .plan import Plan
from .run import Memory, Model, steps
from .solver_options import Situation, resolved
from .solvers import Solver, check
from .solvers import solver as find_solver
from .times import TimeMap

Tensor = torch.Tensor


# --- what a run tells ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """One step that was tried.

    i           its number, from 0
    start, end  the levels
    errors      E of each sample; empty where the step has no choice: from flow sigma 1 and to sigma 0
    accepted    whether the run went on from `end`; otherwise it tries again from `start`
    calls       model calls made so far
    progress    how much of the way in lambda is done, 0..1
    """

    i: int
    start: Level
    end: Level
    errors: tuple[float, ...]
    accepted: bool
    calls: int
    progress: float

    @property
    def h(self) -> float:
        """Width in lambda; infinite for the steps from flow sigma 1 and to sigma 0."""
        return self.end.lam - self.start.lam


class Turn(NamedTuple):
    """What a run shows after each attempt: the attempt, the state at its start, and the model's answer there."""

    attempt: Attempt
    x: Tensor
    denoised: Tensor


@dataclass(frozen=True)
class Result:
    """The latent, and how it came about. x is at the last level, except in a `NotConvergedError`: there at `level`."""

    x: Tensor
    level: Level
    attempts: tuple[Attempt, ...]
    calls: int

    @property
    def accepted(self) -> int:
        """Steps taken."""
        return sum(each.accepted for each in self.attempts)

    @property
    def rejected(self) -> int:
        """Steps tried in vain."""
        return len(self.attempts) - self.accepted


class NotConvergedError(RuntimeError):
    """A run that stopped before its last level: too many calls, or no step small enough. `result` is how far it got."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


# --- controllers -----------------------------------------------------------------------------------------------------


def _papers(error: float, order: int, safety: float) -> tuple[float, bool]:
    """arXiv 2206.00927, section 3.4, and the official dpm_solver_pytorch.py, lines 956-1010."""
    return (safety * error ** (-1.0 / order) if error else math.inf), error <= 1.0


def _k_diffusion(error: float, order: int, safety: float) -> tuple[float, bool]:
    """k-diffusion's sampling.py, lines 304-330, with its default gains: a limited factor, and errors up to 1.5-1.9."""
    factor = 1.0 + math.atan((error + 1e-8) ** (-1.0 / order) - 1.0)
    return factor, factor >= 0.81


#: name -> (error, order, safety) -> (factor on the step, whether it is accepted)
CONTROLLERS: dict[str, Callable[[float, int, float], tuple[float, bool]]] = {
    "papers": _papers,
    "k_diffusion": _k_diffusion,
}

#: The published atol 0.0078 at the published rtol 0.05. A negative atol keeps this ratio, so that rtol alone is the
#: tolerance: with a fixed atol the error of latents of size 1 would stop falling at rtol 0.0078.
ATOL_PER_RTOL = 0.0078 / 0.05
#: in lambda; models are asked in float32, which cannot tell levels apart that are nearer
_SHORTEST = 1e-6
#: a step that would leave less than this share of itself goes to the end
_REST = 1e-3


# --- running ---------------------------------------------------------------------------------------------------------


class _Asked:
    """The model with its calls counted. A `known` answer is given in the place of the next call, once."""

    def __init__(self, model: Model, frame: Frame) -> None:
        self.model, self.calls = model, 0
        self.known: Tensor | None = None
        self.fewstep_frame = getattr(model, "fewstep_frame", frame.name)

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args: Any) -> Any:
        if self.known is not None:
            answer, self.known = self.known, None
            return answer
        self.calls += 1
        return self.model(x, sigma, **extra_args)


class _Run:
    """A run underway: the state, its level, and what was tried."""

    def __init__(
        self, row: Solver, frame: Frame, model: Model, x: Tensor, at: Level, options: Mapping[str, Any], arguments: Any
    ) -> None:
        self.row, self.frame, self.x, self.at, self.options, self.arguments = row, frame, x, at, options, arguments
        self.asked = _Asked(model, frame)
        self.most = int(options["max_calls"])
        self.attempts: list[Attempt] = []
        self.progress = 0.0

    @property
    def result(self) -> Result:
        return Result(self.x, self.at, tuple(self.attempts), self.asked.calls)

    def end(self, target: Level) -> Generator[Turn, None, None]:
        """The one step of an interval with an end at infinite lambda."""
        plan = end_step(self.row.id, self.frame, self.at, target, self.row.order, str(self.options["last"]))
        out, denoised = self._carry_out(plan, Memory())
        yield self._tried(target, (), True, denoised)
        self.x, self.at = out, target

    def between(self, stop: Level) -> Generator[Turn, None, None]:
        """From here to `stop` in as many steps as the tolerance takes."""
        start, order = self.at, self.row.order
        control, safety = CONTROLLERS[self.options["controller"]], self.options["safety"]
        h, previous = float(self.options["h_init"]), self.x
        while self.at != stop:
            rest = stop.lam - self.at.lam
            target = stop if rest <= h * (1.0 + _REST) else self.frame.level_at_lam(self.at.lam + h)
            tried = pair(self.row.id, self.frame, self.at, target, self.row.form, order)
            memory = Memory()
            high, denoised = self._carry_out(tried.plan, memory)
            low, errors = self._errors(tried, memory, high, previous)
            del memory
            factor, accepted = control(max(errors, default=0.0), order, safety)
            if accepted:
                self.progress = (target.lam - start.lam) / (stop.lam - start.lam)
            yield self._tried(target, errors, accepted, denoised)
            h = factor * (target.lam - self.at.lam)
            if accepted:
                self.x, self.at, previous = high, target, low
            else:
                self.asked.known = denoised  # the next attempt starts where this one did
                if h < _SHORTEST:
                    raise NotConvergedError(
                        f"{self.row.id} found no step from sigma {self.at.host:g} within its tolerance: even one of "
                        f"{target.lam - self.at.lam:.1e} in lambda had {max(errors):.1e} times the error that rtol "
                        f"{self.options['rtol']:g} and atol {self.options['atol']:g} allow; raise them, or look for a "
                        "model that answers at random or in low precision",
                        self.result,
                    )

    def _carry_out(self, plan: Plan, memory: Memory) -> tuple[Tensor, Tensor]:
        """(the state after the plan, the model's answer to its first call); fills the memory."""
        if self.asked.calls + len(plan) - (self.asked.known is not None) > self.most:
            raise NotConvergedError(
                f"{self.row.id} has made {self.asked.calls} of at most {self.most} model calls and is at sigma "
                f"{self.at.host:g}, {100.0 * self.progress:.0f} % of the way in lambda; raise max_calls or rtol (the "
                "state so far is in this error's `result`)",
                self.result,
            )
        turns = steps(plan, self.asked, self.x, extra_args=self.arguments, history=memory)
        denoised = next(turns).denoised
        try:
            while True:
                next(turns)
        except StopIteration as over:
            return over.value, denoised

    def _errors(self, tried: Pair, memory: Memory, high: Tensor, previous: Tensor) -> tuple[Tensor, tuple[float, ...]]:
        """(x_low, E of each sample). Raises FloatingPointError for NaN and inf."""
        fine = torch.promote_types(high.dtype, torch.float32)
        with torch.no_grad():
            difference = self.x.to(fine) * tried.on_anchor
            for weight, (prediction, factor) in zip(tried.on_predictions, memory, strict=True):
                difference.add_(prediction.to(fine), alpha=weight * factor)
            low = high.to(fine) - difference
            delta = torch.maximum(low.abs(), previous.to(fine).abs()).mul_(self.options["rtol"])
            # not 0, so that an error of 0 is 0 everywhere
            delta.clamp_(min=max(self.options["atol"], torch.finfo(fine).tiny))
            scaled = (difference / delta).reshape(len(high), math.prod(high.shape[1:]))
            errors = tuple(scaled.square_().mean(dim=1).sqrt_().tolist())
            if not all(map(math.isfinite, errors)) and not bool(torch.isfinite(low).all()):
                raise FloatingPointError(
                    f"{self.row.id} met NaN or inf between sigma {tried.plan.levels[0].host:g} and "
                    f"{tried.plan.levels[1].host:g}, by model call {self.asked.calls}; often float16 overflow in the "
                    "model: try bfloat16 or float32, or a lower guidance scale"
                )
        return low, errors

    def _tried(self, end: Level, errors: tuple[float, ...], accepted: bool, denoised: Tensor) -> Turn:
        attempt = Attempt(len(self.attempts), self.at, end, errors, accepted, self.asked.calls, self.progress)
        self.attempts.append(attempt)
        return Turn(attempt, self.x, denoised)


def attempts(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    solver: str | Solver = "dpm_solver_23",
    frame: str | Frame = "ve",
    extra_args: Mapping[str, Any] | None = None,
    *,
    time: str | TimeMap | Sequence[float] | None = None,
    **options: Any,
) -> Generator[Turn, None, Result]:
    """Yields a `Turn` after each attempt; the generator's return value is the `Result`. See `adaptive`.

    What is wrong with the arguments is raised here, before the generator starts.
    """
    row, where = find_solver(solver), make_frame(frame, time)
    if not row.adaptive:
        raise ValueError(f"{row.id} has fixed steps; use fewstep.sample, or fewstep.plan and fewstep.run")
    checked = check(row, where, options)
    levels = read_levels(sigmas, where)
    if checked["atol"] < 0.0:
        checked["atol"] = ATOL_PER_RTOL * checked["rtol"]
    if not (checked["atol"] or checked["rtol"]):
        raise ValueError(f"{row.id}: rtol and atol are both 0, which no step can meet; raise one of them")
    zero = levels[-1].sigma == 0.0
    settled = resolved(checked, Situation(where, row.form, len(levels) - 1, zero))
    return _attempts(_Run(row, where, model, x, levels[0], settled, extra_args), levels)


def _attempts(run: _Run, levels: Sequence[Level]) -> Generator[Turn, None, Result]:
    finite = [level for level in levels if math.isfinite(level.lam)]
    if levels[0].alpha == 0.0:
        yield from run.end(levels[1])
    if len(finite) > 1:
        yield from run.between(finite[-1])
    if run.at != levels[-1]:
        yield from run.end(levels[-1])
    if not bool(torch.isfinite(run.x).all()):
        raise FloatingPointError(
            f"{run.row.id} ended in NaN or inf after {run.asked.calls} model calls; often float16 overflow in the "
            "model: try bfloat16 or float32, or a lower guidance scale"
        )
    return run.result


def adaptive(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    solver: str | Solver = "dpm_solver_23",
    frame: str | Frame = "ve",
    callback: Callable[[Turn], object] | None = None,
    extra_args: Mapping[str, Any] | None = None,
    *,
    time: str | TimeMap | Sequence[float] | None = None,
    **options: Any,
) -> Result:
    """Samples from `x` at sigmas[0] to sigmas[-1] by an adaptive solver, and reports the steps that it took.

    sigmas    strictly decreasing. Steps are chosen in lambda between the first and the last level where lambda is
              finite; the levels between these two do not matter. The interval from flow sigma 1 and the one to sigma 0
              are one step each, of the method's order, over which nothing is controlled
    callback  called after each attempt with a `Turn`: the attempt, the state at its start, the model's answer there
    options   those of the solver's row

    Raises ValueError for bad arguments before the first model call, FloatingPointError at the first attempt with NaN or
    inf, and NotConvergedError where max_calls or the shortest step is reached; never more than max_calls calls.
    """
    turns = attempts(model, x, sigmas, solver, frame, extra_args, time=time, **options)
    del x
    try:
        while True:
            turn = next(turns)
            if callback is not None:
                callback(turn)
    except StopIteration as over:
        result: Result = over.value
        return result
