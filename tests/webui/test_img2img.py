"""Pictures from pictures in a running host: strengths, masks, and the second pass of hires fix."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
import torch
from PIL import Image
from webui_host import Host

SAMPLERS = ("Fewstep DPM++ 3M", "Fewstep DPM-Solver 3S")
#: the host's and ours
SCHEDULES = ("Karras", "Fewstep Beta")
SIZE = 64


def encoded(pixels: torch.Tensor) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def ramps() -> torch.Tensor:
    """A picture whose red rises to the right and whose green rises downwards."""
    ramp = torch.arange(SIZE) * 255 // (SIZE - 1)
    return torch.stack([ramp.expand(SIZE, SIZE), ramp[:, None].expand(SIZE, SIZE), torch.full((SIZE, SIZE), 90)], -1)


def right_half() -> torch.Tensor:
    return (torch.arange(SIZE) >= SIZE // 2).expand(SIZE, SIZE)


# --- strengths -------------------------------------------------------------------------------------------------------

#: strength -> calls of 10 steps: the host's int(strength * steps) + 1, at most `steps` (setup_img2img_steps)
CALLS = {0.0: 1, 0.05: 1, 0.3: 4, 0.5: 6, 0.75: 8, 1.0: 10}


@pytest.mark.parametrize(("schedule", "name"), list(zip(SCHEDULES, SAMPLERS, strict=True)), ids=SCHEDULES)
@pytest.mark.parametrize("strength", list(CALLS))
def test_a_strength_asks_for_the_calls_and_levels_of_euler(
    host: Host, strength: float, schedule: str, name: str
) -> None:
    request = {"init_images": [encoded(ramps())], "denoising_strength": strength, "steps": 10, "scheduler": schedule}
    start(host)
    host.latents("img2img", **request, sampler_name="Euler")
    sigmas, first = host.sigmas(), host.tensor("first")
    assert len(sigmas) == CALLS[strength]

    start(host)
    latents = host.latents("img2img", **request, sampler_name=name)
    assert torch.isfinite(latents).all()
    assert host.sigmas() == sigmas
    assert host.run("result = probe.callbacks") == list(range(len(sigmas)))
    assert torch.equal(host.tensor("first"), first)


def start(host: Host) -> None:
    """The autoencoder draws a picture's latents with torch's generator, which no host seeds before it."""
    host.run("torch.manual_seed(0)")


@pytest.mark.parametrize("strength", [0.05, 0.3, 1.0])
def test_the_setting_for_exactly_n_steps_asks_for_n_calls(host: Host, strength: float) -> None:
    request = {
        "init_images": [encoded(ramps())], "denoising_strength": strength, "steps": 10, "scheduler": SCHEDULES[1],
        "override_settings": {"img2img_fix_steps": True},
    }  # fmt: skip
    host.latents("img2img", **request, sampler_name="Euler")
    sigmas = host.sigmas()
    assert len(sigmas) == 10
    latents = host.latents("img2img", **request, sampler_name=SAMPLERS[0])
    assert torch.isfinite(latents).all()
    assert host.sigmas() == sigmas


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill", "name"),
    [(0, SAMPLERS[0]), (1, SAMPLERS[1]), (2, SAMPLERS[0]), (3, SAMPLERS[1])],
    ids=["fill", "original", "latent noise", "latent nothing"],
)
def test_the_region_outside_of_a_mask_stays(host: Host, fill: int, name: str) -> None:
    inside = right_half()
    request = {
        "init_images": [encoded(ramps())], "mask": encoded(inside * 255), "mask_blur": 0, "inpainting_fill": fill,
        "inpaint_full_res": False, "denoising_strength": 0.75, "steps": 6, "scheduler": "Karras",
    }  # fmt: skip
    for sampler in ("Euler", name):
        host.reset()
        pixels = host.picture("img2img", **request, sampler_name=sampler).pixels[0]
        change = (pixels - ramps()).abs().amax(-1)
        # with Euler too: the hosts lay the picture over the result
        assert change[~inside].max() == 0
        assert len(host.calls()) == 5
        assert torch.isfinite(host.tensor("last")).all()
        assert change[inside].float().mean() > 10
        assert pixels[inside].float().std() > 10  # neither black nor grey
        # and before that, the answers in which the host has put the picture's latents hold nothing else there
        answers = host.tensor("answers")[:, 0, :, :, : SIZE // 16]
        assert torch.equal(answers, answers[:1].expand_as(answers))
        torch.testing.assert_close(host.tensor("last")[0, :, :, : SIZE // 16], answers[0])


# --- hires fix -------------------------------------------------------------------------------------------------------

EULER = ("Euler", "Karras")
OURS = ("Fewstep DPM++ 3M", "Fewstep Beta")
THREE = ("Fewstep DPM++ 3S", "Karras")


def hires(first: tuple[str, str], second: tuple[str, str] | None, **request: Any) -> dict[str, Any]:
    of_second = {} if second is None else {"hr_sampler_name": second[0], "hr_scheduler": second[1]}
    return {
        "sampler_name": first[0], "scheduler": first[1], **of_second, "steps": 4, "enable_hr": True, "hr_scale": 1.5,
        "hr_upscaler": "Latent", "denoising_strength": 0.5, **request,
    }  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(EULER, OURS), (OURS, EULER), (OURS, None), (THREE, OURS)], ids=str)
def test_either_pass_of_hires_fix_may_be_ours(
    host: Host, first: tuple[str, str], second: tuple[str, str] | None
) -> None:
    picture = host.picture(**hires(first, second, hr_second_pass_steps=5))
    sigmas = host.sigmas()
    assert picture.pixels.shape == (1, 96, 96, 3)
    assert torch.isfinite(host.tensor("last")).all()
    assert host.run("result = probe.callbacks") == [*range(4), *range(5)]
    # what the host says about the second pass, where it differs from the first
    differs = second is not None and second[0] != first[0], second is not None and second[1] != first[1]
    assert picture.parameters["Sampler"] == first[0]
    assert picture.parameters["Schedule type"] == first[1]
    assert picture.parameters.get("Hires sampler") == (second[0] if differs[0] and second else None)
    assert picture.parameters.get("Hires schedule type") == (second[1] if differs[1] and second else None)

    host.latents(**hires(("Euler", first[1]), ("Euler", (second or first)[1]), hr_second_pass_steps=5))
    assert sigmas == host.sigmas()


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_a_second_pass_has_as_many_steps_as_the_first_unless_it_is_told(host: Host, upscaler: str) -> None:
    latents = host.latents(**hires(OURS, None, hr_upscaler=upscaler))
    assert torch.isfinite(latents).all()
    assert host.run("result = probe.callbacks") == [*range(4), *range(4)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_second_pass_of_strength_0_makes_no_call(host: Host, schedule: str) -> None:
    for name in ("Euler", *SAMPLERS):
        latents = host.latents(**hires((name, schedule), None, denoising_strength=0.0))
        assert latents.shape[-1] == SIZE // 8 * 3 // 2
        assert len(host.calls()) == 4
