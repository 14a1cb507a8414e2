"""What a run costs besides the model: latent-sized operations, read-backs, memory. Counted, not timed."""

from __future__ import annotations

import fewstep
import pytest
import torch
from fewstep.samplers.level import Level
from fewstep.samplers.run import Step
from harness import FIXED, make_plan, offered
from meter import SHAPE, Meter, Model

SOLVERS = FIXED
_NOISE = torch.ones(SHAPE)


def _drawn(start: Level, end: Level, like: torch.Tensor) -> torch.Tensor:
    return _NOISE


@pytest.mark.parametrize("id", SOLVERS)
@pytest.mark.parametrize("last", ["regular", "denoise"])
def test_operations_read_backs_and_memory(id: str, last: str) -> None:
    for frame in SOLVERS[id].frames:
        sigmas = fewstep.schedule("sgm_uniform", 12, frame=frame)
        plan = make_plan(id, sigmas, frame, **offered(id, last=last))
        x = torch.ones(SHAPE)
        meter = Meter()
        model = Model(meter)
        spent: list[int] = []

        def report(step: Step, meter: Meter = meter, model: Model = model, spent: list[int] = spent) -> None:
            spent.append(meter.operations - model.own)

        with meter:
            # what drawing the noise costs is the source's; adding it is one operation
            fewstep.run(plan, model, x, callback=report, noise=_drawn)
        spent.append(meter.operations - model.own)
        for i, (call, update) in enumerate(zip(plan.calls, plan.updates, strict=True)):
            allowed = len(update.weights) + 1 + (call.keeps != "data") + (update.noise > 0.0)
            assert spent[i + 1] - spent[i] <= allowed, (id, frame, i)
        assert meter.read_backs == 0
        assert meter.peak <= plan.memory + 2, (id, frame, meter.peak, plan.memory)


def test_the_meter_sees_a_read_back() -> None:
    with Meter() as meter:
        float(torch.ones(3).sum())
    assert meter.read_backs == 1
    with Meter() as meter:
        fewstep.sample(lambda x, s: x, torch.ones(SHAPE), [2.0, 1.0, 0.0], "ddim", check=True)
    assert meter.read_backs == 2
