"""Agreement with published implementations, wherever they compute the same method.

diffusers and k-diffusion run here; of the official DPM-Solver and DEIS code the numbers are recorded (tests/data says
which commit). A comparison is of every coefficient: a `Probe` answers its j-th call with the j-th unit vector, so the
states that it is shown spell out the method, stages included. The live ones also draw one and the same sample.

Not compared, because the methods differ: diffusers' singlestep 3 'midpoint' (its second inner stage has the weight of
2S), 3M with solver_type 'midpoint' or 'dpmsolver' (its start and end are 2M with midpoint weights; ours are exact,
as under 'heun' and 'taylor', and the full steps are compared), diffusers on flow from sigma 1 exactly (its second step
is first order there), and levels at which our guards split a block.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import fewstep
import mpmath as mp
import numpy as np
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS
from fewstep.samplers.level import Frame, Level
from fewstep.samplers.plan import FROM_DATA, Plan

from harness import offered, rms

Tensor = torch.Tensor
Model = Callable[..., Tensor]
#: carries out a published method: (model, x at the first level) -> final latent
Reference = Callable[[Model, Tensor], Tensor]

DATA = Path(__file__).parent / "data"


class Probe:
    """Answers its j-th call, from 1 on, with unit vector j as a prediction of kind `form`, and notes what it was shown."""

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


def ours(plan: Plan) -> Reference:
    return lambda model, x: fewstep.run(plan, model, x)


def form_of(plan: Plan) -> str:
    return plan.calls[0].keeps


def coefficients_differ(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest coefficient of its row (not less than 1)."""
    return float(((ours - theirs).abs().amax(1) / theirs.abs().amax(1).clamp(min=1.0)).max())


def check(plan: Plan, reference: Reference, tolerance: float) -> None:
    """The same calls, the same coefficients, the same sample of a mixture."""
    frame, form = plan.frame, form_of(plan)
    asked, rows = Probe(frame, form, len(plan)).run(ours(plan))
    their_asked, their_rows = Probe(frame, form, len(plan)).run(reference)
    assert len(asked) == len(their_asked) == len(plan)
    np.testing.assert_allclose(asked, their_asked, rtol=tolerance)
    difference = coefficients_differ(rows, their_rows)
    problem = PROBLEMS[3]
    x = problem.start(frame, plan.levels[0].host, 8)
    sample = ours(plan)(problem.model(frame), x)
    of_sample = rms(sample - reference(problem.model(frame), x).as_subclass(torch.Tensor)) / rms(sample)
    print(f"{plan.solver} {dict(plan.options)} {frame.name}: coefficients {difference:.1e}, sample {of_sample:.1e}")
    assert difference <= tolerance, f"{plan}\ncoefficients differ by {difference:.1e}"
    assert of_sample <= tolerance, f"{plan}\nsamples differ by {of_sample:.1e}"


def levels_for(frame: str, schedule: str, n: int, end: str) -> list[float]:
    """Without flow's sigma 1: others have no finite lambda there."""
    if frame == "flow":
        span = np.linspace(0.97, 0.0 if end == "zero" else 0.03, n + 1)
        return [float(3 * u / (1 + 2 * u)) for u in span]
    return fewstep.schedule(schedule, n, frame=frame, end=0 if end == "zero" else "sigma_min")


# --- diffusers 0.42.1 --------------------------------------------------------------------------------------------------


class Double(Tensor):
    """Stays float64: step() of most diffusers schedulers casts the state to float32, which would be all we measure."""

    def to(self, *_: Any, **__: Any) -> Tensor:
        return self


def diffusers_run(name: str, sigmas: Sequence[float], flow: bool = False, **options: Any) -> Reference:
    """A scheduler's step() on our levels. Its own are float32; ours are written over them, and it computes in float64."""
    diffusers = pytest.importorskip("diffusers")
    n = len(sigmas) - 1

    def reference(model: Model, x: Tensor) -> Tensor:
        scheduler = getattr(diffusers, name)(prediction_type="flow_prediction" if flow else "sample", **options)
        scheduler.set_timesteps(n)
        scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64)
        scheduler.set_begin_index(0)
        for sigma, t in zip(sigmas, scheduler.timesteps, strict=False):
            denoised = model(x.as_subclass(torch.Tensor), torch.full((x.shape[0],), sigma, dtype=torch.float64))
            answer = (x - denoised) / sigma if flow else denoised
            (x,) = scheduler.step(answer.as_subclass(Double), t, x.as_subclass(Double), return_dict=False)
        return x

    return reference


DPM_TYPES = {"dpmsolver++": "dpmpp", "dpmsolver": "dpm_solver"}
#: what diffusers warns of, and nothing else
pytestmark = [
    pytest.mark.filterwarnings("ignore:`algorithm_types?.dpmsolver.* deprecated:FutureWarning"),
    # it calls numpy on tensors, by an interface that numpy 2 is giving up
    pytest.mark.filterwarnings("ignore:__array_.*:DeprecationWarning:diffusers"),
]


@pytest.mark.parametrize("end", ["zero", "sigma_min"])
@pytest.mark.parametrize(("frame", "schedule"), [("vp", "karras"), ("flow", "")])
@pytest.mark.parametrize("algorithm", DPM_TYPES)
def test_diffusers_multistep(algorithm: str, frame: str, schedule: str, end: str) -> None:
    if algorithm == "dpmsolver" and (end == "zero" or frame == "flow"):
        return  # refused by diffusers: its noise form has no step to 0, and no flow prediction
    stem = DPM_TYPES[algorithm]
    methods = [
        (1, "midpoint", f"{stem}_1s", ""),
        (2, "midpoint", f"{stem}_2m", "paper"),
        (2, "heun", f"{stem}_2m", "taylor"),
        (3, "heun", f"{stem}_3m", "official"),
    ]
    for order, kind, id, variant in methods:
        for n in (2, 7, 16):
            for lower in (True, False):
                sigmas = levels_for(frame, schedule, n, end)
                # their rule for lower orders at the end holds below 15 steps
                options = offered(id, variant=variant, final="on" if lower and n < 15 else "off", last="denoise")
                theirs = diffusers_run(
                    "DPMSolverMultistepScheduler", sigmas, frame == "flow", algorithm_type=algorithm, solver_order=order,
                    solver_type=kind, lower_order_final=lower, final_sigmas_type=end, use_flow_sigmas=frame == "flow",
                )  # fmt: skip
                check(fewstep.plan(id, sigmas, frame, **options), theirs, 1e-12)
