"""Algebra without a model: every solver, frame, schedule and number of calls.

A plan is run on numbers. The "model" answers so that the prediction of the call's form is a known polynomial in the
call's clock; then the ODE has a solution by quadrature alone, and an update that is exact for that degree must hit it.
The reference integrals use other nodes and another variable than the code under test.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import fewstep
import numpy as np
import pytest
from fewstep.samplers.level import Frame, Level
from fewstep.samplers.plan import FROM_DATA, Plan
from fewstep.samplers.solvers import Solver
from harness import FIXED, make_plan, offered

SOLVERS = FIXED
SCHEDULES = fewstep.schedules()


def levels_for(schedule: str, n: int, frame: str) -> list[float]:
    return fewstep.schedule(schedule, n, frame=frame)


def clock_of(frame: Frame, clock: str, level: Level) -> float:
    if clock == "time":
        return frame.time.time(level.host)
    return {"lambda": level.lam, "rho": level.rho, "sigma": level.sigma}[clock]


@cache
def nodes(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(n)
    return (x + 1) / 2, w / 2


def exact_step(
    frame: Frame, form: str, clock: str, s: Level, t: Level, degree: int, scale: tuple[float, float], eta: float
) -> float:
    """int theta^degree against the form's measure, times its factor, from s to t; theta = (u - scale[0])/scale[1].

    With noise of strength eta the data form's measure is that of d(rho^-(1 + eta)).
    """
    power = 1.0 + eta
    x, w = nodes()
    if form == "velocity":
        at = s.sigma + (t.sigma - s.sigma) * x
        values = at if clock == "sigma" else None
        assert values is not None
        return float((t.sigma - s.sigma) * (w * ((values - scale[0]) / scale[1]) ** degree).sum())
    if degree == 0:
        if form == "noise":
            return power * (t.sigma - t.alpha * s.rho)
        return t.alpha * (1.0 - (t.rho / s.rho) ** power) if eta else t.alpha - t.sigma * s.alpha / s.sigma
    # pieces short in log rho, so that 40 nodes in rho (noise) or 1/rho (data) are exact to rounding
    knots = frame.time.knots if clock == "time" else None
    start = [math.log(s.rho)]
    inner = [] if knots is None else [k for k in knots if math.log(t.rho or 1e-300) < k < start[0]][::-1]
    if t.rho == 0:
        ends = [s.rho, 0.0]
    else:
        long = np.concatenate((start, inner, [math.log(t.rho)]))
        ends = [math.exp(long[0])]
        for a, b in itertools.pairwise(long):
            ends += list(np.exp(np.linspace(a, b, max(1, math.ceil((a - b) / 0.5)) + 1)[1:]))
    total = 0.0
    edges = np.array(ends)
    if form == "data":
        edges = edges**-power
    at = edges[:-1, None] + (edges[1:] - edges[:-1])[:, None] * x
    rho = at if form == "noise" else at ** (-1 / power)
    if clock == "rho":
        u = rho
    elif clock == "lambda":
        u = -np.log(rho)
    elif clock == "sigma":
        u = rho / (1 + rho) if frame.name == "flow" else rho
    else:
        host = rho / (1 + rho) if frame.name == "flow" else rho
        u = frame.time.times(np.log(host))  # test_levels.py compares this with time()
    total = float((((u - scale[0]) / scale[1]) ** degree * w * (edges[1:] - edges[:-1])[:, None]).sum())
    return (t.alpha * power if form == "noise" else t.alpha * t.rho**power) * total


def step_factor(form: str, s: Level, t: Level, eta: float) -> float:
    if form == "data":
        return t.sigma / s.sigma * ((t.rho / s.rho) ** eta if eta else 1.0)
    return t.alpha / s.alpha if form == "noise" else 1.0


def blocks(plan: Plan) -> Iterator[tuple[int, int]]:
    first = 0
    for i, call in enumerate(plan.calls):
        if call.closes:
            yield first, i
            first = i + 1


def check_polynomials(plan: Plan) -> None:
    """Each step reproduces polynomials up to its exact_degree, from whatever state the steps before have led to.

    With noise: its mean does.
    """
    frame, calls = plan.frame, plan.calls
    for first, last in blocks(plan):
        closing, s = calls[last], calls[first].level
        # Analytic-DDPM is DDPM with further noise, whose mean is nothing
        eta = plan.options.get("eta", 1.0) if closing.noise else 0.0
        form, clock = closing.form, closing.clock
        origin, width = clock_of(frame, clock, s), 1.0
        if math.isfinite(origin):
            near = [call.level for call in calls[max(0, first - 3) : first]]
            spans = [abs(clock_of(frame, clock, level) - origin) for level in (*near, closing.target)]
            width = max((span for span in spans if span < math.inf), default=1.0)
        else:
            assert closing.exact_degree == 0
        for degree in range(closing.exact_degree + 1):
            readings = [clock_of(frame, clock, call.level) for call in calls[: last + 1]]
            # a call where the clock is infinite (lambda at flow sigma 1) has no part in a step in that clock
            theta = [
                ((u - origin) / width) ** degree if degree and abs(u) < math.inf else float(not degree)
                for u in readings
            ]
            start, end, size = simulate(plan, form, theta, first, last)
            moved = exact_step(frame, form, clock, s, closing.target, degree, (origin, width), eta)
            expected = step_factor(form, s, closing.target, eta) * start + moved
            assert abs(end - expected) <= 1e-10 * size, (str(plan), first, form, clock, degree, end, expected)


def simulate(plan: Plan, form: str, theta: list[float], first: int, last: int) -> tuple[float, float, float]:
    """Runs the calls up to `last` on one number, the `form` prediction of call j being theta[j].

    Returns the state before call `first`, the state after call `last`, and the sum of the absolute terms that made it.
    """
    # from about ten calls before (no step reaches back more than five), with nothing remembered and any state
    begin = next(j for j in range(max(0, first - 10), first + 1) if j == 0 or plan.calls[j - 1].closes)
    # where alpha is 0 the noise is x itself, whatever the model says
    x = anchor = start = size = theta[begin] if plan.calls[begin].level.alpha == 0.0 and form == "noise" else 1.0
    kept = [0.0] * 10
    for j, call in enumerate(plan.calls[begin : last + 1], begin):
        if j == first:
            start = x
        p, q = FROM_DATA[form](call.level)
        data = (theta[j] - p * x) / q if q else 0.0
        pk, qk = FROM_DATA[call.keeps](call.level)
        kept.append(theta[j] if call.keeps == form else pk * x + qk * data)
        terms = [call.scale * anchor, *(w * kept[-1 - age] for age, w in enumerate(call.weights))]
        x = sum(terms)
        size = sum(abs(term) for term in terms) + sum(abs(w) for w in call.weights)
        if call.closes:
            anchor = x
    return start, x, size


def variants(row: Solver, frame: str) -> list[dict[str, Any]]:
    """The defaults, and each option alone at each of its other values."""
    out: list[dict[str, Any]] = [{}]
    for option in row.options:
        out += [offered(row.id, **{option.name: choice}) for choice in option.choices if choice != option.default]
    return out


def constants_error(plan: Plan) -> float:
    """For constant x0 and n every state is alpha x0 + sigma n; the worst call, relative to its terms.

    Noise that a step adds takes the place of a part of n: the variances add up to sigma^2. In the noise form they do so
    only for small steps, and the part of x0 alone is looked at.
    """
    value = {"data": (1.0, 0.0), "noise": (0.0, 1.0), "velocity": (-1.0, 1.0)}
    kept: list[tuple[float, float]] = []
    anchor, worst, added, scale = plan.levels[0], 0.0, 0.0, 1.0
    for call in plan.calls:
        kept.append(value[call.keeps])
        parts = [(call.scale * anchor.alpha, call.scale * anchor.sigma)]
        parts += [(w * kept[-1 - j][0], w * kept[-1 - j][1]) for j, w in enumerate(call.weights)]
        of_x0, of_n = (sum(column) for column in zip(*parts, strict=True))
        size = anchor.alpha + anchor.sigma + sum(abs(w) for w in call.weights)
        added = (added * (call.scale / scale) ** 2) + call.noise**2
        worst = max(worst, abs(of_x0 - call.target.alpha) / size)
        if not (added and call.keeps == "noise"):
            worst = max(worst, abs(math.hypot(of_n, math.sqrt(added)) - call.target.sigma) / size)
        scale = call.scale
        if call.closes:
            anchor, added, scale = call.target, 0.0, 1.0
    return worst


@pytest.mark.parametrize("frame", ["ve", "vp", "flow"])
@pytest.mark.parametrize("id", SOLVERS)
def test_every_schedule_gives_n_calls_and_keeps_constants(id: str, frame: str) -> None:
    """n = 1..50 on every schedule; constants to 1e-13 of the sum of the absolute terms."""
    if frame not in SOLVERS[id].frames:
        with pytest.raises(ValueError, match=f"not on {frame}"):
            make_plan(id, [1.0, 0.5, 0.0], frame)
        return
    # vp differs from ve by the state's scale alone, so a third of the counts will do there
    for schedule, row in SCHEDULES.items():
        if frame not in row.frames:
            continue
        for n in range(1, 51, 3 if frame == "vp" else 1):
            levels = levels_for(schedule, n, frame)
            plan = make_plan(id, levels, frame)
            assert len(plan) == n
            assert plan.calls[-1].target.host == levels[-1]
            assert constants_error(plan) <= 1e-13, (id, schedule, n)
            assert all(math.isfinite(weight) for update in plan.updates for weight in (update.scale, *update.weights))


POLYNOMIAL_SCHEDULES = {
    "ve": ("karras", "exponential", "ays", "time_uniform"),
    "vp": ("time_quadratic",),
    "flow": ("sgm_uniform", "flow_shift", "time_uniform", "beta"),
}


@pytest.mark.parametrize("frame", ["ve", "vp", "flow"])
@pytest.mark.parametrize("id", SOLVERS)
def test_updates_are_exact_for_polynomials(id: str, frame: str) -> None:
    row = SOLVERS[id]
    if frame not in row.frames:
        return
    for schedule in POLYNOMIAL_SCHEDULES[frame]:
        for n in (1, 2, 3, 4, 5, 6, 7, 10, 23) if schedule != "beta" else (10,):
            for options in variants(row, frame) if n in (4, 7, 10) else [{}]:
                for end in ("0", "sigma_min"):
                    sigmas = fewstep.schedule(schedule, n, frame=frame, end=0 if end == "0" else end)
                    if len(sigmas) > 2 or end == "0":
                        check_polynomials(make_plan(id, sigmas, frame, **options))


@pytest.mark.parametrize("frame", ["ve", "flow"])
@pytest.mark.parametrize("id", SOLVERS)
def test_updates_are_exact_for_polynomials_on_every_schedule(id: str, frame: str) -> None:
    if frame not in SOLVERS[id].frames:
        return
    for schedule, row in SCHEDULES.items():
        if frame in row.frames:
            # the reference integrals of tAB go through all 1000 knots of the table: every fourth n there
            tabulated = frame == "ve" and any(w.schedule == "time_quadratic" for w in SOLVERS[id].order_on)
            for n in range(1, 51, 4 if tabulated else 1):
                check_polynomials(make_plan(id, levels_for(schedule, n, frame), frame))


@pytest.mark.parametrize(
    ("id", "options", "degree"),
    [
        ("dpmpp_2m", {}, 0), ("dpmpp_2m", {"variant": "taylor"}, 1), ("dpm_solver_2m", {}, 0),
        ("dpmpp_3m", {"variant": "official"}, 1), ("dpmpp_3m", {"variant": "paper"}, 2),
        ("deis_tab3", {}, 3), ("deis_rhoab2", {}, 2), ("dpm_solver_3s", {}, 2),
        ("dpm_solver_3s", {"variant": "paper"}, 1),
        ("dpm_solver_2s", {"variant": "paper"}, 0), ("deis_rhork_kutta3", {}, 3), ("deis_rhork_rk4", {}, 3),
    ],
)  # fmt: skip
def test_exact_degree_is_what_it_says(id: str, options: dict[str, str], degree: int) -> None:
    """And no more: the next degree is missed."""
    sigmas = fewstep.schedule("karras", 12, frame="ve", end="sigma_min")
    plan = make_plan(
        id, sigmas, "ve", **({"final": "off"} if "final" in [o.name for o in SOLVERS[id].options] else {}), **options
    )
    middle = [call for call in plan.calls[4:] if call.closes]
    assert {call.exact_degree for call in middle} == {degree}
    raised = 0
    for i, call in enumerate(plan.calls):
        if i >= 4 and call.closes and raised < 2:
            raised += 1
            more = tuple(replace(c, exact_degree=degree + 1) if j == i else c for j, c in enumerate(plan.calls))
            with pytest.raises(AssertionError):
                check_polynomials(replace(plan, calls=more))
    assert raised == 2


def test_a_wrong_weight_is_caught_when_the_plan_is_built() -> None:
    plan = fewstep.plan("dpmpp_2m", [10.0, 3.0, 1.0, 0.0])
    broken = replace(plan.calls[1], weights=(plan.calls[1].weights[0] * 1.0001, *plan.calls[1].weights[1:]))
    with pytest.raises(ValueError, match="does not keep constants"):
        replace(plan, calls=(plan.calls[0], broken, plan.calls[2]))
    with pytest.raises(ValueError, match="the state is at"):
        replace(plan, calls=(plan.calls[0], plan.calls[2]))


@pytest.mark.parametrize("sigmas", [[4000.0, 40.0, 1.0, 1e-6], [200.0, 20.0, 15.0, 14.9], [0.02, 1e-3, 1e-5, 1e-9]])
def test_levels_beyond_the_ends_of_a_time_table(sigmas: list[float]) -> None:
    """Stable Diffusion's table ends at 14.6 and 0.029; t goes on log-linearly there, and the integrals stay exact."""
    check_polynomials(fewstep.plan("deis_tab3", sigmas, start="euler"))


