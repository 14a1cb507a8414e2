"""Flow models: the host's parameterisation around the small network, and one function in the place of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import checkout
from doors import SOURCE, answer, difference, python_door
from fewstep import run
from fewstep.a1111.words import sampler_label, schedule_label
from fewstep.samplers.schedules import schedules
from fewstep.samplers.solvers import solver
from harness import FIXED, made_profile, still
from test_doors import TOLERANCE, levels
from webui_host import Host, alwayson, kind_of

#: Forge's predictor stands in the network's wrapper; everything else of the engine stays that of the small checkpoint
_FORGE = """
from backend.modules.k_prediction import PredictionDiscreteFlow, PredictionFlux
from modules import sd_models
sd_models.forge_model_reload()
model = shared.sd_model.forge_objects.unet.model
if not hasattr(probe, "predictor"):
    probe.predictor = model.predictor
model.predictor = {"flux": PredictionFlux, "sd3": lambda: PredictionDiscreteFlow(shift=3.0)}[kind]()
"""
_FORGE_BACK = "shared.sd_model.forge_objects.unet.model.predictor = probe.predictor"
#: A1111's SD3 is a class of its own around a large network; its denoiser, table and mixing are what a sampler sees
_A1111 = """
from modules.models.sd3.sd3_impls import ModelSamplingDiscreteFlow
from modules.models.sd3.sd3_model import SD3Denoiser, SD3Inferencer as Real

class SD3Inferencer:
    shift = 3.0
    is_sdxl_inpaint = False
    add_noise_to_latent = Real.add_noise_to_latent
    def apply_model(self, x, t, cond):
        return torch.zeros_like(x)

inner = SD3Inferencer()
shared.sd_model.create_denoiser = lambda: SD3Denoiser(inner, ModelSamplingDiscreteFlow(shift=3.0).sigmas)
shared.sd_model.add_noise_to_latent = inner.add_noise_to_latent
"""
_A1111_BACK = "del shared.sd_model.create_denoiser, shared.sd_model.add_noise_to_latent"

#: host -> (kinds of flow model, code that puts one there, code that takes it away)
_HOSTS = {"forge": (("flux", "sd3"), _FORGE, _FORGE_BACK), "a1111": (("sd3",), _A1111, _A1111_BACK)}
_NAME = kind_of(checkout())
if _NAME not in _HOSTS:
    pytest.skip(f"{_NAME} cannot sample flow models: its sampler asks them for what they lack", allow_module_level=True)


@pytest.fixture(params=_HOSTS[_NAME][0])
def flow(host: Host, request: pytest.FixtureRequest) -> Iterator[str]:
    _, there, back = _HOSTS[_NAME]
    host.run(there, kind=request.param)
    yield request.param
    host.run(back)


@pytest.mark.parametrize("id", [id for id, row in FIXED.items() if "flow" in row.frames])
def test_every_solver_is_right(host: Host, flow: str, id: str) -> None:
    asked: dict[str, Any] = {"scheduler": "Fewstep Time uniform", "steps": 8}
    sigmas = levels(host, **asked)
    assert (len(sigmas), sigmas[0]) == (9, 1.0)
    host.run(SOURCE + "\nprobe.answer = answer")
    quiet = still(id, "flow")
    picture = host.picture(sampler_name=sampler_label(solver(id)), **asked, **alwayson(quiet))
    assert picture.parameters["Sampler"] == sampler_label(solver(id))
    assert len(host.calls()) == 8
    assert difference(host.tensor("last"), python_door(host.tensor("first"), sigmas, id, "flow", **quiet)) < TOLERANCE


@pytest.mark.parametrize("id", [row.id for row in schedules().values()])
def test_schedules(host: Host, flow: str, id: str) -> None:
    asked = {"sampler_name": "Fewstep Flow AB3", "scheduler": schedule_label(schedules()[id]), "steps": 6}
    if "flow" not in schedules()[id].frames:
        assert "in frame" in host.refusal(**asked).body["detail"]
        return
    picture = host.picture(**asked)
    assert picture.parameters["Schedule type"] == schedule_label(schedules()[id])
    sigmas = [call["sigma"] for call in host.calls()]
    assert len(sigmas) == 6
    assert 0.0 < sigmas[-1] < sigmas[0] <= 1.0


def test_automatic_is_right_on_flow(host: Host, flow: str) -> None:
    picture = host.picture(sampler_name="Fewstep Flow AB3", scheduler="Automatic", steps=6)
    assert picture.parameters["Schedule type"] == "Fewstep Auto"
    assert next(call["sigma"] for call in host.calls()) == 1.0


@pytest.mark.parametrize("cfg", [1.0, 7.0])
def test_auto_makes_each_call(host: Host, flow: str, cfg: float) -> None:
    picture = host.picture(sampler_name="Fewstep Auto", scheduler="Automatic", steps=6, cfg_scale=cfg)
    taken = "flow_ab3 on beta" if cfg == 1.0 else "flow_ab2 on sgm_uniform"
    assert picture.parameters["Fewstep auto"] == taken
    assert len(host.calls()) == 6


def test_levels_that_are_wrong_on_flow_are_refused(host: Host, flow: str) -> None:
    """The hosts' Align Your Steps has the levels of Stable Diffusion whatever the model."""
    answer = host.refusal(sampler_name="Fewstep Flow AB3", scheduler="Align Your Steps", steps=6)
    assert answer.status == 422
    assert "flow levels lie in 0..1" in answer.body["detail"]
    assert not host.calls()


def test_a_profile(host: Host, flow: str) -> None:
    """Of flow from 1 to 0, whatever the model's shift: its levels are its own."""
    plan = made_profile("flow").plan(7)
    host.run(SOURCE + "\nprobe.answer = answer")
    asked: dict[str, Any] = {"sampler_name": "Fewstep Flow AB3", "steps": 7}
    host.picture(**asked, **alwayson({"profile": "flow"}))  # tests/conftest.py has saved it
    assert host.sigmas() == pytest.approx([call.level.host for call in plan], rel=1e-6)  # float32 in the host
    assert difference(host.tensor("last"), run(plan, answer, host.tensor("first"))) < TOLERANCE
    refused = host.refusal(**asked, **alwayson({"profile": "ve"}))
    assert (refused.status, "made for frame 've', but the model's is 'flow'" in refused.body["detail"]) == (422, True)


@pytest.mark.parametrize("id", ["flow_ab3", "dpmpp_2m", "deis_tab3"])
def test_image_to_image(host: Host, flow: str, id: str, picture: str) -> None:
    asked: dict[str, Any] = {"init_images": [picture], "denoising_strength": 0.5, "steps": 10}
    asked["scheduler"] = "Fewstep SGM uniform"
    sigmas = levels(host, "img2img", **asked)
    assert len(sigmas) == 7  # the hosts run int(0.5 * 10) + 1 steps
    assert sigmas[0] < 1.0
    host.run(SOURCE + "\nprobe.answer = answer")
    host.picture("img2img", sampler_name=sampler_label(solver(id)), **asked)
    assert difference(host.tensor("last"), python_door(host.tensor("first"), sigmas, id, "flow")) < TOLERANCE
