"""The same function of (x, sigma) in the place of the model: this door's latent is that of the Python door."""

from __future__ import annotations

from typing import Any

import pytest
from doors import SOURCE, difference, python_door
from fewstep.a1111.words import sampler_label
from fewstep.samplers.solvers import solver
from harness import FIXED, still
from webui_host import Host, alwayson

#: measured: up to 1e-7 on noise models, in all three hosts (rounding of float32); the project's promise is 1e-4
TOLERANCE = 1e-5


def answer_in(host: Host) -> None:
    host.run(SOURCE + "\nprobe.answer = answer")


def levels(host: Host, mode: str = "txt2img", **request: Any) -> list[float]:
    """The levels that the host gives its samplers: its Euler calls the model at each of them."""
    host.picture(mode, sampler_name="Euler", **request)
    found = [*(call["sigma"] for call in host.calls()), 0.0]
    host.reset()
    return found


@pytest.mark.parametrize("id", [id for id, row in FIXED.items() if "ve" in row.frames])
def test_noise_models(host: Host, id: str) -> None:
    sigmas = levels(host, scheduler="Karras", steps=8)
    answer_in(host)
    quiet = still(id, "ve")
    host.picture(sampler_name=sampler_label(solver(id)), scheduler="Karras", steps=8, **alwayson(quiet))
    expected = python_door(host.tensor("first"), sigmas, id, "ve", **quiet)
    assert difference(host.tensor("last"), expected) < TOLERANCE


@pytest.mark.parametrize("id", ["dpmpp_3m", "deis_rhoab3", "dpm_solver_3s"])
def test_image_to_image(host: Host, id: str, picture: str) -> None:
    asked: dict[str, Any] = {"init_images": [picture], "denoising_strength": 0.6, "steps": 10}
    asked["scheduler"] = "Fewstep Time uniform"
    sigmas = levels(host, "img2img", **asked)
    assert len(sigmas) == 8  # the hosts run int(0.6 * 10) + 1 steps
    answer_in(host)
    host.picture("img2img", sampler_name=sampler_label(solver(id)), **asked)
    expected = python_door(host.tensor("first"), sigmas, id, "ve")
    assert difference(host.tensor("last"), expected) < TOLERANCE
