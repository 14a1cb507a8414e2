"""Errors of steps from the embedded lower order: algebra, orders, truth on exact problems, and what they cost."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import fewstep
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS, SMOOTH, Mixture
from fewstep.samplers.embedded import Report, carried
from fewstep.samplers.family import Family
from fewstep.samplers.kdiffusion import plan_with_repeats
from fewstep.samplers.lower_order import estimates
from fewstep.samplers.methods.adams import Adams
from fewstep.samplers.plan import FROM_DATA, Plan
from fewstep.samplers.quadrature import CLOCKS
from fewstep.samplers.solvers import solver
from harness import FIXED, finish, make_plan, offered
from meter import SHAPE, Meter, Model

Tensor = torch.Tensor
PROBLEM = PROBLEMS[3]


def seen(plan: Plan, problem: Mixture = PROBLEM, samples: int = 16) -> Report:
    """The report of a run."""
    told = fewstep.report(plan)
    start = problem.start(plan.frame, plan.levels[0].host, samples, 1)
    fewstep.run(plan, problem.model(plan.frame), start, callback=told)
    return told


# --- algebra ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", FIXED)
def test_the_difference_annihilates_polynomials(id: str) -> None:
    """Of every degree below that of the divided difference, at the nodes of the clock. Measured: rounding, at most
    4e-16 of the sum of their terms' sizes; 30 times that is allowed."""
    row, found = FIXED[id], 0
    for frame in row.frames:
        for schedule in ("karras", "beta", "sgm_uniform"):
            for end in (0, "sigma_min"):
                plan = make_plan(id, fewstep.schedule(schedule, 9, frame=frame, end=end), frame)
                for call, estimate in zip(plan.calls, estimates(plan), strict=True):
                    if estimate is None:
                        assert not call.closes or len(call.weights) < 2, (id, frame, schedule, end)
                        continue
                    levels = [plan.calls[j].level for j, _ in estimate.factors]
                    finite = all(math.isfinite(level.lam) for level in levels)
                    clock = CLOCKS[call.clock if finite else "sigma"]
                    u = [clock(plan.frame, level) for level in levels]
                    unit = [(value - min(u)) / (max(u) - min(u)) for value in u]
                    for degree in range(len(set(u)) - 1):
                        terms = [f * v**degree for (_, f), v in zip(estimate.factors, unit, strict=True)]
                        assert abs(math.fsum(terms)) <= 1e-14 * sum(map(abs, terms)), (id, frame, schedule, degree)
                    found += 1
    assert found or row.orders["paper" if "paper" in row.orders else row.variant] == 1 or row.stochastic


def test_the_weights_of_the_lower_order_are_those_of_the_method_below() -> None:
    """flow_ab3 without its oldest prediction is flow_ab2: the weights differ by rounding."""
    sigmas = fewstep.schedule("beta", 8, frame="flow")
    three, two = (fewstep.plan(f"flow_ab{k}", sigmas, "flow", **offered(f"flow_ab{k}", start="euler")) for k in (3, 2))
    for i in range(2, 7):
        estimate = estimates(three)[i]
        assert estimate is not None
        factors = dict(estimate.factors)
        lower = [weight - factors[i - age] for age, weight in enumerate(three.calls[i].weights)]
        assert lower == pytest.approx([*two.calls[i].weights, 0.0], abs=1e-13)


def test_a_singlestep_block_drops_its_newest_stage() -> None:
    """DPM-Solver-2's pair is DPM-Solver-12: the lower method is DDIM over the block."""
    plan = fewstep.plan("dpm_solver_2s", [4.0, 2.0, 1.0], nodes="paper")
    assert [estimate is None for estimate in estimates(plan)] == [True, False]
    ddim = fewstep.plan("ddim", [4.0, 1.0]).calls[0]
    estimate = estimates(plan)[1]
    assert estimate is not None
    factors = dict(estimate.factors)
    assert factors[1] == pytest.approx(plan.calls[1].weights[0])
    # ddim's step as noise predictions: x + (sigma_t - sigma_s) eps
    assert plan.calls[1].weights[1] - factors[0] == pytest.approx(1.0 - 4.0)
    assert ddim.weights[0] != 0.0


