"""Pictures from text in a running host: calls and callbacks, prompts that change, batches, refiner, interruption."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import pytest
import torch
from fewstep import sample
from fewstep.a1111.words import sampler_label
from fewstep.samplers.solvers import solver
from webui_host import Host

SOLVERS = (
    "dpmpp_3m",
    "deis_tab3",
    "deis_rhoab3",
    "dpmpp_2s",
    "dpm_solver_3s",
    "deis_rhork_kutta3",
    "deis_rhork_rk4",
)
MULTISTEP, SINGLESTEP = "Fewstep DPM++ 3M", "Fewstep DPM++ 2S"


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("id", SOLVERS)
def test_n_steps_are_n_calls_and_n_callbacks(host: Host, id: str, steps: int) -> None:
    latents = host.latents(sampler_name=sampler_label(solver(id)), steps=steps)
    assert torch.isfinite(latents).all()
    assert len(host.calls()) == steps
    assert host.run("result = probe.callbacks") == list(range(steps))
    # the host shows the step of the last callback, so each call sees the one before it
    assert [call["step"] for call in host.calls()] == [0, *range(steps - 1)]


@pytest.mark.parametrize("name", [MULTISTEP, "Fewstep DEIS rhoRK RK4"])
def test_a_run_repeated_is_equal_to_the_bit(host: Host, name: str) -> None:
    once, again = (host.latents(sampler_name=name, steps=6) for _ in range(2))
    assert torch.equal(once, again)


# --- what the host changes between two calls -------------------------------------------------------------------------


def assert_the_plan_made_it(host: Host, id: str) -> None:
    """The states and the result are those of the plan, given the answers that the host gave."""
    states, answers, sigmas = host.tensor("states"), host.tensor("answers"), [*host.sigmas(), 0.0]
    seen: list[torch.Tensor] = []

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return answers[len(seen) - 1]

    made = sample(model, states[0], sigmas, id)
    # float32 at latents of size 15: the same arithmetic, in the host's order of operations or in ours
    torch.testing.assert_close(torch.stack(seen), states, rtol=0, atol=1e-5)
    torch.testing.assert_close(made, host.tensor("last"), rtol=0, atol=1e-5)


def changes(values: list[Any]) -> list[int]:
    """The calls before which a value changed."""
    return [i for i in range(1, len(values)) if values[i] != values[i - 1]]


#: prompt -> the calls of 8 before which the condition changes: the host's parts end after the step that they name
EDITS = {"[a cat:a dog:0.5]": [5], "[a cat:a dog:0.25]": [3], "[a cat|a dog]": [2, 3, 4, 5, 6, 7]}


@pytest.mark.parametrize(("name", "id"), [(MULTISTEP, "dpmpp_3m"), (SINGLESTEP, "dpmpp_2s")])
@pytest.mark.parametrize("prompt", list(EDITS))
def test_prompt_editing_changes_the_condition_where_euler_sees_it(host: Host, prompt: str, name: str, id: str) -> None:
    request = {"prompt": prompt, "steps": 8, "scheduler": "Karras"}
    host.latents(sampler_name="Euler", **request)
    of_euler = [call["cond"] for call in host.calls()]
    host.latents(sampler_name=name, **request)
    assert [call["cond"] for call in host.calls()] == of_euler
    assert changes(of_euler) == EDITS[prompt]
    assert_the_plan_made_it(host, id)


def test_the_refiner_takes_over_inside_of_a_step(host: Host) -> None:
    request = {"sampler_name": SINGLESTEP, "scheduler": "Karras", "steps": 6}
    plain = host.latents(**request)
    states = host.tensor("states")
    host.reset()
    picture = host.picture(**request, refiner_checkpoint="second", refiner_switch_at=0.5)
    assert picture.parameters["Refiner"].split()[0] == "second"
    assert picture.parameters["Refiner switch at"] == "0.5"

    switch = _switch(host, 0.5)
    assert [call["model"] for call in host.calls()] == ["first"] * switch + ["second"] * (6 - switch)
    assert changes([call["cond"] for call in host.calls()]) == [switch]
    assert host.run("result = probe.callbacks") == list(range(6))
    assert_the_plan_made_it(host, "dpmpp_2s")
    assert torch.equal(host.tensor("states")[: switch + 1], states[: switch + 1])
    # another model: not rounding, but a difference of the latents' own size
    assert (host.tensor("last") - plain).abs().max() > 0.1
    assert torch.equal(host.latents(**request), plain)


def _switch(host: Host, at: float) -> int:
    """The call with which the refiner starts: A1111 looks at the model's time, the others count steps
    (apply_refiner in modules/sd_samplers_common.py)."""
    if host.name != "a1111":
        return int(at * len(host.calls()))
    table = host.run("a = shared.sd_model.alphas_cumprod.double(); result = ((1 - a) / a).sqrt().tolist()")
    times = [min(range(1000), key=lambda i: abs(table[i] - sigma)) for sigma in host.sigmas()]
    return bisect_left([(999 - time) / 1000 for time in times], at)


# --- batches ---------------------------------------------------------------------------------------------------------


#: four pictures of one request
SHAPES: dict[str, dict[str, int]] = {"4": {"batch_size": 4}, "2 x 2": {"batch_size": 2, "n_iter": 2}}


def worst_of_a_batch(host: Host, name: str, *shapes: str) -> int:
    """The largest difference of a pixel between pictures made together and the same made alone."""
    request = {"sampler_name": name, "scheduler": "Karras", "steps": 4}
    together = [host.picture(**request, **SHAPES[shape], seed=11).pixels for shape in shapes]
    worst = 0
    for i in (1, 3):  # in the two halves of 2 x 2
        alone = host.picture(**request, seed=11 + i).pixels[0]
        for pixels in together:
            assert len(pixels) == 4
            assert (pixels[i] - pixels[i - 1]).abs().float().mean() > 10
            worst = max(worst, int((pixels[i] - alone).abs().max()))
    return worst


@pytest.fixture(scope="module")
def worst_of_the_hosts_own(host: Host) -> int:
    return worst_of_a_batch(host, "DPM++ 2M", "4")


@pytest.mark.parametrize("name", [MULTISTEP, "Fewstep DPM-Solver 3S"])
def test_a_picture_of_a_batch_is_the_picture_made_alone(host: Host, worst_of_the_hosts_own: int, name: str) -> None:
    # measured: 0 on A1111, 0 and 1 of 255 on Forge and reForge, DPM++ 2M too; the network rounds otherwise in a batch
    assert worst_of_a_batch(host, name, *SHAPES) <= max(worst_of_the_hosts_own, 1)


# --- the host's ways to stop -----------------------------------------------------------------------------------------

#: stop_at of the host's samplers raises the same BaseException out of a callback
STOPS = {
    "interrupt": "shared.state.interrupt()",
    "exception": "raise InterruptedException",
}


@pytest.mark.parametrize("name", [MULTISTEP, "Fewstep DPM++ 3S"])
@pytest.mark.parametrize("way", list(STOPS))
def test_an_interrupted_run_makes_no_further_call_and_leaves_no_trace(host: Host, way: str, name: str) -> None:
    request = {"sampler_name": name, "steps": 10}
    fresh = host.latents(**request)
    host.reset()
    on_call(host, 4, STOPS[way])
    picture = host.picture(**request)
    assert len(host.calls()) == 4
    assert host.run("result = probe.callbacks") == [0, 1, 2, 3][: 4 if way == "interrupt" else 3]
    assert picture.pixels.shape == (1, 64, 64, 3)
    assert torch.isfinite(host.tensor("last")).all()
    assert torch.equal(host.latents(**request), fresh)


def test_a_skipped_picture_leaves_the_next_one_whole(host: Host) -> None:
    request = {"sampler_name": MULTISTEP, "steps": 6}
    alone = host.latents(**request, seed=6)
    host.reset()
    on_call(host, 2, "shared.state.skip()")
    picture = host.picture(**request, seed=5, n_iter=2)
    assert len(picture.images) == 2
    assert host.run("result = probe.callbacks") == [0, 1, *range(6)]
    assert torch.equal(host.tensor("last"), alone)


def on_call(host: Host, number: int, code: str) -> None:
    host.run(
        f"""
from modules.sd_samplers_common import InterruptedException

def act(made, shared=shared, InterruptedException=InterruptedException):
    if made == {number}:
        {code}

probe.on_call = act
"""
    )
