"""Where the user's model leads: a run of many calls, and whether it has converged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from .noise_range import NoiseRange
from .plan import Plan
from .samples import Samples, Work, rms
from .solvers import plan as published_plan

#: frame -> solver, its options and schedule: of third order to the end on exact problems
_TEACHERS: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "ve": ("dpm_solver_3m", {}, "karras"),
    "vp": ("dpm_solver_3m", {}, "karras"),
    "flow": ("flow_ab3", {}, "sgm_uniform"),
}


#: another solver and other levels, which share no fault with these but the model's own
_CHECKS: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "ve": ("dpmpp_3m", {}, "exponential"),
    "vp": ("dpmpp_3m", {}, "exponential"),
    "flow": ("deis_rhork_kutta3", {}, "beta"),
}


def teacher_plan(where: NoiseRange, calls: int, last: str = "auto") -> Plan:
    """The plan of the converged run; `last` is the solver's option of that name."""
    return _plan(_TEACHERS, where, calls, last)


def check_plan(where: NoiseRange, calls: int, last: str = "auto") -> Plan:
    """The plan of a run by another method that should end where the teacher does."""
    return _plan(_CHECKS, where, calls, last)


def _plan(table: Mapping[str, tuple[str, Mapping[str, Any], str]], where: NoiseRange, calls: int, last: str) -> Plan:
    solver, options, id = table[where.frame.name]
    return published_plan(solver, where.sigmas(id, calls), where.frame, last=last, **options)


@dataclass(frozen=True)
class Converged:
    """How far a teacher is from its limit: the median distance between its ends and those of a plan of half the calls.

    With an order above 1 the teacher's own error is at most that distance.
    """

    distance: float
    calls: int

    #: the teacher's error may be this share of the error that is judged by it
    SHARE = 0.25

    def enough_for(self, error: float) -> bool:
        """Whether errors of this size can be judged by it."""
        return self.distance <= self.SHARE * error


def taught(samples: Samples, plan: Plan) -> Work[Samples]:
    """The samples with their ends. FloatingPointError if one is not finite."""
    ends = yield from samples.run(plan)
    if not bool(torch.isfinite(ends).all()):
        raise FloatingPointError(
            f"the teacher ({plan.solver}, {len(plan)} calls) ended in NaN or inf; often float16 overflow in the model: "
            "try bfloat16 or float32, or a lower guidance scale"
        )
    return replace(samples, ends=ends)


def convergence(samples: Samples, coarse: Plan) -> Work[Converged]:
    """Compares the ends that samples have with those of a plan of half the calls."""
    assert samples.ends is not None
    ends = yield from samples.run(coarse)
    return Converged(rms(ends, samples.ends).median().item(), len(coarse))