def test_first_order_has_no_lower() -> None:
    told = seen(fewstep.plan("ddim", fewstep.schedule("karras", 4)))
    assert [step.error for step in told.steps] == [None] * 4
    assert "no step has a lower order" in told.sentence


def test_repeated_levels_and_tuned_plans() -> None:
    sigmas = fewstep.schedule("karras", 6)
    repeated = plan_with_repeats(solver("dpmpp_2m"), [*sigmas[:3], *sigmas[2:]], fewstep.frame("ve"))
    told = seen(repeated).steps
    idle = told[2]
    assert idle.error is None
    assert [step.error for step in told if step is not idle] == pytest.approx(
        [step.error for step in seen(fewstep.plan("dpmpp_2m", sigmas)).steps]
    )
    family = Family(fewstep.frame("ve"), 14.61, 0.0292, 0.0, 6, Adams("noise", "lambda", 3))
    theta = family.start(sigmas)
    tuned = family.plan([*theta[:5], *(0.05 * (i + 1) for i in range(len(theta) - 5))])
    # the step to sigma 0 is a combination of all that it may remember there, too
    assert [step.error is not None for step in seen(tuned).steps] == [False, *[True] * 5]


# --- truth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "frame", "schedule", "order"),
    [
        ("dpmpp_2m", "ve", "exponential", 2),
        ("dpmpp_3m", "ve", "exponential", 3),
        ("dpm_solver_3m", "vp", "exponential", 3),
        ("dpm_solver_2s", "ve", "exponential", 2),
        ("dpm_solver_3s", "ve", "exponential", 3),
        ("unipc_2", "ve", "exponential", 3),  # its corrector has a point more
        ("flow_ab2", "flow", "sgm_uniform", 2),
        ("flow_ab4", "flow", "sgm_uniform", 4),
        ("deis_rhork_kutta3", "flow", "sgm_uniform", 3),
    ],
)
def test_estimates_converge_at_the_lower_orders_rate(id: str, frame: str, schedule: str, order: int) -> None:
    """The local error of a method of order k - 1 is of order k. Measured slopes: within 0.06 of k from 96 to 192."""
    top, low = (0.9, 0.1) if frame == "flow" else (10.0, 0.1)
    variant = {"variant": "paper"} if "paper" in FIXED[id].orders else {}
    largest = []
    for n in (96, 192):
        sigmas = fewstep.schedule(schedule, n, frame=frame, sigma_max=top, sigma_min=low, end="sigma_min")
        plan = fewstep.plan(id, sigmas, frame, **offered(id, start="euler", final="off", **variant))
        # without the first steps, which are of lower order
        largest.append(max(step.error for step in seen(plan, SMOOTH).steps[5:] if step.error and step.order == order))
    assert math.log2(largest[0] / largest[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize(
    ("id", "frame", "schedule"),
    [
        ("dpmpp_2m", "ve", "karras"),
        ("dpmpp_3m", "ve", "karras"),
        ("dpm_solver_3m", "vp", "karras"),
        ("flow_ab3", "flow", "sgm_uniform"),
    ],
)
def test_estimates_are_the_lower_orders_true_error(id: str, frame: str, schedule: str) -> None:
    """From exact states. Measured medians over the steps: 0.63 to 0.98 of the truth at 8 calls, 0.90 to 0.97 at 64."""
    top, low = (1.0, 0.01) if frame == "flow" else (14.61, 0.0292)
    for n, band in ((8, (0.5, 1.2)), (64, (0.85, 1.05))):
        sigmas = fewstep.schedule(schedule, n, frame=frame, sigma_max=top, sigma_min=low, end="sigma_min")
        plan = fewstep.plan(id, sigmas, frame, **offered(id, start="euler", final="off", variant="paper"))
        exact = PROBLEM.exact(PROBLEM.start(frame, top, 16, 1), frame, sigmas)
        predictions = []
        for state, call in zip(exact, plan.calls, strict=False):
            on_x, on_data = FROM_DATA[call.keeps](call.level)
            predictions.append(on_x * state + on_data * PROBLEM.denoise(state, call.level.alpha, call.level.sigma))
        ratios = []
        for i, (call, estimate) in enumerate(zip(plan.calls, estimates(plan), strict=True)):
            if estimate is None or call.keeps != call.form:
                continue
            reached = call.scale * exact[i]
            for age, weight in enumerate(call.weights):
                reached = reached + weight * predictions[i - age]
            told = sum((factor * predictions[j] for j, factor in estimate.factors), torch.zeros(()))
            truth = reached - told - exact[i + 1]
            ratios.append(float((told.square().mean(1) / truth.square().mean(1)).sqrt().median()))
        assert band[0] < sorted(ratios)[len(ratios) // 2] < band[1], ratios


@pytest.mark.parametrize("frame", ["ve", "vp", "flow"])
def test_errors_are_carried_as_on_gaussian_data(frame: str) -> None:
    """One mode of width 0.4: the difference of two solutions of the linear ODE, which DOP853 has to 1e-11."""
    problem, width = Mixture(5, 6, 1, (0.4, 0.4)), 0.4
    hosts = [0.9, 0.6, 0.2, 0.0] if frame == "flow" else [10.0, 2.0, 0.3, 0.0]
    x = problem.start(frame, hosts[0], 4)
    moved = x + 0.01 * problem.noise(4, 3)
    pairs = list(zip(problem.exact(x, frame, hosts), problem.exact(moved, frame, hosts), strict=True))
    size = torch.full((4,), width, dtype=torch.float64)
    levels = [fewstep.frame(frame).level(host) for host in hosts]
    ends = (pairs[-1][1] - pairs[-1][0]).square().mean(1).sqrt()
    for level, (a, b) in zip(levels, pairs, strict=True):
        told = (b - a).square().mean(1).sqrt() * carried(level, levels[-1], size)
        torch.testing.assert_close(told, ends, rtol=1e-7, atol=0.0)


def test_it_names_the_step_that_errs_and_the_ones_that_waste_calls() -> None:
    """Levels with a leap from 2 to 0.2, and three within 4 % of each other."""
    told = seen(fewstep.plan("dpmpp_2m", [14.61, 6.0, 3.0, 2.0, 0.2, 0.1, 0.098, 0.096, 0.03, 0.0]))
    assert "is made in call 4 (sigma 2 to 0.2)" in told.sentence
    assert "calls 6 and 7 contribute" in told.sentence
    assert "place levels elsewhere" in told.sentence
    shares = [step.share for step in told.steps if step.share is not None]
    assert sum(shares) == pytest.approx(1.0)
    assert told.steps[3].share == max(shares)


# --- running ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["dpmpp_3m", "dpm_solver_3s", "unipc_3", "heun"])
def test_nothing_is_read_back_and_little_is_remembered(id: str) -> None:
    """Beside the run's own latents: the predictions of an update (the run's memory, and a corrector's point more),
    their sum, and the square that a norm takes."""
    plan = make_plan(id, fewstep.schedule("karras", 12), **offered(id, last="regular"))
    told = fewstep.report(plan)
    meter = Meter()
    with meter:
        fewstep.run(plan, Model(meter), torch.ones(SHAPE), callback=told)
    assert meter.read_backs == 0
    assert meter.peak <= (plan.memory + 2) + (plan.memory + 1) + 2
    assert len(told.steps) == 12


def test_the_model_is_not_asked_again() -> None:
    calls: list[float] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(float(sigma[0]))
        return PROBLEM.model("ve")(x, sigma)

    plan = fewstep.plan("dpmpp_3m", fewstep.schedule("karras", 7))
    x = PROBLEM.start("ve", plan.levels[0].host, 3)
    told = fewstep.report(plan)
    with_report = fewstep.run(plan, model, x, callback=told)
    assert len(calls) == 7
    assert torch.equal(with_report, fewstep.run(plan, PROBLEM.model("ve"), x))


def test_batches_are_joined_and_steps_may_be_driven() -> None:
    plan = fewstep.plan("dpmpp_3m", fewstep.schedule("karras", 6))
    x, model = PROBLEM.start("ve", plan.levels[0].host, 5), PROBLEM.model("ve")
    whole, parts = fewstep.report(plan), fewstep.report(plan)
    fewstep.run(plan, model, x, callback=whole)
    for part in (x[:2], x[2:]):

        def turns(part: Tensor = part) -> Any:
            for step in fewstep.steps(plan, model, part):
                parts(step)
                yield

        finish(turns())
    torch.testing.assert_close(parts.samples, whole.samples, equal_nan=True)
    assert parts.samples.shape == (6, 5)


def test_what_it_cannot_do_it_says() -> None:
    plan = fewstep.plan("dpmpp_3m", fewstep.schedule("karras", 6))
    x, model = PROBLEM.start("ve", plan.levels[0].host, 2), PROBLEM.model("ve")
    told = fewstep.report(plan)
    with pytest.raises(ValueError, match="saw 0 of 6 calls"):
        _ = told.steps
    turns = fewstep.steps(plan, model, x)
    told(next(turns))
    next(turns)
    with pytest.raises(ValueError, match="got call 2, expected 1"):
        told(next(turns))
    with pytest.raises(ValueError, match="saw 1 of 6 calls"):
        _ = told.sentence
    with pytest.raises(ValueError, match="make a report of the plan that is run"):
        fewstep.run(fewstep.plan("dpmpp_3m", fewstep.schedule("beta", 6)), model, x, callback=told)
    with pytest.raises(ValueError, match="got a dict"):
        fewstep.sample(model, x, fewstep.schedule("karras", 6), "dpmpp_3m", callback=told)


def test_a_run_in_two_pieces_is_one() -> None:
    from fewstep.samplers.run import Memory

    plan = fewstep.plan("dpmpp_3m", fewstep.schedule("karras", 6))
    x, model = PROBLEM.start("ve", plan.levels[0].host, 2), PROBLEM.model("ve")
    whole, pieces, memory = fewstep.report(plan), fewstep.report(plan), Memory()
    fewstep.run(plan, model, x, callback=whole)
    half = fewstep.run(plan, model, x, callback=pieces, end=3, history=memory)
    fewstep.run(plan, model, half, callback=pieces, begin=3, history=memory)
    assert torch.equal(pieces.samples.nan_to_num(), whole.samples.nan_to_num())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_measured_in_single(dtype: torch.dtype) -> None:
    """The estimate is a small difference of predictions: float16 answers, rounded to 5e-4 of 1, give the largest to
    0.4 %, bfloat16, eight times coarser, to 6 % (measured)."""
    plan = fewstep.plan("dpmpp_2m", fewstep.schedule("karras", 6))
    start, model = PROBLEM.start("ve", plan.levels[0].host, 16), PROBLEM.model("ve")

    def rounded(x: Tensor, sigma: Tensor) -> Tensor:
        return model(x.double(), sigma).to(x.dtype)

    told, exact = fewstep.report(plan), fewstep.report(plan)
    fewstep.run(plan, rounded, start.to(dtype), callback=told)
    fewstep.run(plan, model, start, callback=exact)
    largest = max(range(6), key=lambda i: exact.steps[i].error or 0.0)
    allowed = 0.12 if dtype == torch.bfloat16 else 0.01
    assert told.steps[largest].error == pytest.approx(exact.steps[largest].error, rel=allowed)


def test_nan_is_no_error_and_no_json() -> None:
    plan = fewstep.plan("dpmpp_2m", fewstep.schedule("karras", 4))
    told = fewstep.report(plan)
    fewstep.run(plan, lambda x, sigma: x * math.nan, torch.ones(2, 3), callback=told)
    assert [step.error for step in told.steps] == [None] * 4
    record = json.loads(json.dumps(told.record(), allow_nan=False))
    assert [step["call"] for step in record["calls"]] == [1, 2, 3, 4]


def test_the_text_has_a_line_for_each_call() -> None:
    plan = fewstep.plan("dpm_solver_3s", fewstep.schedule("karras", 7))
    text = str(seen(plan))
    lines = text.splitlines()
    assert len(lines) == 7 + 2
    assert "stage" in lines[1]
    assert lines[-1].endswith(seen(plan).sentence)
    assert all(f"{step.sigma:.5g}" in line for step, line in zip(seen(plan).steps, lines[1:], strict=False))
    assert all(a.sigma > b.sigma for a, b in pairwise(seen(plan).steps))
