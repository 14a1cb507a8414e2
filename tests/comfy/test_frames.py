"""The host's model_sampling objects as frames: the convention, the range, the time, and levels like the host's own."""

from __future__ import annotations

from typing import Any

import fewstep
import pytest
import torch
from exact import exact_model, gaussian, sample
from fewstep.nodes.host_sampler import Choice, sampler_function
from fewstep.nodes.model_frame import frame_of, model_sampling_of
from fewstep.samplers.level import snapped
from fewstep.samplers.times import Table, sigma_range
from harness import still

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("host")]

#: (ModelType, settings, frame); those that a host lacks are left out
KINDS = [
    ("EPS", {}, "ve"),
    ("EPS", {"zsnr": True}, "ve"),
    ("V_PREDICTION", {}, "ve"),
    ("V_PREDICTION_EDM", {}, "ve"),
    ("V_PREDICTION_CONTINUOUS", {"sigma_min": 0.3, "sigma_max": 500.0}, "ve"),
    ("V_PREDICTION_DDPM", {}, "ve"),
    ("EDM", {"sigma_max": 80.0}, "ve"),
    ("STABLE_CASCADE", {"shift": 2.0}, "ve"),
    ("FLOW", {"shift": 3.0}, "flow"),
    ("FLOW", {"shift": 1.15, "multiplier": 1.0}, "flow"),
    ("FLUX", {}, "flow"),
    ("FLOW_COSMOS", {"sigma_max": 80.0}, "ve"),
    ("IMG_TO_IMG", {}, "ve"),
    ("IMG_TO_IMG_FLOW", {}, "ve"),
    ("FLOW_AV", {"shift": 5.0}, "flow"),
]
IDS = [f"{kind} {settings or ''}".strip() for kind, settings, _ in KINDS]


def in_this_host(kind: str) -> None:
    """Skips a kind of model that older versions of the host do not know: there is nothing to make it of."""
    import comfy.model_base

    if not hasattr(comfy.model_base.ModelType, kind):
        pytest.skip(f"this host has no {kind}")


def made(kind: str, settings: dict[str, Any]) -> Any:
    in_this_host(kind)
    return exact_model(gaussian, kind, settings)


@pytest.mark.parametrize(("kind", "settings", "name"), KINDS, ids=IDS)
def test_the_frame_has_the_models_range_and_time(kind: str, settings: dict[str, Any], name: str) -> None:
    sampling = made(kind, settings).get_model_object("model_sampling")
    frame = frame_of(sampling)
    assert frame.name == name
    # float32 tables
    ends = float(sampling.sigma_min), float(sampling.sigma_max)
    assert sigma_range(frame.time) == pytest.approx(ends, rel=3e-6)
    shares = [0.05, 0.2, 0.4, 0.6, 0.8, 0.95]
    sigmas = [ends[0] ** (1 - share) * ends[1] ** share for share in shares]
    ours = [frame.time.time(sigma) for sigma in sigmas]
    theirs = [float(_host_time(sampling, sigma)) for sigma in sigmas]
    # the same up to a factor and an offset, which no polynomial and no schedule sees; a table's index is rounded by
    # the host to the nearest entry, so it may be off by half an entry of a thousand
    slack = 1e-3 if isinstance(frame.time, Table) and kind != "STABLE_CASCADE" else 2e-5
    a, b = ours[-1] - ours[0], theirs[-1] - theirs[0]
    for x, y in zip(ours, theirs, strict=True):
        assert (x - ours[0]) / a == pytest.approx((y - theirs[0]) / b, abs=slack)


def _host_time(sampling: Any, sigma: float) -> Any:
    """The host's time label; on shifted models the time before the shift, from which schedules are made."""
    if hasattr(sampling, "shift"):
        low, high = 0.0, float(getattr(sampling, "multiplier", 1.0))
        for _ in range(60):  # the host has only sigma(t), increasing
            middle = (low + high) / 2
            below = float(sampling.sigma(torch.tensor(middle, dtype=torch.float64))) < sigma
            low, high = (middle, high) if below else (low, middle)
        return low
    return sampling.timestep(torch.tensor([sigma], dtype=torch.float64))[0]


@pytest.mark.parametrize(("kind", "settings", "name"), KINDS, ids=IDS)
def test_every_kind_of_model_is_sampled(kind: str, settings: dict[str, Any], name: str) -> None:
    """Three families of solver, n calls, a finite latent; tAB reads the time map."""
    patcher = made(kind, settings)
    frame = frame_of(patcher.get_model_object("model_sampling"))
    for id in ("dpmpp_3m", "deis_tab2", "dpm_solver_3s"):
        levels = fewstep.schedule("sgm_uniform" if name == "flow" else "karras", 8, frame=frame)
        patcher.model.asked.clear()
        out = sample(patcher, sampler_function(Choice(fewstep.solvers()[id])), levels, torch.randn(1, 4, 4, 4))
        assert len(patcher.model.asked) == 8
        assert torch.isfinite(out).all()


