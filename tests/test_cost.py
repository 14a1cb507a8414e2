"""What a run costs besides the model: latent-sized operations, read-backs, memory. Counted, not timed."""

from __future__ import annotations

import fewstep
import pytest
import torch
from fewstep.benchmarks.meter import Meter, placed
from fewstep.samplers.level import Level
from fewstep.samplers.run import Step
from harness import FIXED, make_plan, offered
from meter import LATENT, SHAPE, Model

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
        meter = Meter(LATENT)
        model = Model(meter)
        spent: list[int] = []

        def report(step: Step, meter: Meter = meter, spent: list[int] = spent) -> None:
            spent.append(meter.operations)

        with meter:
            # what drawing the noise costs is the source's; adding it is one operation
            fewstep.run(plan, model, meter.place(torch.ones(SHAPE)), callback=report, noise=_drawn)
        spent.append(meter.operations)
        for i, (call, update) in enumerate(zip(plan.calls, plan.updates, strict=True)):
            allowed = len(update.weights) + 1 + (call.keeps != "data") + (update.noise > 0.0)
            assert spent[i + 1] - spent[i] <= allowed, (id, frame, i)
        assert meter.read_backs == 0
        assert meter.peak <= plan.memory + 2, (id, frame, meter.peak, plan.memory)


def test_the_meter_sees_what_goes_to_the_host() -> None:
    meter = Meter(LATENT)
    with meter:
        there = meter.place(torch.ones(3))
        float(there.sum())
        if there[0] > 0.0:
            there = there + torch.tensor([1.0, 2.0, 3.0], device=there.device)
        assert meter.read_backs == 2
        here = there.cpu()
        here.tolist()
        float(torch.ones(3).to("cpu")[1])  # never was anywhere else
        assert placed(torch.ones(3, device="cuda"))
        assert placed(torch.ones(3).to(torch.device("cuda")))
    assert meter.read_backs == 3
    assert placed(there)
    assert not placed(here)
    with Meter(LATENT) as meter:
        fewstep.sample(lambda x, s: x, meter.place(torch.ones(SHAPE)), [2.0, 1.0, 0.0], "ddim", check=True)
    assert meter.read_backs == 2


def test_the_meter_sees_traffic_and_memory() -> None:
    meter = Meter(LATENT)
    x, y = meter.place(torch.ones(SHAPE)), meter.place(torch.ones(SHAPE))
    with meter:
        z = x + y * 2.0  # reads y, writes the product; reads both, writes the sum
        assert (meter.reads, meter.writes, meter.operations, meter.alive, meter.peak) == (3.0, 2.0, 2, 3.0, 4.0)
        torch.add(z, x, alpha=2.0, out=z)
        z.mul_(z)  # one tensor, read once
        assert (meter.reads, meter.writes, meter.alive) == (6.0, 4.0, 3.0)
        part = z.view(-1)[: LATENT // 2]  # a view is no traffic, and keeps what it shows
        del z
        assert (meter.reads, meter.writes, meter.alive) == (6.0, 4.0, 3.0)
        x.copy_(y)  # what is overwritten is not read
        torch.stack([x, y])
        assert (meter.reads, meter.writes, meter.peak) == (9.0, 7.0, 5.0)
        part.sum()  # below a latent nothing counts
        with meter.paused():
            y.clone()
        assert (meter.reads, meter.writes) == (9.0, 7.0)
        del part
    assert meter.alive == 2.0
