"""Solvers with noise: their law, computed from the plan alone, and what they are without noise."""

from __future__ import annotations

import itertools
import math
from typing import Any

import fewstep
import numpy as np
import pytest
from fewstep.samplers.plan import FROM_DATA, Plan
from harness import MEASURED

#: those with eta; tests/test_analytic.py has the others
STOCHASTIC = {id: row for id, row in fewstep.solvers().items() if row.stochastic and id not in MEASURED}
#: VE, uniform in lambda, and flow, uniform in t from 1 to 0; with the standard deviation of the Gaussian data
PLACES = {
    "ve": (lambda n: [14.61 * (0.0292 / 14.61) ** (i / n) for i in range(n + 1)], 0.5),
    "flow": (lambda n: [1.0 - i / n for i in range(n + 1)], 1.0),
}


def variance_error(plan: Plan, data: float) -> float:
    """Relative error of the variance at the end, for data N(0, data^2) and the exact denoiser and start.

    A plan is linear and so is the denoiser of Gaussian data, so every state is a combination of the start and of the
    noises, and its variance is the sum of the squares. No sampling.
    """

    def variance(level: Any) -> float:
        return level.alpha**2 * data**2 + level.sigma**2

    state = np.zeros(1 + len(plan))
    state[0] = math.sqrt(variance(plan.levels[0]))
    remembered: list[np.ndarray] = []
    for i, (call, update) in enumerate(zip(plan.calls, plan.updates, strict=True)):
        answer = state * (call.level.alpha * data**2 / variance(call.level))
        on_state, on_answer = FROM_DATA[call.keeps](call.level)
        remembered.insert(0, on_state * state + on_answer * answer)
        state = update.scale * state + sum(w * each for w, each in zip(update.weights, remembered, strict=False))
        state[1 + i] += update.noise
    return float((state**2).sum()) / variance(plan.levels[-1]) - 1.0


def errors(id: str, place: str, counts: tuple[int, ...], **options: Any) -> list[float]:
    levels, data = PLACES[place]
    return [abs(variance_error(fewstep.plan(id, levels(n), place, **options), data)) for n in counts]


@pytest.mark.parametrize(
    ("id", "place", "options", "bounds"),
    [
        ("dpmpp_2m_sde", "ve", {}, (0.065, 0.023, 0.007)),
        ("dpmpp_3m_sde", "ve", {}, (0.125, 0.02, 0.005)),
        ("dpmpp_3m_sde", "ve", {"variant": "paper"}, (0.095, 0.013, 0.003)),
        ("deis_tab_sde", "ve", {}, (0.05, 0.008, 0.002)),
        ("dpmpp_2m_sde", "flow", {}, (0.105, 0.045, 0.014)),
    ],
)
def test_weak_accuracy(id: str, place: str, options: dict[str, Any], bounds: tuple[float, ...]) -> None:
    """The project's bounds at 12, 24 and 48 calls, eta 1; eta 1/2 is no worse."""
    full = errors(id, place, (12, 24, 48), **options)
    half = errors(id, place, (12, 24, 48), eta=0.5, **options)
    print(f"{id} {options} on {place}: " + ", ".join(f"{100 * error:.2f} %" for error in full))
    assert all(error <= bound for error, bound in zip(full, bounds, strict=True)), full
    if place == "ve":
        assert all(a <= b for a, b in zip(half, full, strict=True)), (half, full)


def orders() -> list[tuple[str, float]]:
    return [(id, 0.9 if row.order == 1 else 1.7) for id, row in STOCHASTIC.items()]


@pytest.mark.parametrize(("id", "bound"), orders())
def test_weak_order(id: str, bound: float) -> None:
    coarse, fine = errors(id, "ve", (48, 192), eta=1.0)
    slope = math.log(coarse / fine) / math.log(4.0)
    print(f"{id}: {100 * coarse:.3f} % at 48 calls, {100 * fine:.4f} % at 192, slope {slope:.2f}")
    assert slope >= bound


