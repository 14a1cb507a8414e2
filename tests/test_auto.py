"""auto: what it chooses is a published row, the plan says so, and it is as good as `benchmarks/exact.py` found."""

from __future__ import annotations

from typing import Any

import fewstep
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS, median_error
from fewstep.samplers.auto import AUTO, STRONG, choose_schedule, choose_solver, informed
from fewstep.samplers.menu import menu
from fewstep.samplers.schedules import drawn_by, offered_schedules, schedule_row
from fewstep.samplers.solvers import offered_solvers, solver
from fewstep.samplers.times import FlowShift

FRAMES = ("ve", "vp", "flow")


@pytest.mark.parametrize("frame", ["vp", "flow"])
def test_noise_takes_the_solver_that_is_nearer_on_networks(frame: str) -> None:
    """Distances to the converged samples along one path: docs/benchmarks.md, sample quality, SDE."""
    chosen = {n: choose_solver(fewstep.frame(frame), n, guidance=1.0, eta=1.0).id for n in (5, 10, 15, 20, 50)}
    assert set(chosen.values()) == {"dpmpp_2m_sde", "deis_tab_sde"}
    assert [n for n, id in chosen.items() if id == "deis_tab_sde"] == [20, 50]


def test_few_noisy_steps_of_a_guided_flow_model_are_of_first_order() -> None:
    """There dpmpp_2m_sde is three times as far off at 5 calls: docs/benchmarks.md, flow, guidance 4, SDE."""
    where = fewstep.frame("flow")
    assert [choose_solver(where, n, guidance=4.0, eta=0.5).id for n in (5, 8, 20)] == [
        "ddim", "dpmpp_2m_sde", "deis_tab_sde"
    ]  # fmt: skip
    plan = fewstep.plan("auto", fewstep.schedule("auto", 5, frame="flow"), "flow", guidance=4.0, eta=0.5, s_noise=1.1)
    assert plan.stochastic
    assert (plan.solver, plan.options["eta"], plan.options["s_noise"]) == ("ddim", 0.5, 1.1)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("end", [0, "sigma_min"])
@pytest.mark.parametrize("options", [{}, {"guidance": 7.5}, {"eta": 1.0}, {"eta": 0.5, "s_noise": 1.1}])
def test_the_plan_is_that_of_the_row_it_names(frame: str, end: Any, options: dict[str, float]) -> None:
    for n in (1, 2, 3, 5, 7, 8, 10, 12, 18, 50):
        sigmas = fewstep.schedule("auto", n, frame=frame, end=end)
        plan = fewstep.plan("auto", sigmas, frame, **options)
        assert plan.solver in fewstep.solvers()
        assert plan.calls == fewstep.plan(plan.solver, sigmas, frame, **plan.options).calls
        assert len(plan) == n
        assert plan.notes[0] == f"chosen by auto for {n} calls on {frame}"
        assert plan.stochastic == (options.get("eta", 0.0) > 0.0 and any(call.noise for call in plan))
        assert plan.options.get("s_noise", 1.0) == options.get("s_noise", 1.0)


@pytest.mark.parametrize("frame", FRAMES)
def test_the_levels_are_those_of_a_published_schedule(frame: str) -> None:
    for n in (1, 5, 10, 30):
        for end in (0, "sigma_min"):
            where = fewstep.frame(frame)
            pick = choose_schedule(where, n, end == 0)
            assert fewstep.schedule("auto", n, frame=where, end=end) == fewstep.schedule(
                pick.id, n, frame=where, end=end, **pick.options
            )


@pytest.mark.parametrize("frame", FRAMES)
def test_denoise_keeps_the_end_of_a_longer_schedule(frame: str) -> None:
    for n in (1, 5, 10):
        whole = fewstep.schedule("auto", int(n / 0.4), frame=frame)
        assert fewstep.schedule("auto", n, frame=frame, denoise=0.4) == whole[-(n + 1) :]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("options", [{}, {"guidance": 1.0}, {"guidance": 7.0}])
