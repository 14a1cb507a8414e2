"""Tuned profiles in a running host: the plan that runs, what is said of it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from doors import answer, difference
from fewstep.samplers.identity import identity
from fewstep.samplers.profile import Profile
from fewstep.samplers.profile_folder import profile_folder
from fewstep.samplers.times import sigma_range
from harness import made_profile
from safetensors.torch import load_file
from test_doors import TOLERANCE, answer_in
from test_options import xyz_arguments
from webui_host import Host, alwayson

SAMPLERS = ("Fewstep DPM++ 3M", "Fewstep DPM++ 2M SDE", "Fewstep DPM-Solver 23", "Fewstep Auto")  # of each kind
LABEL = SAMPLERS[0]
PROFILE = alwayson({"profile": "tuned"})


@cache
def tuned() -> Profile:
    """Of the function that answers in the model's place, which is the same for every number of a latent."""
    low, high = sigma_range(fewstep.frame("ve").time)
    noise = high * torch.randn(48, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    made: Profile = fewstep.tune(answer, noise, (5, 7), sigma_max=high, sigma_min=low, rounds=4, conditions="an answer")
    return made


def network_of(checkpoint: Path) -> str:
    """The identity of the weights in a file, without any host."""
    network = torch.nn.Module()
    for key, value in load_file(checkpoint).items():
        _, found, name = key.partition("model.diffusion_model.")
        *folders, last = name.split(".")
        owner = network
        for folder in folders if found else ():
            if not hasattr(owner, folder):
                owner.add_module(folder, torch.nn.Module())
            owner = getattr(owner, folder)
        if found:
            owner.register_parameter(last, torch.nn.Parameter(value, requires_grad=False))
    return identity(network)


@pytest.fixture(scope="module", autouse=True)
def _profiles(host: Host) -> Iterator[None]:
    """The host has the folder of the tests' environment."""
    models = host.data.parent / "models"
    tuned().save("profile:tuned")
    for name in ("first", "second"):
        replace(tuned(), identity=network_of(models / f"{name}.safetensors")).save(f"profile:{name}")
    made_profile("flow").save("profile:of flow")
    torn = profile_folder() / "torn.safetensors"
    torn.write_bytes(b"0" * 20)
    yield
    for name in ("tuned", "first", "second", "of flow", "torn"):
        (profile_folder() / f"{name}.safetensors").unlink()


def levels(calls: int) -> Any:
    return pytest.approx([call.level.host for call in tuned().plan(calls)], rel=1e-6)  # float32 in the host


# --- what runs -------------------------------------------------------------------------------------------------------


def test_the_profile_is_tuned() -> None:
    """Otherwise it would be a published plan that these tests run."""
    assert [entry.tuned for entry in tuned().entries.values()] == [True, True]


@pytest.mark.parametrize("calls", [5, 7])
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", ["Karras", "Fewstep Beta"])
def test_the_plan_runs_in_the_place_of_every_sampler(host: Host, name: str, calls: int, schedule: str) -> None:
    answer_in(host)
    picture = host.picture(sampler_name=name, scheduler=schedule, steps=calls, **PROFILE)
    assert host.sigmas() == levels(calls)
    assert host.run("result = probe.callbacks") == list(range(calls))
    expected = fewstep.run(tuned().plan(calls), answer, host.tensor("first"))
    assert difference(host.tensor("last"), expected) < TOLERANCE
    assert picture.parameters["Fewstep profile"] == "tuned"
    assert picture.parameters["Steps"] == str(calls)
    assert "Fewstep auto" not in picture.parameters, "it took nothing"


def test_the_hosts_own_samplers_do_without(host: Host) -> None:
    plain = host.latents(sampler_name="Euler", steps=7)
    assert torch.equal(host.latents(sampler_name="Euler", steps=7, **PROFILE), plain)
    assert "Fewstep" not in host.picture(sampler_name="Euler", steps=7, **PROFILE).infotext


def test_image_to_image_from_the_first_level(host: Host, picture: str) -> None:
    answer_in(host)
    asked: dict[str, Any] = {"init_images": [picture], "denoising_strength": 1.0, "steps": 5}
    host.picture("img2img", sampler_name=LABEL, **asked, **PROFILE)
    assert host.sigmas() == levels(5)
    expected = fewstep.run(tuned().plan(5), answer, host.tensor("first"))
    assert difference(host.tensor("last"), expected) < TOLERANCE


def test_the_second_pass_of_hires_fix_runs_without_it(host: Host) -> None:
    asked: dict[str, Any] = {
        "sampler_name": LABEL, "scheduler": "Karras", "steps": 7, "enable_hr": True, "hr_scale": 1.5,
        "hr_upscaler": "Latent", "denoising_strength": 0.5, "hr_second_pass_steps": 4,
    }  # fmt: skip
    host.picture(**asked)
    second = host.sigmas()[7:]
    host.reset()
    picture = host.picture(**asked, **PROFILE)
    assert host.sigmas()[:7] == levels(7)
    assert host.sigmas()[7:] == second
    assert picture.parameters["Fewstep profile"] == "tuned"
    assert picture.parameters["Fewstep second pass"] == "without the profile"


# --- the model -------------------------------------------------------------------------------------------------------


def test_the_network_is_that_of_the_checkpoint_in_every_host(host: Host) -> None:
    """The identity of the file's own weights, so that a profile goes from host to host."""
    host.picture(sampler_name=LABEL, steps=5, **alwayson({"profile": "first"}))
    assert host.sigmas() == levels(5)
    host.reset()
    refused = host.refusal(sampler_name=LABEL, steps=5, **alwayson({"profile": "second"}))
    assert refused.status == 422
    assert "this profile was made for model 'network-" in refused.body["detail"]
    assert not host.calls()


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "request_", "message"),
    [
        ({"profile": "tunde"}, {}, "unknown profile 'tunde'; did you mean 'tuned'?"),
        ({"profile": "torn"}, {}, "torn.safetensors is damaged"),
        ({"profile": "tuned"}, {"steps": 6}, "no plan of 6 calls; it has 5, 7"),
        ({"profile": "of flow"}, {}, "made for frame 'flow', but the model's is 've'"),
        ({"profile": "tuned", "last": "regular"}, {}, "profile tuned takes no options"),
        ({"profile": "tuned"}, {"override_settings": {"sigma_max": 10.0}}, "the first sigma is 10"),
    ],
)
def test_what_does_not_fit_is_refused(
    host: Host, options: dict[str, Any], request_: dict[str, Any], message: str
) -> None:
    refused = host.refusal(**{"sampler_name": LABEL, "steps": 5, **request_}, **alwayson(options))
    assert refused.status == 422, refused
    assert message in refused.body["detail"]
    assert not host.calls(), "the model was called before the request was refused"


