"""Order of convergence on an exact Gaussian mixture, float64, with history from the exact solution.

Each row of the solver table says where its order is promised (`order_on`). The bound is one-sided: k - 0.25 between
192 and 384 calls, k - 0.35 for tAB (tAB on time_quadratic levels measured 3.6 to 3.7 at order 4; the others 0.99 to
1.00 times k). Elsewhere the end steps never shrink in the method's clock and nothing is promised.
"""

from __future__ import annotations

import statistics
from functools import cache

import fewstep
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS, SMOOTH, Mixture, median_error
from harness import offered, rms, slope, solve_with_exact_history

CASES = [
    (id, variant, *where) for id, row in fewstep.solvers().items() for variant in row.orders for where in row.order_on
]


@pytest.mark.parametrize(("id", "variant", "name", "schedule", "end"), CASES)
def test_order(id: str, variant: str, name: str, schedule: str, end: str) -> None:
    row = fewstep.solvers()[id]
    order = row.orders[variant]
    # tAB's time is that of a continuous model: a table's t(sigma) has kinks, at which no high order can be seen
    frame = fewstep.frame(name, "vp") if name == "vp" else fewstep.frame(name)
    options = offered(id, variant=variant, final="off", last="regular", start="euler")
    errors = []
    for n in (192, 384):
        sigmas = fewstep.schedule(schedule, n, frame=frame, end=end)
        plan = fewstep.plan(id, sigmas, frame, **options)
        known = max(1, order if row.calls == 1 else 1)
        exact = SMOOTH.exact(SMOOTH.start(frame, sigmas[0], 16), frame, [*sigmas[:known], sigmas[-1]])
        out = solve_with_exact_history(SMOOTH, plan, exact[:-1])
        errors.append(rms(out - exact[-1]))
    measured = slope(*errors)
    bound = order - (0.35 if "tab" in id and name == "vp" else 0.25)
    print(f"{id} {variant} {name} {schedule} to {end}: errors {errors[0]:.2e} {errors[1]:.2e}, slope {measured:.2f}")
    assert measured >= bound, f"{id}: errors {errors}, slope {measured:.2f}, expected at least {bound}"


@pytest.mark.parametrize(
    ("id", "schedule"), [("dpmpp_3m", "sgm_uniform"), ("dpm_solver_3s", "flow_shift"), ("dpmpp_2s", "sgm_uniform")]
)
def test_lambda_clock_on_flow_converges_at_least_at_first_order(id: str, schedule: str) -> None:
    """The steps next to sigma 1 and 0 never shrink in lambda, so these saturate near 2 (measured 1.1 to 2.2)."""
    errors = []
    for n in (96, 384):
        sigmas = fewstep.schedule(schedule, n, frame="flow")
        x = SMOOTH.start("flow", 1.0, 16)
        out = fewstep.run(fewstep.plan(id, sigmas, "flow", **offered(id, variant="paper")), SMOOTH.model("flow"), x)
        errors.append(rms(out - SMOOTH.exact(x, "flow", [1.0, 0.0])[-1]))
    measured = slope(*errors, factor=4.0)
    print(f"{id} on flow {schedule}: slope {measured:.2f}")
    assert measured > 0.9


THIRD_ORDER = [
    *((id, "ve") for id in ("dpm_solver_3m", "dpmpp_3m", "deis_tab2", "deis_tab3")),
    *((id, "flow") for id in ("flow_ab3", "deis_tab2", "deis_tab3")),
]


@cache
def solved(problem: Mixture, frame: str, first: float, last: float) -> tuple[torch.Tensor, torch.Tensor]:
    x = problem.start(frame, first, 32)
    return x, problem.exact(x, frame, [first, last])[-1]


def start_error(id: str, frame: str, start: str, n: int, problem: Mixture, variant: str = "paper") -> float:
    """VE from 1.5 to 0.05 uniform in lambda, or flow uniform from 1 to 0."""
    # tAB's polynomial is in the model's time: continuous, so that the slope can be seen
    made = fewstep.frame(frame, "vp") if frame == "ve" else fewstep.frame(frame)
    if frame == "ve":
        sigmas = fewstep.schedule("exponential", n, frame=made, sigma_max=1.5, sigma_min=0.05, end="sigma_min")
    else:
        sigmas = fewstep.schedule("sgm_uniform", n, frame=made)
    x, exact = solved(problem, frame, sigmas[0], round(sigmas[-1], 12))
    options = offered(id, start=start, variant=variant, final="off", last="regular")
    plan = fewstep.plan(id, sigmas, made, **options)
    return median_error(fewstep.run(plan, problem.model(made), x), exact)


@pytest.mark.parametrize(("id", "frame"), THIRD_ORDER)
def test_2s_start_keeps_third_order(id: str, frame: str) -> None:
    """n calls in total. euler leaves an error of second order behind, whatever the order later on."""
    errors = {start: [start_error(id, frame, start, n, SMOOTH) for n in (96, 192)] for start in ("2s", "euler")}
    fast, slow = slope(*errors["2s"]), slope(*errors["euler"])
    print(f"{id} on {frame}: 2s {fast:.2f}, euler {slow:.2f}")
    assert fast >= 2.7
    assert slow < 2.3


@pytest.mark.parametrize(("id", "frame"), [(id, "ve") for id in ("unipc_2", "unipc_3", "sa_solver")])
def test_a_corrector_mends_the_start(id: str, frame: str) -> None:
    """Its first step is of second order, once: third order from its own start (measured 3.00 to 3.15)."""
    coarse, fine = (start_error(id, frame, "euler", n, SMOOTH, variant="exact") for n in (96, 192))
    print(f"{id} on {frame}: {slope(coarse, fine):.2f}")
    assert slope(coarse, fine) >= 2.7


@pytest.mark.parametrize(("id", "frame"), THIRD_ORDER)
def test_2s_start_costs_nothing_at_few_calls(id: str, frame: str) -> None:
    """At 6 to 10 calls, on the problem set: the median over the problems of the ratio of median errors."""
    for n in range(6, 11):
        ratios = [start_error(id, frame, "2s", n, p) / start_error(id, frame, "euler", n, p) for p in PROBLEMS]
        print(f"{id} on {frame}, {n} calls: median {statistics.median(ratios):.2f}, largest {max(ratios):.2f}")
        assert statistics.median(ratios) <= 1.4
