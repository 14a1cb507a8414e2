"""From the host's denoiser to a frame, and the levels of our schedules in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import fewstep
import pytest
import torch
from fewstep.a1111.auto import drawing_for
from fewstep.a1111.levels import levels_function, rho_of
from fewstep.a1111.model_frame import frame_of
from fewstep.a1111.refusal import RefusedError
from fewstep.a1111.sampling import sampler_function
from fewstep.samplers.auto import choose_schedule
from fewstep.samplers.level import Frame
from fewstep.samplers.times import sigma_range
from webui_models import (
    DENOISERS,
    EDM,
    FRAMES,
    SD,
    ZERO_SNR,
    ZERO_SNR_HALF,
    Guided,
    compvis,
    core_levels,
    flow_table,
    forge,
    host_levels,
)

SOLVERS, SCHEDULES = fewstep.solvers(), fewstep.schedules()

#: denoiser -> (frame, the model's own time at entry i of n of its table)
TIMES: dict[str, tuple[str, Callable[[int, int], float]]] = {
    **dict.fromkeys(
        ("sd1", "sdxl", "sd1, half precision", "sd1, zero SNR", "forge sd1", "forge v"), ("ve", lambda i, n: i)
    ),
    "forge edm": ("ve", lambda i, n: math.log(0.002) + i / (n - 1) * math.log(120 / 0.002)),
    "forge continuous v": ("ve", lambda i, n: 2 / math.pi * math.atan(EDM[i].double())),
    **dict.fromkeys(("forge flux", "forge sd3", "a1111 sd3"), ("flow", lambda i, n: (i + 1) / n)),
}


# --- the frame -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TIMES)
def test_frames_of_models(name: str) -> None:
    """Every entry of the model's table stands at the model's own time for it, within float32."""
    wanted, time = TIMES[name]
    table = DENOISERS[name].sigmas.tolist()
    where = frame_of(DENOISERS[name])
    assert where.name == wanted
    assert sigma_range(where.time) == pytest.approx((table[0], table[-1]), rel=1e-6)
    for i in range(0, len(table), 37):
        assert where.time.sigma(time(i, len(table))) == pytest.approx(table[i], rel=3e-6)
        assert where.time.time(table[i]) == pytest.approx(time(i, len(table)), rel=2e-5)


def test_repeated_entries_become_a_rise() -> None:
    """What stands at the beginning of each run is kept, and the time of every other entry."""
    rounded = SD.bfloat16().tolist()
    runs = [i for i in range(1, 1000) if rounded[i] == rounded[i - 1]]
    assert len(runs) > 100
    where = frame_of(compvis(SD.bfloat16()))
    made = [where.time.sigma(float(i)) for i in range(1000)]
    assert where.time.t_max == 999
    assert all(a < b for a, b in pairwise(made))
    assert all(made[i] == pytest.approx(rounded[i], rel=1e-12) for i in range(1000) if i not in runs)
    assert torch.allclose(torch.tensor(made), SD, rtol=2**-7)


def test_a_table_without_a_highest_level_is_refused() -> None:
    """A1111 with downcast alphas and zero terminal SNR: its own samplers end in NaN there."""
    assert ZERO_SNR_HALF[-1] == math.inf
    with pytest.raises(ValueError, match="time table is inf, expected a positive finite sigma"):
        frame_of(compvis(ZERO_SNR_HALF))


@pytest.mark.parametrize(
    "table", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, 1.0], [-1.0, 1.0], [1.0, 2.0, 1.5], [1.0, math.nan, 2.0]]
)
def test_a_useless_table_is_refused(table: list[float]) -> None:
    denoiser = compvis(torch.tensor(table))
    with pytest.raises(ValueError, match=r"that no sampler can use|expected a positive finite sigma"):
        frame_of(denoiser)
    with pytest.raises(RefusedError, match=r"that no sampler can use|expected a positive finite sigma"):
        levels_function(SCHEDULES["karras"])(4, 0.1, 1.0, denoiser)
    with pytest.raises(RefusedError, match=r"that no sampler can use|expected a positive finite sigma"):
        sampler_function(SOLVERS["ddim"])(Guided(denoiser), torch.ones(1, 2), torch.tensor([1.0, 0.0]))


def test_flow_is_a_const_predictor_with_levels_up_to_1() -> None:
    def made(prediction_type: str, *table: float) -> Frame:
        return frame_of(forge("Prediction", prediction_type, torch.tensor(table)))

    assert made("const", 0.5, 1.0).name == "flow"
    assert made("const", 0.5, 40.0).name == made("epsilon", 0.5, 1.0).name == "ve"
    # float32 may miss 1 by a unit in the last place
    assert sigma_range(made("const", 0.5, 1.0000001).time) == (0.5, 1.0)


# --- levels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("id", SCHEDULES)
def test_levels_are_those_of_the_core(id: str, name: str) -> None:
    for n in (1, 2, 50):
        if FRAMES[name].name not in SCHEDULES[id].frames:
            with pytest.raises(RefusedError, match="exists in frame") as caught:
                host_levels(id, name, n)
            assert vars(caught.value)["status_code"] == 422
            continue
        levels = host_levels(id, name, n)
        assert (levels.dtype, levels.device.type, levels.shape, levels[-1]) == (torch.float32, "cpu", (n + 1,), 0.0)
        assert torch.equal(levels, core_levels(id, name, n))


@pytest.mark.parametrize("name", FRAMES)
def test_auto_draws_for_a_network_without_guidance_unless_it_can_see_the_run(name: str) -> None:
    """The host tells a schedule's function no `p`; our own samplers do while they have levels drawn."""
    for n in (1, 5, 20):
        plain, strong = (core_levels("auto", name, n, guidance=value) for value in (1.0, 7.0))
        assert torch.equal(host_levels("auto", name, n), plain)
        for cfg, wanted in ((7.0, strong), (0.0, plain)):
            p = SimpleNamespace(cfg_scale=cfg, extra_generation_params={})
            with drawing_for(p):
                assert torch.equal(host_levels("auto", name, n), wanted)
            pick = choose_schedule(FRAMES[name], n, guidance=max(cfg, 1.0))
            assert p.extra_generation_params == {"Fewstep auto": str(pick)}
        assert torch.equal(host_levels("auto", name, n), plain)


