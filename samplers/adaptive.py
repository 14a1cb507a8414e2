"""Adaptive solvers: as many steps as a tolerance asks for, chosen while running.

`attempts` and `adaptive` check what they are given and start the kind of run that the solver's row names: steps in
lambda by embedded pairs (`pair_run.py`), or a library's ODE solver (`rk45.py`). What all of them share, and what a run
tells, is in `adaptive_run.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import torch

from .adaptive_run import OVERFLOW, Attempt, NotConvergedError, Result, Run, Turn
from .level import Frame, Level, read_levels
from .level import frame as make_frame
from .pair_run import PairRun
from .rk45 import RK45Run
from .run import Model
from .solver_options import Situation, resolved
from .solvers import Solver, check
from .solvers import solver as find_solver
from .times import TimeMap

__all__ = ["RUNS", "Attempt", "NotConvergedError", "Result", "Turn", "adaptive", "attempts"]

Tensor = torch.Tensor

#: what `Solver.adaptive_run` may name
RUNS: dict[str, type[Run]] = {"pair": PairRun, "rk45": RK45Run}


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
    kind, checked = RUNS[row.adaptive_run], check(row, where, options)
    levels = read_levels(sigmas, where)
    if checked["atol"] < 0.0:
        checked["atol"] = kind.atol_per_rtol * checked["rtol"]
    if not (checked["atol"] or checked["rtol"]):
        raise ValueError(f"{row.id}: rtol and atol are both 0, which no step can meet; raise one of them")
    zero = levels[-1].sigma == 0.0
    settled = resolved(checked, Situation(where, row.form, len(levels) - 1, zero))
    return _attempts(kind(row, where, model, x, levels[0], settled, extra_args), levels)


def _attempts(run: Run, levels: Sequence[Level]) -> Generator[Turn, None, Result]:
    yield from run.turns(levels)
    if not bool(torch.isfinite(run.x).all()):
        raise FloatingPointError(f"{run.row.id} ended in NaN or inf after {run.asked.calls} model calls; {OVERFLOW}")
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

    sigmas    strictly decreasing. Steps are chosen between the first and the last level where the solver's own variable
              is finite: lambda, or the host's sigma for rk45; the levels between these two do not matter. The interval
              to sigma 0, and in lambda the one from flow sigma 1, are one step each, over which nothing is controlled
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
