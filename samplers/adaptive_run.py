"""What all adaptive solvers share: what a run tells of itself, its calls counted up to a cap, and how it may end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch

from .level import Frame, Level
from .methods.embedded import end_step
from .plan import Plan
from .run import Memory, Model, steps
from .solver_row import Solver

Tensor = torch.Tensor


@dataclass(frozen=True)
class Attempt:
    """One step that was tried.

    i           its number, from 0
    start, end  the levels
    errors      E of each sample, 1 being what the tolerance allows it; empty where the step has no choice: to sigma 0,
                and from flow sigma 1 where steps are chosen in lambda
    accepted    whether the run went on from `end`; otherwise it tries again from `start`
    calls       model calls made so far
    progress    how much of the way is done, 0..1: in lambda, or in sigma by rk45 on flow
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


#: what to do about NaN, at the end of every message
OVERFLOW = "often float16 overflow in the model: try bfloat16 or float32, or a lower guidance scale"


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


class Run(ABC):
    """A run underway: the state, its level, and what was tried. A kind of run says in `turns` how it takes its steps.

    atol_per_rtol  what a negative atol stands for, as a multiple of rtol, so that rtol alone is the tolerance
    """

    atol_per_rtol: ClassVar[float]

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

    @abstractmethod
    def turns(self, levels: Sequence[Level]) -> Generator[Turn, None, None]:
        """From levels[0] to levels[-1]; a Turn for each attempt."""

    def end(self, target: Level, order: int) -> Generator[Turn, None, None]:
        """The one step of an interval over which nothing is controlled, of that order unless it is x = D."""
        plan = end_step(self.row.id, self.frame, self.at, target, order, str(self.options["last"]))
        out, denoised = self.carry_out(plan, Memory())
        yield self.tried(target, (), True, denoised)
        self.x, self.at = out, target

    def carry_out(self, plan: Plan, memory: Memory) -> tuple[Tensor, Tensor]:
        """(the state after the plan, the model's answer to its first call); fills the memory."""
        self.afford(len(plan) - (self.asked.known is not None))
        turns = steps(plan, self.asked, self.x, extra_args=self.arguments, history=memory)
        denoised = next(turns).denoised
        try:
            while True:
                next(turns)
        except StopIteration as over:
            return over.value, denoised

    def afford(self, calls: int) -> None:
        """NotConvergedError where so many calls more would be more than max_calls."""
        if self.asked.calls + calls > self.most:
            raise NotConvergedError(
                f"{self.row.id} has made {self.asked.calls} of at most {self.most} model calls and is at sigma "
                f"{self.at.host:g}, {100.0 * self.progress:.0f} % of the way; raise max_calls or rtol (the state so "
                "far is in this error's `result`)",
                self.result,
            )

    def no_step(self, width: str, error: float) -> NotConvergedError:
        """What to raise where not even a step of that width is within the tolerance."""
        return NotConvergedError(
            f"{self.row.id} found no step from sigma {self.at.host:g} within its tolerance: even one of {width} had "
            f"{error:.1e} times the error that rtol {self.options['rtol']:g} and atol {self.options['atol']:g} allow; "
            "raise them, or look for a model that answers at random or in low precision",
            self.result,
        )

    def tried(self, end: Level, errors: tuple[float, ...], accepted: bool, denoised: Tensor) -> Turn:
        attempt = Attempt(len(self.attempts), self.at, end, errors, accepted, self.asked.calls, self.progress)
        self.attempts.append(attempt)
        return Turn(attempt, self.x, denoised)
