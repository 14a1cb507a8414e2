"""rk45: scipy's own numbers, what a batch shares, and scipy's corners that a caller must not meet."""

from __future__ import annotations

import math
from typing import Any

import fewstep
import numpy as np
import pytest
import scipy.integrate
import torch
from fewstep.benchmarks.problems import PROBLEMS, SMOOTH
from fewstep.samplers.adaptive import NotConvergedError, Result
from fewstep.samplers.plan import FROM_DATA
from fewstep.samplers.rk45 import _ERROR
from harness import rms

Tensor = torch.Tensor
FRAMES = ("ve", "vp", "flow")
#: frame -> first and last level, flow from exactly 1
ENDS = {"ve": (14.6, 0.03), "vp": (14.6, 0.03), "flow": (1.0, 0.02)}


def solve_ivp(of: Any, x: Tensor, frame: str, start: float, stop: float, rtol: float, atol: float) -> Any:
    """The same ODE by scipy's front door: d(x/alpha)/d(rho) = eps, on flow dx/d(sigma) = v, written out again."""
    where = fewstep.frame(frame)

    def slope(t: float, flat: np.ndarray) -> np.ndarray:
        level = where.level(t)
        y = torch.from_numpy(flat).view_as(x)
        state = y if frame == "flow" else level.alpha * y
        denoised = of.denoise(state, level.alpha, level.sigma)
        on_state, on_denoised = (1.0, -1.0) if frame == "flow" else (1.0, -level.alpha)
        return ((on_state * state + on_denoised * denoised) / level.sigma).numpy().ravel()

    scale = 1.0 if frame == "flow" else where.level(start).alpha
    solution = scipy.integrate.solve_ivp(
        slope, (start, stop), (x / scale).numpy().ravel(), "RK45", rtol=rtol, atol=atol
    )
    assert solution.success, solution.message
    return solution


@pytest.mark.parametrize("rtol", [1e-3, 1e-5])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("frame", FRAMES)
def test_the_numbers_of_solve_ivp(frame: str, batch: int, rtol: float) -> None:
    """The same steps and calls; scipy is given the tolerance that the batch shares."""
    start, stop = ENDS[frame]
    where, rejected = fewstep.frame(frame), 0
    for of in PROBLEMS[:4]:
        x = of.start(frame, start, batch)
        result = fewstep.adaptive(of.model(frame), x, [start, stop], "rk45", frame, rtol=rtol)
        theirs = solve_ivp(of, x, frame, start, stop, rtol * batch**-0.5, rtol * batch**-0.5)
        alpha = 1.0 if frame == "flow" else where.level(stop).alpha
        # the same sums in another order: measured below 3e-12, for states of size 1
        np.testing.assert_allclose(result.x.numpy().ravel(), alpha * theirs.y[:, -1], rtol=0.0, atol=1e-11)
        ends = [each.end.host for each in result.attempts if each.accepted]
        # a width is a power of an estimate, which is a difference: measured below 1e-9
        np.testing.assert_allclose([start, *ends], theirs.t, rtol=1e-8)
        assert result.calls == theirs.nfev == 2 + 6 * len(result.attempts)
        assert result.accepted == len(theirs.t) - 1
        rejected += result.rejected
    assert rejected > 0


def test_the_published_tolerances() -> None:
    """atol is rtol unless it is given; at the defaults the error is that of rtol 1e-4."""
    x, model, levels = SMOOTH.start("ve", 14.6, 4), SMOOTH.model("ve"), [14.6, 0.03]
    paper = fewstep.adaptive(model, x, levels, "rk45", rtol=1e-5, atol=1e-5)
    assert torch.equal(paper.x, fewstep.adaptive(model, x, levels, "rk45", rtol=1e-5).x)
    assert not torch.equal(paper.x, fewstep.adaptive(model, x, levels, "rk45", rtol=1e-5, atol=1e-6).x)
    default = fewstep.adaptive(model, x, levels, "rk45")
    assert torch.equal(default.x, fewstep.adaptive(model, x, levels, "rk45", rtol=1e-4, atol=1e-4).x)
    exact = SMOOTH.exact(x, "ve", levels)[-1]
    assert rms(paper.x - exact) < rms(default.x - exact) < 1e-3