def test_patched_sampling_is_honoured() -> None:
    """ModelSampling nodes patch the model; the frame is that of the patch, not of the checkpoint."""
    patcher = exact_model(gaussian, "FLOW", {"shift": 3.0}).clone()
    other = exact_model(gaussian, "FLUX").get_model_object("model_sampling")
    patcher.add_object_patch("model_sampling", other)
    inner = type("Model", (), {"inner_model": type("Guider", (), {"model_patcher": patcher})})
    assert model_sampling_of(inner) is other
    with pytest.raises(ValueError, match="without a model_sampling"):
        model_sampling_of(object())


def test_noise_scale_changes_the_noise_and_not_the_solver() -> None:
    """x = (1 - sigma) x0 + sigma s n: with data s times as large, the latent is s times that of s = 1."""
    patcher = exact_model(gaussian, "FLOW", {"shift": 3.0})
    sampling = patcher.get_model_object("model_sampling")
    if not hasattr(sampling, "set_noise_scale"):
        pytest.skip("this host knows no noise_scale")
    noise = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    levels = fewstep.schedule("simple", 12, frame=frame_of(sampling))
    fn = sampler_function(Choice(fewstep.solvers()["flow_ab3"]))
    plain = sample(patcher, fn, levels, noise)
    scaled = exact_model(lambda x, a, s: gaussian(x / 8, a, s) * 8, "FLOW", {"shift": 3.0, "noise_scale": 8.0})
    assert torch.allclose(sample(scaled, fn, levels, noise), 8 * plain, rtol=1e-5, atol=1e-5)


def test_rounding_above_flow_sigma_1_is_forgiven_and_other_levels_are_not() -> None:
    flow = frame_of(exact_model(gaussian, "FLOW").get_model_object("model_sampling"))
    assert snapped([1.0000001, 0.5], flow) == [1.0, 0.5]
    with pytest.raises(ValueError, match=r"sigmas: sigmas\[0\] is 14.6.*flow levels lie in 0..1"):
        Choice(fewstep.solvers()["dpmpp_2m"]).plan([14.6, 1.0, 0.0], flow)


@pytest.mark.parametrize("first", [1.0, 0.99999994, 0.9999999, 0.999999])
@pytest.mark.parametrize("id", [id for id, row in fewstep.solvers().items() if row.calls == 1])
def test_a_first_flow_level_just_below_1_is_as_good_as_1(id: str, first: float) -> None:
    """The host's float32 shift often gives such a level. The exact latent is half the noise."""
    patcher, noise = exact_model(gaussian, "FLOW"), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    levels = [first, *fewstep.schedule("simple", 20, frame="flow")[1:]]
    fn = sampler_function(Choice(fewstep.solvers()[id], still(id, "flow")))
    errors = [
        float((sample(patcher, fn, each, noise) - noise / 2).abs().max()) for each in (levels, [1.0, *levels[1:]])
    ]
    # measured at most 1.08 times; dpm_solver_3m once had 7 instead of 0.004
    assert errors[0] <= 1.25 * errors[1] + 1e-4


def test_a_shift_that_is_no_shift_names_the_model() -> None:
    with pytest.raises(ValueError, match="model: flow shift must be positive, got 0"):
        frame_of(exact_model(gaussian, "FLOW", {"shift": 0.0}).get_model_object("model_sampling"))


#: our schedule -> the host's
SCHEDULES = {
    "karras": "karras",
    "exponential": "exponential",
    "time_uniform": "normal",
    "sgm_uniform": "sgm_uniform",
    "simple": "simple",
    "kl_optimal": "kl_optimal",
    "beta": "beta",
}
#: Where the host does something else, and by how much the levels differ (measured 0.68, 3.7e-3, 3.3e-2, 3.6e-3):
#: on Flux it takes sigma_min for a time and shifts it again; on flow models it rounds beta's quantiles to entries.
DIFFERENT = {
    ("time_uniform", "FLUX"): 0.7,
    ("sgm_uniform", "FLUX"): 4e-3,
    ("beta", "FLOW"): 4e-2,
    ("beta", "FLUX"): 4e-3,
}


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("kind", ["EPS", "FLOW", "FLUX"])
@pytest.mark.parametrize("id", SCHEDULES)
def test_schedules_of_one_name_are_the_hosts(id: str, kind: str, n: int) -> None:
    """Relative difference of the positive levels: 1e-4 (the host computes in float32; measured at most 3e-5)."""
    import comfy.samplers

    sampling = exact_model(gaussian, kind).get_model_object("model_sampling")
    ours = fewstep.schedule(id, n, frame=frame_of(sampling))
    theirs = comfy.samplers.calculate_sigmas(sampling, SCHEDULES[id], n).tolist()
    worst = max(abs(a - b) / b for a, b in zip(ours[:-1], theirs[:-1], strict=True))
    print(f"{id} {kind} {n}: {worst:.1e}")
    assert ours[-1] == theirs[-1] == 0.0
    assert worst < DIFFERENT.get((id, kind), 1e-4)