def test_image_to_image_from_a_lower_level_is_refused(host: Host, picture: str) -> None:
    asked: dict[str, Any] = {"init_images": [picture], "denoising_strength": 0.6, "steps": 7}
    refused = host.refusal("img2img", sampler_name=LABEL, **asked, **PROFILE)
    assert refused.status == 422, refused
    assert "the first sigma is" in refused.body["detail"]
    assert not host.calls()
    assert len(host.picture(sampler_name=LABEL).images) == 1


# --- infotext, plot, page --------------------------------------------------------------------------------------------


def test_the_infotext_makes_the_same_picture_again(host: Host) -> None:
    if host.name == "forge":
        pytest.skip("Forge answers every request with an infotext with 500 (its own modules/api/api.py)")
    first = host.picture(sampler_name=LABEL, scheduler="Karras", steps=7, **PROFILE)
    host.reset()
    again = host.call("/sdapi/v1/txt2img", {"infotext": first.infotext})
    assert again.status == 200, again
    assert host.sigmas() == levels(7)
    assert again.body["images"] == first.images


def test_the_axis_of_the_plot(host: Host) -> None:
    arguments = xyz_arguments(host, "[Fewstep] profile", "tuned,none")
    grid = host.picture(sampler_name=LABEL, steps=5, script_name="x/y/z plot", script_args=arguments)
    assert len(host.calls()) == 10
    assert host.sigmas()[:5] == levels(5)
    assert host.sigmas()[5:] != levels(5)
    # of the two cells; reForge gives that of the grid alone, which is the first cell's
    told = ["Fewstep profile: tuned" in text for text in grid.info["infotexts"][-2:]]
    assert told == ([True] if host.name == "reforge" else [True, False])
    host.reset()
    arguments = xyz_arguments(host, "[Fewstep] profile", "tuned,nobody")
    refused = host.refusal(sampler_name=LABEL, steps=5, script_name="x/y/z plot", script_args=arguments)
    assert "nobody" in str(refused.body)
    assert not host.calls()


def test_the_accordion_lists_and_draws(host: Host) -> None:
    host.picture(sampler_name=LABEL)  # so that a model is loaded
    size, told, words, listed = host.run(
        """
import sys
door = sys.modules["fewstep_ext.a1111.preview"]
picture, told = door.plan_picture(label, "Karras", 7, [{"profile": "tuned"}])
fields = sys.modules["fewstep_ext.a1111.fields"]
result = [picture.size, told, door.words(label, [{"profile": "tuned"}]), fields.values_of(fields.PROFILE)]
""",
        label=LABEL,
    )
    assert min(size) > 100
    assert told.startswith("7 model calls")
    assert all(str(entry) in words for entry in tuned().entries.values())
    assert listed[0] == "none"
    assert {"tuned", "torn", "first"} <= set(listed)