@pytest.mark.parametrize("frame", FRAMES)
def test_reported_errors_are_those_that_scipy_decides_by(frame: str) -> None:
    start, stop = ENDS[frame]
    assert [abs(each) for each in _ERROR] == [abs(each) for each in scipy.integrate.RK45.E]
    for of in PROBLEMS[:4]:
        result = fewstep.adaptive(of.model(frame), of.start(frame, start, 5), [start, stop], "rk45", frame, rtol=1e-5)
        assert result.rejected > 0
        for each in result.attempts:
            assert len(each.errors) == 5
            assert each.accepted == (math.hypot(*each.errors) < 1.0)


def test_no_sample_is_held_to_less_than_alone() -> None:
    """Seven easy samples, whose denoiser is constant, beside a hard one: a mean over them would hide it."""
    hard = PROBLEMS[1]
    x = hard.start("ve", 14.6, 8)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[-1:] = hard.model("ve")(x[-1:], sigma[-1:])
        return out

    def largest(rtol: float) -> float:
        """The hard sample's largest error in a step that was taken, in terms of the tolerance 1e-4."""
        result = fewstep.adaptive(model, x, [14.6, 0.03], "rk45", rtol=rtol)
        assert max(error for each in result.attempts for error in each.errors[:-1]) < 1e-6
        return max(each.errors[-1] for each in result.attempts if each.accepted) * rtol / 1e-4

    assert largest(1e-4) < 1.0
    # scipy's mean over the batch is 1/root 8 of that
    assert largest(1e-4 * 8**0.5) > 1.5


@pytest.mark.parametrize("frame", FRAMES)
def test_the_clock_is_the_hosts_sigma(frame: str) -> None:
    """What lets a run ask the frame for the level at a value of the clock, and integrate without a factor."""
    where = fewstep.frame(frame)
    form, clock = where.regular
    level = where.level(0.3)
    assert getattr(level, clock) == level.host
    assert form in FROM_DATA


