"""Samplers that draw noise: from the host's own source, one stream for each picture."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from fewstep.a1111.words import sampler_label
from fewstep.samplers.solvers import solver, solvers
from harness import named
from PIL import Image
from webui_host import Host, alwayson

STOCHASTIC = [row.id for row in solvers().values() if row.stochastic and row.id != "ddim"]


def pixels(picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"), dtype=float)


@pytest.mark.parametrize("id", STOCHASTIC)
def test_a_picture_is_the_same_in_a_batch_and_alone(host: Host, id: str) -> None:
    """As nearly as the host's own sampler with noise: its networks round a batch otherwise than a single picture."""
    asked: dict[str, Any] = {"scheduler": "Karras", "steps": 6}

    def worst(label: str, **options: Any) -> float:
        given = {**asked, **alwayson(options)}
        batch = host.picture(sampler_name=label, seed=5, batch_size=3, **given)
        # a grid comes first where the host makes one
        together = batch.images[-3:]
        alone = [host.picture(sampler_name=label, seed=5 + i, **given).images[0] for i in range(3)]
        return max(float(np.abs(pixels(a) - pixels(b)).mean()) for a, b in zip(together, alone, strict=True))

    own, theirs = worst(sampler_label(solver(id)), **named(id)), worst("Euler a")
    print(f"{id}: mean difference of pixels {own:.3f} of 255, Euler a {theirs:.3f}")
    # noise of another picture would give more than 20
    assert own < max(2.0 * theirs, 1.0)


def test_the_same_seed_gives_the_same_noise(host: Host) -> None:
    label = sampler_label(solver("dpmpp_2m_sde"))
    first, again, other = (host.picture(sampler_name=label, steps=6, seed=seed).images[0] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_eta_is_a_field(host: Host) -> None:
    label = sampler_label(solver("dpmpp_2m_sde"))
    full = host.picture(sampler_name=label, scheduler="Karras", steps=6)
    half = host.picture(sampler_name=label, scheduler="Karras", steps=6, **alwayson({"eta": 0.5, "s_noise": 0.9}))
    none = host.picture(sampler_name=label, scheduler="Karras", steps=6, **alwayson({"eta": 0}))
    ode = host.picture(sampler_name=sampler_label(solver("dpmpp_2m")), scheduler="Karras", steps=6)
    assert "Fewstep eta" not in full.infotext
    assert half.parameters["Fewstep eta"] == "0.5"
    assert half.parameters["Fewstep s_noise"] == "0.9"
    assert len({full.images[0], half.images[0], none.images[0]}) == 3
    assert np.abs(pixels(none.images[0]) - pixels(ode.images[0])).max() <= 1.0


@pytest.mark.parametrize("id", [row.id for row in solvers().values() if row.adaptive])
def test_adaptive_solvers_run_and_count_in_the_hosts_steps(host: Host, id: str) -> None:
    picture = host.picture(sampler_name=sampler_label(solver(id)), scheduler="Karras", steps=8)
    assert picture.parameters["Sampler"] == sampler_label(solver(id))
    calls = host.calls()
    assert len(calls) > 8
    assert max(call["step"] for call in calls) <= 7


def test_an_adaptive_solver_stops_at_its_cap(host: Host) -> None:
    answer = host.refusal(
        sampler_name=sampler_label(solver("dpm_solver_23")), steps=8, **alwayson({"rtol": 1e-6, "max_calls": 20})
    )
    assert "20" in str(answer.body)
    assert len(host.calls()) <= 20
