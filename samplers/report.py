"""A plan as plain values: in full for machines, and in outline for drawings."""

from __future__ import annotations

import math
from typing import Any

from .level import Level
from .plan import Plan


def record(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values; an infinite lambda or rho is null."""
    return {
        "solver": plan.solver,
        "frame": plan.frame.name,
        "order": plan.order,
        "options": dict(plan.options),
        "reference": plan.reference,
        "notes": list(plan.notes),
        "memory": plan.memory,
        "sigmas": [level.host for level in plan.levels],
        "calls": [
            {
                "level": _level(call.level),
                "target": _level(call.target),
                "keeps": call.keeps,
                "form": call.form,
                "clock": call.clock,
                "exact_degree": call.exact_degree,
                "closes": call.closes,
                "scale": call.scale,
                "weights": list(call.weights),
                "noise": call.added,
            }
            for call in plan
        ],
    }


def _level(level: Level) -> dict[str, float | None]:
    return {name: finite(value) for name, value in level._asdict().items()}


def finite(value: float) -> float | None:
    """The number for JSON, which has none that are infinite or NaN."""
    return value if math.isfinite(value) else None


def outline(plan: Plan) -> dict[str, Any]:
    """What a drawing of a plan needs, as JSON values in columns of one entry per call.

    sigma, to_sigma  host sigmas where the model is asked and where the update ends
    lam, to_lam      the same in lambda; null where it is infinite (flow sigma 1: -inf, sigma 0: +inf)
    order_of         local order of each update: at most the method's, and no more than the predictions that it combines
    stage            whether the call is inside a step
    """
    calls = plan.calls
    return {
        "solver": plan.solver,
        "frame": plan.frame.name,
        "order": plan.order,
        "options": dict(plan.options),
        "notes": list(plan.notes),
        "sigma": [call.level.host for call in calls],
        "to_sigma": [call.target.host for call in calls],
        "lam": [finite(call.level.lam) for call in calls],
        "to_lam": [finite(call.target.lam) for call in calls],
        "order_of": list(plan.call_orders),
        "stage": [not plan.opens(i) for i in range(len(calls))],
    }
