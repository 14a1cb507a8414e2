"""Levels, frames and time maps: round trips, the ends, and what is refused."""

from __future__ import annotations

import itertools
import math
import random

import fewstep
import mpmath
import numpy as np
import pytest
from fewstep.samplers import times
from fewstep.samplers.level import read_levels

RANDOM = random.Random(4)


@pytest.mark.parametrize("name", times.TIME_MAPS)
def test_time_round_trips(name: str) -> None:
    made = times.time_map(name)
    for _ in range(200):
        t = RANDOM.uniform(made.t_min, made.t_max)
        sigma = made.sigma(t)
        # log-linear tables: dt/d(log sigma) is up to a few hundred, so an ulp of log sigma is up to 1e-13 in t
        assert made.time(sigma) == pytest.approx(t, rel=1e-12, abs=1e-12)
        assert made.sigma(made.time(sigma)) == pytest.approx(sigma, rel=1e-12)


@pytest.mark.parametrize("name", times.TIME_MAPS)
def test_time_increases_strictly_also_beyond_the_ends(name: str) -> None:
    made = times.time_map(name)
    low, high = times.sigma_range(made)
    top = 1.0 if name == "flow" else high * 20
    sigmas = np.geomspace(low / 50, top, 4001)
    t = [made.time(float(sigma)) for sigma in sigmas]
    assert all(b > a for a, b in itertools.pairwise(t))
    # the same formula in numpy: at most 1.9e-15 apart over all maps, measured; near t = 0 relative to the whole range
    assert np.allclose(made.times(np.log(sigmas)), t, rtol=1e-14, atol=1e-15 * abs(t[-1]))


def test_tables_have_their_published_ends() -> None:
    # Stable Diffusion 0.0292..14.6146 and the terminal 4518.8 of zero-SNR hosts; DDPM linear ends at 157.4
    assert times.sigma_range(times.scaled_linear()) == pytest.approx((0.029167, 14.614641), rel=1e-5)
    assert times.sigma_range(times.zero_snr())[1] == pytest.approx(4518.76, rel=1e-5)
    assert times.zero_snr().sigmas[0] == pytest.approx(times.scaled_linear().sigmas[0], rel=1e-12)
    assert times.sigma_range(times.linear()) == pytest.approx((0.0100005, 157.40728), rel=1e-5)


@pytest.mark.parametrize("sigma", [1e-6, 1e-3, 0.1, 1.0, 30.0, 152.0])
def test_continuous_vp_time_loses_no_digits(sigma: float) -> None:
    with mpmath.workdps(50):
        integral = mpmath.log1p(mpmath.mpf(sigma) ** 2)
        root = (
            mpmath.sqrt(mpmath.mpf("0.1") ** 2 + 2 * mpmath.mpf("19.9") * integral) - mpmath.mpf("0.1")
        ) / mpmath.mpf("19.9")
    assert times.ContinuousVP().time(sigma) == pytest.approx(float(root), rel=1e-14)


@pytest.mark.parametrize("name", ["ve", "vp", "flow"])
def test_levels_agree_with_their_definition(name: str) -> None:
    frame = fewstep.frame(name)
    for host in (1e-5, 0.01, 0.3, 0.9, 0.999, *((2.0, 14.6, 4518.0) if name != "flow" else ())):
        level = frame.level(host)
        assert level.rho == pytest.approx(level.sigma / level.alpha, rel=1e-14)
        assert level.lam == pytest.approx(math.log(level.alpha / level.sigma), rel=1e-12, abs=1e-14)
        again = frame.level_at_lam(level.lam)
        # near flow sigma 1 the map from lambda to sigma is well conditioned, the other way is not
        assert again.host == pytest.approx(host, rel=1e-13)
        total = {"ve": level.alpha, "vp": math.hypot(level.alpha, level.sigma), "flow": level.alpha + level.sigma}[name]
        assert total == pytest.approx(1.0, rel=1e-15)


def test_ends_are_regular() -> None:
    for name in ("ve", "vp", "flow"):
        clean = fewstep.frame(name).level(0.0)
        assert (clean.alpha, clean.sigma, clean.rho, clean.lam) == (1.0, 0.0, 0.0, math.inf)
    pure = fewstep.frame("flow").level(1.0)
    assert (pure.alpha, pure.sigma, pure.lam, pure.rho) == (0.0, 1.0, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("sigmas", "says"),
    [
        ([], "got 0 sigma"),
        ([1.0], "got 1 sigma"),
        ([3.0, 2.0, 2.0, 0.0], "repeated"),
        ([3.0, 2.0, 2.5, 0.0], r"sigmas\[1\] = 2 < sigmas\[2\] = 2.5"),
        ([0.1, 1.0, 3.0], "inversion"),
        ([3.0, -1.0], "negative"),
        ([3.0, math.nan, 0.0], r"sigmas\[1\] is nan"),
        ([math.inf, 1.0, 0.0], "finite"),
    ],
)
def test_bad_levels_say_what_is_wrong(sigmas: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_levels(sigmas, fewstep.frame("ve"))


def test_flow_levels_above_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"14\.6.*flow levels lie in 0\.\.1"):
        fewstep.plan("flow_ab2", [14.6, 1.0, 0.0], "flow")


def test_unknown_names_get_the_nearest_match() -> None:
    with pytest.raises(ValueError, match="did you mean 'flow'"):
        fewstep.frame("flwo")
    with pytest.raises(ValueError, match="did you mean 'scaled_linear'"):
        fewstep.frame("ve", "scaled_liner")
    with pytest.raises(ValueError, match="increase strictly"):
        times.Table((1.0, 1.0, 2.0))
    with pytest.raises(ValueError, match="shift"):
        times.FlowShift(0.0)


def test_a_cosine_schedule_without_offset_is_the_arctangent() -> None:
    """The time of continuous v models: t = (2/pi) atan(sigma), 0 at sigma 0."""
    made = times.CosineVP(0.0)
    assert made.time(0.0) == 0.0
    for sigma in (1e-6, 0.03, 1.0, 500.0):
        assert made.time(sigma) == pytest.approx(2 / math.pi * math.atan(sigma), rel=1e-14)


@pytest.mark.parametrize("shift", [0.01, 0.1, 0.2, 0.41, 1.0, 1.15, 3.0, 17.3])
def test_a_flow_shift_is_exact_at_both_ends(shift: float) -> None:
    """At 16 of the shifts 0.01 to 20.00 the textbook formula gives 1.0000000000000002, which is no flow level."""
    made = times.FlowShift(shift)
    assert (made.sigma(0.0), made.sigma(1.0), made.time(0.0), made.time(1.0)) == (0.0, 1.0, 0.0, 1.0)
    assert made.sigma(0.5) == pytest.approx(shift / (1 + shift), rel=1e-15)
