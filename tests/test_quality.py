"""What the benchmark of sample quality rests on: the Fréchet distance, the Brownian path, the two endings."""

from __future__ import annotations

import math

import fewstep
import torch
from fewstep.benchmarks.frechet import frechet, frechet_of_moments
from fewstep.benchmarks.quality import BrownianPath, Setting, drawn, teacher_plans


def test_frechet_of_gaussians_that_commute() -> None:
    """Diagonal covariances: |mean difference|^2 + sum (sqrt a - sqrt b)^2."""
    a, b = torch.tensor([1.0, 4.0, 0.25]).double(), torch.tensor([9.0, 1.0, 0.0]).double()
    mean = torch.tensor([1.0, -2.0, 0.0]).double()
    found = frechet_of_moments(mean, a.diag(), torch.zeros(3).double(), b.diag())
    assert math.isclose(found, 5.0 + 4.0 + 1.0 + 0.25, rel_tol=1e-12)  # rounding of float64


def test_frechet_sees_a_shift_and_nothing_else() -> None:
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(frechet(features, features)) < 1e-12  # rounding: two traces of 5 that cancel
    assert math.isclose(frechet(features + 0.5, features), 5 * 0.25, rel_tol=1e-9)


def test_steps_of_a_path_add_up() -> None:
    """sqrt(u) times the noise of a long step is the sum over its pieces, so that all plans follow one path."""
    sigmas = ([10.0, 1.0, 0.1, 0.0], [10.0, 3.0, 1.0, 0.5, 0.1, 0.0])
    plans = [fewstep.plan("ddpm", each, "vp") for each in sigmas]
    noise, like = BrownianPath(plans, 0).source(0), torch.zeros(2, 1, 4, 4)
    level = plans[0].frame.level

    def increment(high: float, low: float) -> torch.Tensor:
        return math.sqrt(low**-2 - high**-2) * noise(level(high), level(low), like)

    # float32 sums of a few numbers of size 10
    torch.testing.assert_close(increment(1.0, 0.1), increment(1.0, 0.5) + increment(0.5, 0.1), rtol=1e-5, atol=1e-5)
    assert not torch.equal(noise(level(10.0), level(3.0), like), noise(level(3.0), level(1.0), like))


def test_both_endings_of_one_run_are_those_of_whole_runs() -> None:
    where, plans = Setting("vp", 1.0, 2), teacher_plans("vp", 6)
    together = drawn(where, plans)
    assert set(together) == {"denoise", "regular"}
    for last, plan in plans.items():
        # the pieces of a run are bit-equal to the whole (run.steps)
        assert torch.equal(together[last], drawn(where, {last: plan})[last])