def test_vp_is_ve_in_another_scale() -> None:
    def at(frame: str) -> Result:
        level = fewstep.frame(frame).level(14.6)
        return fewstep.adaptive(SMOOTH.model(frame), 5.0 * level.alpha * x, [14.6, 0.03], "rk45", frame)

    x = SMOOTH.noise(3)
    ve, vp = at("ve"), at("vp")
    assert vp.calls == ve.calls
    # the same equation in x/alpha: rounding alone is between them, 6e-15 (measured)
    assert torch.allclose(vp.x, ve.x * fewstep.frame("vp").level(0.03).alpha, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("frame", ["ve", "flow"])
def test_a_tolerance_below_the_models_rounding_costs_calls_and_ends(frame: str, dtype: torch.dtype) -> None:
    """Measured at rtol 1e-4 and 1e-5: up to 2.9 and 8.4 times the calls of float64, both on flow in bfloat16."""
    start, stop = ENDS[frame]
    x = SMOOTH.start(frame, start, 4).to(dtype)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        assert sigma.dtype == (torch.float64 if x.dtype == torch.float64 else torch.float32)
        assert x.dtype in (dtype, torch.float64)
        return SMOOTH.model(frame)(x.double(), sigma).to(x.dtype)

    for rtol in (1e-4, 1e-5):
        half, double = (
            fewstep.adaptive(model, each, [start, stop], "rk45", frame, rtol=rtol) for each in (x, x.double())
        )
        print(f"{frame} {dtype} {rtol}: {half.calls} and {double.calls} calls")
        assert half.calls <= 10 * double.calls
        assert rms(half.x.double() - double.x) <= 2 * torch.finfo(dtype).eps


# --- corners ---------------------------------------------------------------------------------------------------------


def test_a_state_of_zeros_and_no_atol() -> None:
    """0/0 in scipy's norm, and a warning from it, if nothing were done."""
    zeros = fewstep.adaptive(lambda x, s: 0.5 * x, torch.zeros(2, 3), [5.0, 0.1, 0.0], "rk45", atol=0.0)
    assert torch.equal(zeros.x, torch.zeros(2, 3))
    grown = fewstep.adaptive(lambda x, s: x * 0 + 1.0, torch.zeros(1, 3), [5.0, 0.1, 0.0], "rk45", atol=0.0)
    assert torch.allclose(grown.x, torch.ones(1, 3))


def test_the_least_tolerance_of_a_large_batch_is_no_warning() -> None:
    """Shared by 64 samples, rtol 1e-13 is below the 2.2e-14 at which scipy warns and takes that instead."""
    x = torch.ones(64, 1, dtype=torch.float64)
    result = fewstep.adaptive(lambda x, s: 0.0 * x, x, [1.0, 0.5], "rk45", rtol=1e-13)
    # the solution is a line in rho, on which Runge-Kutta is exact: rounding alone is between them
    assert torch.allclose(result.x, 0.5 * x, rtol=1e-12)


def test_no_level_outside_the_schedule_is_asked_for() -> None:
    """Nor when a scipy before 1.11 looks for its first step beyond the end, where the level may be negative."""
    asked: list[float] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(float(sigma[0]))
        return x * (1.0 - 1e-3)  # a small slope: the first guess of scipy is far

    x = torch.ones(1, 2, dtype=torch.float64)
    result = fewstep.adaptive(model, x, [0.3, 0.29], "rk45")
    assert min(asked) == 0.29 == result.level.host
    assert max(asked) == 0.3
    from fewstep.samplers.rk45 import RK45Run, _Field

    row, where = fewstep.solvers()["rk45"], fewstep.frame("ve")
    run = RK45Run(row, where, model, x, where.level(0.3), {"max_calls": 9}, {})
    field = _Field(run, where.level(0.29), 1e-3, 1e-3)
    for beyond in (0.28, -0.1, 0.3000001):
        field(beyond, field.y)
    assert asked[-3:] == [0.29, 0.29, 0.3]


def test_a_state_that_is_not_finite_is_refused_before_any_call() -> None:
    def never(x: Tensor, sigma: Tensor) -> Tensor:
        raise AssertionError("called")

    with pytest.raises(FloatingPointError, match="rk45 begins with NaN or inf in its state, at sigma 5"):
        fewstep.adaptive(never, torch.tensor([[1.0, math.nan]]), [5.0, 0.1], "rk45")


def test_rejections_before_a_stop_are_in_the_report() -> None:
    """A model that answers at random: no step is accepted, and each attempt counts."""
    generator = torch.Generator().manual_seed(0)
    told: list[Any] = []

    def dice(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)

    with pytest.raises(NotConvergedError, match=r"found no step .* even one of .* in sigma had .* times") as caught:
        fewstep.adaptive(dice, torch.ones(2, 3), [10.0, 0.1], "rk45", rtol=1e-12, callback=told.append)
    result = caught.value.result
    assert (result.accepted, result.level.host, told) == (0, 10.0, [])
    assert result.calls == 2 + 6 * result.rejected > 2
    with pytest.raises(NotConvergedError, match="has made 14 of at most 19") as caught:
        fewstep.adaptive(dice, torch.ones(2, 3), [10.0, 0.1], "rk45", rtol=1e-12, max_calls=19)
    assert (caught.value.result.rejected, caught.value.result.calls) == (2, 14)


@pytest.mark.parametrize("shape", [(3,), (2, 5, 7), (1, 4, 3, 8, 8), (0, 4)])
@pytest.mark.parametrize("frame", FRAMES)
def test_shapes(shape: tuple[int, ...], frame: str) -> None:
    x = torch.ones(shape)
    result = fewstep.adaptive(lambda x, s: 0.1 * x, x, [0.9, 0.3, 0.0], "rk45", frame)
    assert result.x.shape == shape
    assert result.x.dtype == torch.float32
    assert torch.equal(x, torch.ones(shape))
