"""A model that spells out a method: what the agreement tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import fewstep
import torch
from fewstep.samplers.level import Frame
from fewstep.samplers.plan import FROM_DATA, Plan
from harness import offered

Tensor = torch.Tensor
Model = Callable[..., Tensor]
#: carries out a published method: (model, x at the first level) -> final latent
Reference = Callable[[Model, Tensor], Tensor]

#: Both sides compute in float64: coefficients differ by up to 4e-15 of the largest in their row (measured), and samples
#: by 7e-14, since the dynamics amplify; ten times more is allowed them.
CLOSE = 1e-13


class Probe:
    """Answers its j-th call, from 1 on, with unit vector j as a prediction of kind `form`; notes what it saw."""

    def __init__(self, frame: Frame, form: str, calls: int) -> None:
        self.frame, self.form = frame, form
        self.start = torch.eye(calls + 1, dtype=torch.float64)[:1]  # the state begins as unit vector 0
        self.asked: list[float] = []
        self.states: list[Tensor] = []

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        x = x.as_subclass(torch.Tensor)
        self.asked.append(float(sigma.flatten()[0]))
        self.states.append(x[0].clone())
        answer = torch.zeros_like(x)
        answer[0, len(self.asked)] = 1.0
        on_x, on_data = FROM_DATA[self.form](self.frame.level(self.asked[-1]))
        return (answer - on_x * x) / on_data

    def run(self, reference: Reference) -> tuple[list[float], Tensor]:
        """(sigmas asked at, rows of coefficients: the state at every call, then the result)."""
        final = reference(self, self.start).as_subclass(torch.Tensor)
        return self.asked, torch.stack([*self.states, final[0]])


def make(id: str, sigmas: Sequence[float], frame: str | Frame, **options: Any) -> Plan:
    """A plan begun as all of them begin, with orders 1, 2, ...; full order to the end unless asked otherwise."""
    return fewstep.plan(id, sigmas, frame, **offered(id, **{"start": "euler", "final": "off", **options}))


def ours(plan: Plan) -> Reference:
    return lambda model, x: fewstep.run(plan, model, x)


def form_of(plan: Plan) -> str:
    return plan.calls[0].keeps


def coefficients_differ(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest coefficient of its row (not less than 1)."""
    return float(((ours - theirs).abs().amax(1) / theirs.abs().amax(1).clamp(min=1.0)).max())