def test_what_drew_the_levels_can_be_asked(frame: str, options: dict[str, float]) -> None:
    """Of part of a schedule too: what was chosen was chosen for the whole of it."""
    for n in (1, 5, 8, 20):
        for asked in ({}, {"end": "sigma_min"}, {"denoise": 0.4}):
            found = drawn_by("auto", n, frame=frame, **asked, **options)
            levels = fewstep.schedule(found.id, n, frame=frame, **asked, **found.options)
            assert levels == fewstep.schedule("auto", n, frame=frame, **asked, **options)
    assert drawn_by("auto", 8, denoise=0.4).id == "exponential"
    assert drawn_by("auto", 8).id == "karras"
    assert str(drawn_by("edm", 8, rho=5.0)) == "karras (rho=5.0)"


def test_it_is_offered_first_and_is_in_no_table() -> None:
    assert list(offered_solvers()) == [AUTO, *fewstep.solvers()]
    assert list(offered_schedules()) == [AUTO, *fewstep.schedules()]
    for size in ("short", "all"):
        assert next(iter(menu(size))) == "fewstep_auto"


def test_doors_tell_a_guidance_of_networks() -> None:
    for row in (solver(AUTO), schedule_row(AUTO)):
        told = [informed(row.options, {}, value)["guidance"] for value in (-1.0, 0.0, 1.0, 7.0, 1e9)]
        assert told == [1.0, 1.0, 1.0, 7.0, 1000.0]
        assert informed(row.options, {"guidance": 0.0}, 7.0) == {"guidance": 0.0}
    assert informed(solver("ddim").options, {"eta": 0.5}, 7.0) == {"eta": 0.5}


def test_few_flow_steps_halve_the_shift_of_the_model() -> None:
    for shift in (1.0, 3.0, 6.0):
        where = fewstep.frame("flow", FlowShift(shift, t_min=0.0))
        assert choose_schedule(where, 5).options["shift"] == pytest.approx(shift / 2)


def test_strong_guidance_lowers_the_order() -> None:
    for frame, calm, strong in (("ve", "dpm_solver_3m", "dpm_solver_2m"), ("flow", "flow_ab3", "dpm_solver_2m")):
        where = fewstep.frame(frame)
        assert choose_solver(where, 6, guidance=1.0).id == calm
        assert choose_solver(where, 6, guidance=STRONG).id == strong


def test_it_takes_its_own_options_alone() -> None:
    with pytest.raises(ValueError, match=r"auto: unknown option 'last'.*Known: eta, guidance, s_noise"):
        fewstep.plan("auto", [3.0, 1.0, 0.0], last="regular")
    with pytest.raises(ValueError, match="guidance"):
        fewstep.plan("auto", [3.0, 1.0, 0.0], guidance=-1.0)


def test_sample_takes_it_by_default() -> None:
    x = torch.ones(2, 4, dtype=torch.float64)
    sigmas = fewstep.schedule("auto", 6)
    model = PROBLEMS[0].model("ve")
    x = PROBLEMS[0].start("ve", sigmas[0], 2)
    assert torch.equal(fewstep.sample(model, x, sigmas), fewstep.sample(model, x, sigmas, "auto"))


#: what is tried beside it: a sample of what benchmarks/exact.py tries, which takes minutes
PEERS = {
    "ve": [(id, s) for id in ("dpmpp_2m", "dpmpp_3m", "dpm_solver_2m", "unipc_3", "ipndm") for s in ("karras", "beta")],
    "flow": [(id, s) for id in ("dpmpp_2m", "flow_ab2", "unipc_3", "heun") for s in ("sgm_uniform", "beta", "karras")],
}


@pytest.mark.parametrize("frame", ["ve", "flow"])
@pytest.mark.parametrize("n", [5, 8, 10, 20])
def test_it_is_as_good_as_its_peers(frame: str, n: int) -> None:
    """Product over four problems of the median error: at most 1.1 times the best peer's, to the power of four."""

    def score(solver: str, levels: str) -> float:
        sigmas, total = fewstep.schedule(levels, n, frame=frame), 1.0
        for problem in PROBLEMS[:8:2]:
            x = problem.start(frame, sigmas[0], 32)
            exact = problem.exact(x, frame, [sigmas[0], 0.0])[-1]
            total *= median_error(fewstep.sample(problem.model(frame), x, sigmas, solver, frame), exact)
        return total

    best = min(score(*peer) for peer in PEERS[frame])
    assert score("auto", "auto") <= 1.1**4 * best
