"""A plan as tensors and JSON values, to the bit: what a file of plans holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .level import Frame, Level
from .plan import Call, Plan

Tensor = torch.Tensor


def plan_tensors(plan: Plan) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(float64 tensors, JSON values) of a plan.

    levels [n+1, 5], at and target [n, 5]: alpha, sigma, lambda, rho, host;  scale, noise [n];  weights [n, k], filled
    up with zeros; `counts` says how many are meant.
    """
    calls = plan.calls
    width = max(len(call.weights) for call in calls)
    numbers: dict[str, Sequence[Any]] = {
        "levels": plan.levels,
        "at": [call.level for call in calls],
        "target": [call.target for call in calls],
        "scale": [call.scale for call in calls],
        "noise": [call.noise for call in calls],
        "weights": [[*call.weights, *[0.0] * (width - len(call.weights))] for call in calls],
    }
    texts = {
        "solver": plan.solver,
        "order": plan.order,
        "options": dict(plan.options),
        "reference": plan.reference,
        "notes": list(plan.notes),
        "counts": [len(call.weights) for call in calls],
        "calls": [[call.keeps, call.closes, call.form, call.clock, call.exact_degree] for call in calls],
    }
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}, texts


def plan_of_tensors(tensors: Mapping[str, Tensor], texts: Mapping[str, Any], frame: Frame) -> Plan:
    """The plan again; it checks itself. Raises ValueError, KeyError or TypeError for what is no plan."""
    lists = {name: tensor.tolist() for name, tensor in tensors.items()}
    calls = []
    columns = (lists["at"], lists["target"], lists["scale"], lists["noise"], lists["weights"])
    for at, target, scale, noise, weights, count, words in zip(*columns, texts["counts"], texts["calls"], strict=True):
        keeps, closes, form, clock, degree = words
        kept = tuple(weights[:count])
        calls.append(Call(Level(*at), Level(*target), keeps, scale, kept, closes, form, clock, degree, noise))
    return Plan(
        solver=texts["solver"],
        frame=frame,
        levels=tuple(Level(*row) for row in lists["levels"]),
        calls=tuple(calls),
        order=texts["order"],
        options=texts["options"],
        reference=texts["reference"],
        notes=tuple(texts["notes"]),
    )
