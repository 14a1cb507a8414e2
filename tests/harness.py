"""What several test files share: exact histories, runs, slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import fewstep
import torch
from fewstep.benchmarks.problems import Mixture
from fewstep.samplers.judgement import Gain
from fewstep.samplers.level import Frame
from fewstep.samplers.plan import FROM_DATA, Plan
from fewstep.samplers.profile import Entry, Profile
from fewstep.samplers.run import steps
from fewstep.samplers.statistics import Statistics
from fewstep.samplers.task import Task
from fewstep.samplers.times import sigma_range

Tensor = torch.Tensor
#: the solvers that have a plan; tests/test_adaptive.py has the others
FIXED = {id: row for id, row in fewstep.solvers().items() if not row.adaptive}

#: those that are built from statistics of the model; they add noise and have no eta
MEASURED = [id for id, row in FIXED.items() if any(option.name == "statistics" for option in row.options)]


def rms(x: Tensor) -> float:
    return float(x.pow(2).mean().sqrt())


def finish(turns: Any) -> Tensor:
    """Exhausts a run and returns its latent."""
    while True:
        try:
            next(turns)
        except StopIteration as end:
            return end.value


def solve(problem: Mixture, plan: Plan, x: Tensor) -> Tensor:
    return fewstep.run(plan, problem.model(plan.frame), x)


def solve_with_exact_history(problem: Mixture, plan: Plan, exact: Sequence[Tensor]) -> Tensor:
    """Starts where the method has its full history, with predictions from the exact states exact[0], exact[1], ..."""
    begin = len(exact) - 1
    history = []
    for call, state in zip(plan.calls[:begin], exact, strict=False):
        on_x, on_data = FROM_DATA[call.keeps](call.level)
        history.insert(0, on_x * state + on_data * problem.denoise(state, call.level.alpha, call.level.sigma))
    return finish(steps(plan, problem.model(plan.frame), exact[-1], begin=begin, history=history))


def slope(coarse: float, fine: float, factor: float = 2.0) -> float:
    return math.log(coarse / fine) / math.log(factor)


def exact_statistics(frame: str | Frame, data: float = 0.5) -> Statistics:
    """Of a model of Gaussian data of that standard deviation."""
    where = fewstep.frame(frame)
    levels = [where.level(sigma) for sigma in (0.999, 0.5, 0.01)]
    variances = [data**2 * each.sigma**2 / (each.alpha**2 * data**2 + each.sigma**2) for each in levels]
    return Statistics(where.name, tuple(each.host for each in levels), tuple(variances), 1)


def made_profile(frame: str, calls: Sequence[int] = (5, 7), identity: str = "") -> Profile:
    """A profile over the whole range of the frame's own time map, of a published plan on levels that no host gives."""
    where = fewstep.frame(frame)
    low, high = sigma_range(where.time)
    made = Profile.begun(Task(where, high, low, tuple(calls)), identity, "of a test")
    id, levels = {"flow": ("flow_ab2", "beta")}.get(frame, ("dpm_solver_2m", "exponential"))
    for n in calls:
        sigmas = fewstep.schedule(levels, n, frame=where)
        plan = fewstep.plan(id, sigmas, where)
        made = made.with_entry(Entry(plan, True, "ddim karras", 0.1, 0.2, Gain(0.5, 0.4, 0.6), 0.0))
    return made


def measured(id: str, frame: str | Frame = "ve") -> dict[str, Any]:
    """The statistics without which some solvers cannot be built, as options."""
    return {"statistics": exact_statistics(frame)} if id in MEASURED else {}


def named(id: str, frame: str = "ve") -> dict[str, Any]:
    """The same by the names that tests/conftest.py saves them under, as doors are given them."""
    return {"statistics": "flow" if frame == "flow" else "ve"} if id in MEASURED else {}


def make_plan(id: str, sigmas: Any, frame: str | Frame = "ve", **options: Any) -> Plan:
    """`fewstep.plan`, with statistics where a solver needs them."""
    return fewstep.plan(id, sigmas, frame, **{**measured(id, frame), **options})


def offered(id: str, **options: Any) -> dict[str, Any]:
    """Those of the options that a solver has. With noise the step to sigma 0 has no order to keep: there eta is 0."""
    row = fewstep.solvers()[id]
    if row.stochastic and options.get("last") == "regular":
        options["eta"] = 0.0
    names = {option.name for option in row.options}
    return {name: value for name, value in options.items() if name in names}


def still(id: str, frame: str) -> dict[str, Any]:
    """Options with which a solver draws no noise, as doors are given them: theirs comes from different sources."""
    return {**named(id, frame), **offered(id, eta=0.0), **({"s_noise": 0.0} if id in MEASURED else {})}