def test_auto_heeds_the_ends_that_a_setting_of_the_host_asks_for() -> None:
    ends = {"sigma_min": 0.1, "sigma_max": 10.0}
    assert torch.equal(host_levels("auto", "sd1", 8, **ends), core_levels("auto", "sd1", 8, guidance=1.0, **ends))


def test_align_your_steps_has_two_tables() -> None:
    assert not torch.equal(host_levels("ays", "sd1", 10), host_levels("ays", "sdxl", 10))


@pytest.mark.parametrize("id", ["karras", "beta", "time_quadratic", "ays"])
@pytest.mark.parametrize("ends", [{"sigma_min": 0.1}, {"sigma_max": 10.0}, {"sigma_min": 0.1, "sigma_max": 10.0}])
def test_ends_that_a_setting_of_the_host_asks_for(id: str, ends: dict[str, float]) -> None:
    levels = host_levels(id, "sd1", 8, **ends)
    assert torch.equal(levels, core_levels(id, "sd1", 8, **ends))
    assert not torch.equal(levels, host_levels(id, "sd1", 8))


@pytest.mark.parametrize("id", ["karras", "polyexponential"])
def test_rho_that_a_setting_of_the_host_asks_for(id: str) -> None:
    assert torch.equal(host_levels(id, "sd1", 8, rho=2.0), core_levels(id, "sd1", 8, rho=2.0))
    assert not torch.equal(host_levels(id, "sd1", 8, rho=2.0), host_levels(id, "sd1", 8, rho=rho_of(SCHEDULES[id])))


def test_levels_are_where_they_are_asked_for_and_in_float32() -> None:
    assert host_levels("karras", "sd1", 4, "meta").device.type == "meta"
    assert host_levels("karras", "sd1", 4, None).device.type == "cpu"
    torch.set_default_dtype(torch.float64)
    try:
        assert host_levels("karras", "sd1", 4).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_tables_of_these_tests_are_those_of_the_hosts() -> None:
    assert (float(SD[0]), float(SD[-1])) == pytest.approx((0.02917, 14.6146), rel=1e-4)
    assert float(ZERO_SNR[-1]) == pytest.approx(4518.7, rel=1e-4)
    assert float(flow_table(3.0, 1000)[0]) == pytest.approx(0.00299, rel=2e-3)