def test_tables_with_long_gaps_are_integrated_exactly() -> None:
    """Near their tops the cosine and the zero-SNR table have gaps of 0.7 and more in lambda, too long for 4 nodes."""
    for time in ("cosine", "zero_snr"):
        sigmas = fewstep.schedule("karras", 9, frame="ve", time=time)
        check_polynomials(fewstep.plan("deis_tab3", sigmas, time=time, start="euler"))


@pytest.mark.parametrize("id", [id for id, row in SOLVERS.items() if row.calls == 1 and row.order > 1])
@pytest.mark.parametrize("gap", [1e-9, 1e-3, 0.0])
def test_a_step_much_longer_than_its_history_drops_to_a_lower_order(id: str, gap: float) -> None:
    """Typed lists may hold nearly equal levels. Weights on the model's answers stay of the size of the step."""
    frame = "ve" if "ve" in SOLVERS[id].frames else "flow"
    top = 0.9
    near = [math.nextafter(top, 0.0)] if gap == 0.0 else [top - gap]
    for last in ("regular", "denoise"):
        plan = make_plan(id, [1.0, top, *near, 0.5, near[0] * 0.5, 0.05, 0.0], frame, **offered(id, last=last))
        assert len(plan) == 6
        across = plan.calls[2]  # 400 and more times as long as the gap before it
        assert across.exact_degree == 0
        assert sum(abs(w) for w in across.weights) <= 2 * (1 + abs(across.scale)), (id, across)
        assert all(math.isfinite(weight) for call in plan for weight in call.weights)