@pytest.mark.parametrize("id", STOCHASTIC)
@pytest.mark.parametrize("frame", ["ve", "vp", "flow"])
def test_without_noise_it_is_the_ode_solver(id: str, frame: str) -> None:
    row = STOCHASTIC[id]
    ode, settled = row.ode or ("dpmpp_1s", {})  # ddim is a row of its own
    variants = [{}] if len(row.orders) == 1 else [{}, *({"variant": variant} for variant in row.orders)]
    for n, end, variant in itertools.product((1, 2, 5, 12, 20), (0, "sigma_min"), variants):
        sigmas = fewstep.schedule("sgm_uniform", n, frame=frame, end=end)
        plan = fewstep.plan(id, sigmas, frame, eta=0.0, **variant)
        assert plan.calls == fewstep.plan(ode, sigmas, frame, **{**settled, **variant}).calls
        assert not plan.stochastic


@pytest.mark.parametrize("id", STOCHASTIC)
def test_eta_goes_to_zero_continuously(id: str) -> None:
    """On flow too, where the first step, from alpha 0, is the ODE's at every eta."""
    for frame in ("ve", "flow"):
        sigmas = fewstep.schedule("sgm_uniform", 8, frame=frame)
        # the options whose "auto" depends on eta, settled
        names = {option.name for option in STOCHASTIC[id].options}
        same = {name: value for name, value in (("start", "euler"), ("last", "denoise")) if name in names}
        if id == "deis_tab_sde" and frame == "flow":
            continue  # at eta 0 DEIS is in the velocity form there
        ode = fewstep.plan(id, sigmas, frame, eta=0.0, **same)
        near = fewstep.plan(id, sigmas, frame, eta=1e-9, **same)
        for a, b in zip(ode.calls, near.calls, strict=True):
            assert a.scale == pytest.approx(b.scale, abs=1e-7)
            assert a.weights == pytest.approx(b.weights, abs=1e-6)
        if frame == "flow":
            assert near.calls[0].noise == fewstep.plan(id, sigmas, frame, eta=1.0, **same).calls[0].noise == 0.0


@pytest.mark.parametrize("id", STOCHASTIC)
def test_the_step_to_zero_has_no_noise(id: str) -> None:
    for frame in ("ve", "flow"):
        final = fewstep.plan(id, fewstep.schedule("sgm_uniform", 7, frame=frame), frame, eta=1.0).calls[-1]
        assert (final.scale, final.weights, final.noise) == (0.0, (1.0,), 0.0)


def test_a_regular_last_step_is_refused_with_noise() -> None:
    with pytest.raises(ValueError, match="with noise the step to sigma 0 is x = D"):
        fewstep.plan("dpmpp_2m_sde", fewstep.schedule("karras", 5), last="regular")


def test_the_noise_form_warns_of_wide_steps() -> None:
    wide, narrow = (fewstep.schedule("exponential", n, end="sigma_min") for n in (6, 12))
    for id in ("dpm_solver_1_sde", "dpm_solver_2m_sde"):
        (note,) = fewstep.plan(id, wide).notes
        assert note.startswith("warning: a step of 1 in lambda; with noise the noise form is unstable above 0.7")
        assert note in str(fewstep.plan(id, wide))
        assert fewstep.plan(id, narrow).notes == fewstep.plan(id, wide, eta=0.0).notes == ()
    assert fewstep.plan("dpmpp_2m_sde", wide).notes == fewstep.plan("deis_tab_sde", wide).notes == ()


def test_noise_of_a_block_is_one_path() -> None:
    """A stage's noise goes on into the end of its step: together they have the whole step's variance."""
    levels = [5.0, 3.0, 1.0]
    plan = fewstep.plan("dpmpp_2s_sde", levels, eta=0.7)
    first, second = plan.updates
    h = math.log(5.0)
    whole = -math.expm1(-2 * 0.7 * h)  # times sigma_t^2 = 1
    assert (second.scale * first.noise) ** 2 + second.noise**2 == pytest.approx(whole, rel=1e-12)


def test_s_noise_is_a_factor_on_the_noise_alone() -> None:
    sigmas = fewstep.schedule("karras", 6)
    one, none = (fewstep.plan("dpmpp_2m_sde", sigmas, s_noise=s) for s in (1.0, 0.0))
    assert [update.weights for update in one.updates] == [update.weights for update in none.updates]
    assert not none.stochastic
    assert fewstep.plan("dpmpp_2m_sde", sigmas, s_noise=1.5).updates[0].noise == 1.5 * one.updates[0].noise
