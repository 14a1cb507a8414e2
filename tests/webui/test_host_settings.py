"""The host's own settings, and models of other kinds, with our samplers and schedules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from fewstep import schedule
from fewstep.a1111.levels import rho_of
from fewstep.a1111.words import schedule_label
from fewstep.samplers.schedules import schedules
from webui_host import Host

MULTISTEP, SINGLESTEP, IN_TIME = "Fewstep DPM++ 3M", "Fewstep DPM++ 3S", "Fewstep DEIS tAB3"
STEPS = 6
#: our schedules of noise-prediction models
OURS = [id for id, row in schedules().items() if "ve" in row.frames]
WITH_RHO = [id for id in OURS if rho_of(schedules()[id]) != -1.0]


def levels(host: Host, label: str, steps: int = STEPS, name: str = MULTISTEP, **settings: object) -> list[float]:
    latents = host.latents(sampler_name=name, scheduler=label, steps=steps, override_settings=settings)
    assert torch.isfinite(latents).all()
    assert len(host.calls()) == steps
    return host.sigmas()


def assert_levels(found: list[float], expected: list[float]) -> None:
    # the model's table in float32, in the host, against the formula's in float64: 1e-6
    assert found == pytest.approx(expected, rel=1e-4)


# --- the ends and the shape of schedules -----------------------------------------------------------------------------


@pytest.mark.parametrize("id", OURS)
def test_our_schedules_take_the_hosts_ends(host: Host, id: str) -> None:
    found = levels(host, schedule_label(schedules()[id]), sigma_min=0.1, sigma_max=10.0)
    assert_levels(found, schedule(id, STEPS, sigma_min=0.1, sigma_max=10.0)[:-1])


def test_the_hosts_old_range_reaches_our_schedules(host: Host) -> None:
    found = levels(host, "Fewstep Karras", use_old_karras_scheduler_sigmas=True)
    assert_levels(found, schedule("karras", STEPS, sigma_min=0.1, sigma_max=10.0)[:-1])


@pytest.mark.parametrize("id", WITH_RHO)
def test_the_hosts_rho_reaches_our_schedules(host: Host, id: str) -> None:
    found = levels(host, schedule_label(schedules()[id]), rho=3.0)
    assert_levels(found, schedule(id, STEPS, rho=3.0)[:-1])


def test_the_hosts_rho_leaves_the_others_alone(host: Host) -> None:
    assert levels(host, "Fewstep Beta", rho=3.0) == levels(host, "Fewstep Beta")


def test_settings_of_one_request_are_gone_from_the_next(host: Host) -> None:
    before = levels(host, "Fewstep Karras")
    assert levels(host, "Fewstep Karras", sigma_min=0.1, rho=3.0) != before
    assert levels(host, "Fewstep Karras") == before


@pytest.mark.parametrize("label", ["Karras", "Fewstep Karras"])
@pytest.mark.parametrize("name", [MULTISTEP, SINGLESTEP])
def test_without_the_next_to_last_level_n_steps_are_n_calls(host: Host, name: str, label: str) -> None:
    found = levels(host, label, name=name, always_discard_next_to_last_sigma=True)
    assert_levels(found, schedule("karras", STEPS + 1)[:-2])


@pytest.mark.parametrize("name", [MULTISTEP, SINGLESTEP])
def test_the_first_state_is_scaled_as_the_host_says(host: Host, name: str) -> None:
    (sigma, *_), plain = levels(host, "Fewstep Beta", name=name), host.tensor("first")
    levels(host, "Fewstep Beta", name=name, sgm_noise_multiplier=True)
    # noise times sqrt(1 + sigma^2) in the place of noise times sigma, in float32
    torch.testing.assert_close(host.tensor("first"), plain * (1 + sigma**-2) ** 0.5, rtol=1e-6, atol=0)


# --- models of other kinds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MULTISTEP, IN_TIME])
def test_a_model_without_signal_at_its_first_level(host: Host, name: str) -> None:
    found = levels(host, "Fewstep Time uniform", name=name, sd_noise_schedule="Zero Terminal SNR")
    # the hosts put alpha^2 = 4.9e-8 in the place of 0
    assert found[0] == pytest.approx(4.8973451890853435e-08**-0.5, rel=1e-3)


NOT_ROUNDED = (
    "Forge's engines have no alphas_cumprod_original, so the setting does nothing; reForge reads it only together with "
    "zero terminal SNR, and does not put its tables back when such a run ends in an error"
)


@pytest.mark.parametrize("name", [MULTISTEP, IN_TIME])
def test_a_table_in_half_precision(host: Host, name: str) -> None:
    if host.name != "a1111":
        pytest.skip(NOT_ROUNDED)
    host.reset()
    request = {"sampler_name": name, "scheduler": "Fewstep Time uniform", "steps": STEPS}
    picture = host.picture(**request, override_settings={"use_downcasted_alpha_bar": True})
    assert picture.parameters["Downcast alphas_cumprod"] == "True"
    assert torch.isfinite(host.tensor("last")).all()
    exact = schedule("time_uniform", STEPS)[:-1]
    assert host.sigmas() != pytest.approx(exact, rel=1e-4)
    # 1 - alpha^2 is 0.00085 at the first level, and half precision has steps of 0.0005 there
    assert host.sigmas() == pytest.approx(exact, rel=0.25)


def test_half_precision_without_signal_is_a_table_that_we_refuse(host: Host) -> None:
    if host.name != "a1111":
        pytest.skip(NOT_ROUNDED)
    settings = {"use_downcasted_alpha_bar": True, "sd_noise_schedule": "Zero Terminal SNR"}
    # its sigma_max is inf: the host's own samplers end in its NansException, with status 500
    answer = host.refusal(sampler_name=MULTISTEP, scheduler="Fewstep Karras", override_settings=settings)
    assert answer.status == 422
    assert "inf" in answer.body["detail"]


#: host -> the table that its denoisers are made from, and how to set it
TABLES = {
    "a1111": ("shared.sd_model.alphas_cumprod_original", "shared.sd_model.alphas_cumprod_original = table"),
    "reforge": ("shared.sd_model.alphas_cumprod", "shared.sd_model.alphas_cumprod = table"),
    "forge": (
        "shared.sd_model.forge_objects.unet.model.predictor.sigmas",
        "shared.sd_model.forge_objects.unet.model.predictor.set_sigmas(table)",
    ),
}


@pytest.fixture
def repeats(host: Host) -> Iterator[None]:
    """The model's table, of alpha^2 or in Forge of sigma, with two runs of equal values, as rounding makes them.

    Not at its ends: there the first level is one of the equal ones, for which A1111's sigma_to_t divides 0 by 0.
    """
    get, put = TABLES[host.name]
    rounded = "table = probe.table.clone(); table[100:104], table[490:500] = table[100], table[490]"
    host.run(f"probe.table = {get}; {rounded}; {put}")
    yield
    host.run(f"table = probe.table; {put}")


@pytest.mark.usefixtures("repeats")
@pytest.mark.parametrize("name", [MULTISTEP, IN_TIME])
def test_a_table_with_repeated_levels(host: Host, name: str) -> None:
    table = host.run(f"result = ({TABLES[host.name][0]}).tolist()")
    assert len(set(table)) == 1000 - 3 - 9
    # the runs are replaced by a line between their ends, which a table of the usual kind nearly is
    assert levels(host, "Fewstep Time uniform", name=name) == pytest.approx(
        schedule("time_uniform", STEPS)[:-1], rel=1e-3
    )


def test_quantized_times_leave_the_levels_alone(host: Host) -> None:
    if host.name == "forge":
        pytest.skip("Forge has the setting enable_quantization and does not read it")
    assert levels(host, "Fewstep Beta", enable_quantization=True) == levels(host, "Fewstep Beta")


#: host -> how to make the loaded model predict v, and what undoes it
V_PREDICTION = {
    "a1111": ("shared.sd_model.parameterization = 'v'", "shared.sd_model.parameterization = 'eps'"),
    "forge": (
        "shared.sd_model.forge_objects.unet.model.predictor.prediction_type = 'v_prediction'",
        "shared.sd_model.forge_objects.unet.model.predictor.prediction_type = 'epsilon'",
    ),
    "reforge": (
        "from ldm_patched.modules.model_base import ModelType, model_sampling\n"
        "shared.sd_model.parameterization, model = 'v', shared.sd_model.forge_objects.unet.model\n"
        "probe.of_noise = model.model_sampling\n"
        "model.model_sampling = model_sampling(model.model_config, ModelType.V_PREDICTION)",
        "shared.sd_model.parameterization, model = 'eps', shared.sd_model.forge_objects.unet.model\n"
        "model.model_sampling = probe.of_noise",
    ),
}


@pytest.fixture
def of_noise(host: Host) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The first state and answer of a model that predicts noise; in the test it predicts v."""
    make, undo = V_PREDICTION[host.name]
    levels(host, "Fewstep Beta", steps=1)
    first, answer = host.tensor("first"), host.tensor("answers")[0]
    host.run(make)
    yield first, answer
    host.run(undo)
    levels(host, "Fewstep Beta", steps=1)
    assert torch.equal(host.tensor("answers")[0], answer)


def test_a_model_that_predicts_v(host: Host, of_noise: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, x0 = of_noise
    for name in (MULTISTEP, SINGLESTEP, IN_TIME):
        sigma, *_ = levels(host, "Fewstep Beta", name=name)
        assert torch.equal(host.tensor("first"), x)
        # the network's output F is (x - x0)/sigma; read as v, x0 is x/(1 + sigma^2) - sigma F/sqrt(1 + sigma^2)
        expected = x / (1 + sigma**2) - (x - x0) / (1 + sigma**2) ** 0.5
        torch.testing.assert_close(host.tensor("answers")[0], expected, rtol=1e-4, atol=1e-4)
