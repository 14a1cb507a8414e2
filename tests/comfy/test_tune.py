"""Tuning, and sampling with what was tuned, in the real host: its model, conditions, guidance and masks.

Twelve samples, a teacher of few calls and a round or two: enough to run every stage, not to be worth using.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from doors import answer, difference
from exact import CONDITION, exact_model, sample
from fewstep.samplers.level import as_float32
from fewstep.samplers.profile import Profile
from fewstep.samplers.task import Task, split
from test_frames import IDS, KINDS, in_this_host
from test_nodes import WIRES, base, latent, node, python_model, refusal, report, saved

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("data")]
Tensor = torch.Tensor
Graph = dict[str, Any]
Run = Callable[[Graph], Any]

FEW = "teacher_calls=15, rounds=2"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles of each test in a folder of its own."""
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    return tmp_path


def tune(**inputs: Any) -> Graph:
    given = {"cfg": 2.0, "calls": "5", "samples": 12, "seed": 3, "name": "mine", "run": "tune", "options": FEW}
    return {
        "tune": node("FewstepTune", **{**WIRES, **given, **inputs}),
        "told": node("PreviewAny", source=["tune", 1]),
    }


def tuned(**inputs: Any) -> Graph:
    given = {"model": ["demo", 0], "profile": "mine", "steps": 5}
    return {
        "tuned": node("FewstepTunedSampler", **{**given, **inputs}),
        "text": node("PreviewAny", source=["tuned", 2]),
        "run": node(
            "SamplerCustom", **WIRES, add_noise=True, noise_seed=11, cfg=2.0, sampler=["tuned", 0], sigmas=["tuned", 1]
        ),
        **saved("run"),
    }


# --- in a graph, on the demo networks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "cfg", "batch", "few"),
    [
        ("vp", 4.0, 1, FEW),
        ("flow", 1.0, 1, FEW),
        # ten pictures with a condition each: 40 samples, so that each of the three sets is made of whole batches
        ("vp", 1.0, 10, "teacher_calls=12, rounds=0"),
    ],
)
def test_a_profile_is_made_and_sampled_with_in_one_graph(
    host: types.SimpleNamespace, run_graph: Run, network: str, cfg: float, batch: int, few: str
) -> None:
    """The same as the Python package alone gives: the judgement on the held-out noise, and the latent."""
    calls = 5 if batch == 1 else 4
    given = {"cfg": cfg, "calls": str(calls), "options": few}
    graph = base(network, batch) | tune(**given) | tuned(name=["tune", 0], profile="(by name)", steps=calls)
    graph["run"]["inputs"]["cfg"] = cfg
    done = run_graph(graph)
    text = report(done)
    assert text.startswith("Profile 'mine'\n")
    count = 12 if batch == 1 else 40
    assert f"cfg {cfg:g}, latents of 1x32x32, {count} samples of seed 3" in text

    profile = fewstep.load_profile("profile:mine", frame="ve" if network == "vp" else "flow")
    assert list(profile.entries) == [calls]
    entry = profile.entries[calls]
    model = python_model(network, cfg, batch)
    # the judging samples, a quarter, from the end of the noise
    judge = split(count)[2]
    noise = torch.randn(count, 1, 32, 32, generator=torch.manual_seed(3))[count - judge :]
    task = Task(profile.frame, profile.sigma_max, profile.sigma_min, (calls,), teacher_calls=12 if batch > 1 else 15)
    x = started(noise, profile)
    errors = {}
    truth = in_batches(task.teacher(task.teacher_calls), model, x, batch)
    for name, plan in (("kept", entry.plan), ("published", of_setting(task, entry.published, calls))):
        distance = in_batches(plan, model, x, batch) - truth
        errors[name] = float(distance.flatten(1).square().mean(1).sqrt().median())
    print(network, entry, errors, entry.error, entry.published_error)
    # float32 of two implementations, whose network rounds otherwise in another batch: measured 5e-6
    assert errors["published"] == pytest.approx(entry.published_error, rel=1e-4)
    assert errors["kept"] == pytest.approx(entry.error if entry.tuned else entry.published_error, rel=1e-4)
    assert errors["kept"] < errors["published"] if entry.tuned else errors["kept"] == errors["published"]

    start = started(torch.randn(batch, 1, 32, 32, generator=torch.manual_seed(11)), profile)
    found = difference(latent(host, done, "run"), fewstep.run(entry.plan, model, start))
    print(f"latent: {found:.1e}")
    assert found <= 1e-5  # measured 1.1e-6, the rounding of float32


def started(noise: Tensor, profile: Profile) -> Tensor:
    """The host's noise for a start at sigma_max."""
    return noise * (1 + profile.sigma_max**2) ** 0.5 if profile.frame.name == "ve" else noise


def in_batches(plan: Any, model: Any, x: Tensor, batch: int) -> Tensor:
    return torch.cat([fewstep.run(plan, model, part) for part in torch.split(x, batch)])


def of_setting(task: Task, name: str, calls: int) -> Any:
    return next(plan for setting, plan in task.plans(task.beaten, calls).items() if str(setting) == name)


def test_a_tuned_sampler_refuses_other_levels_than_its_own(run_graph: Run) -> None:
    done = run_graph(base("flow", 1) | tune(options="teacher_calls=15, rounds=0"))
    assert "Profile 'mine'" in report(done, "told")
    graph = base("flow", 1) | tuned()
    done = run_graph(graph)
    assert "5 calls: " in report(done)
    graph["info"] = node("FewstepSigmasInfo", sigmas=["tuned", 1], model=["demo", 0], sampler=["tuned", 0])
    graph["shown"] = node("PreviewAny", source=["info", 0])
    plan = fewstep.load_profile("profile:mine").plan(5)
    assert str(plan).splitlines()[0] in report(run_graph(graph), "shown")
    graph["other"] = node("FewstepScheduler", model=["demo", 0], scheduler="simple", steps=5, denoise=1.0)
    graph["run"]["inputs"]["sigmas"] = ["other", 0]
    assert "sigmas: got 6 levels from 1 to 0, but the plan of 5 calls in profile:mine runs on its own" in refusal(
        run_graph(graph), "run"
    )


def test_what_it_costs_is_said_before_it_starts(run_graph: Run, data: Path) -> None:
    done = run_graph(base("vp", 2) | tune(run="count only", calls="5 8", options=""))
    text = report(done, "told")
    # two pictures a call: 16 samples, 8 to fit, 4 to choose and to judge
    assert "Plans of 5, 8 calls, from 16 samples: 8 to fit, 4 to choose, 4 to judge." in text
    cost = Task(fewstep.frame("ve"), 14.6146, 0.0292, (5, 8)).cost(16)
    assert f"At most {cost.total // 2:,} model calls with 2 pictures each: {cost.teacher // 2:,} for" in text
    assert " s here, all of them " in text
    assert not list(data.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"calls": "5, x"}, "calls: cannot read 'x'"),
        ({"calls": "50"}, "calls: calls holds 50, expected whole numbers from 2 to a third of teacher_calls (15)"),
        ({"name": "../mine"}, "name: profile name '../mine': expected"),
        ({"options": "rounds=1.5"}, "options: rounds is 1.5, expected a whole number"),
        ({"options": "teacher=5"}, "options: unknown option 'teacher'; did you mean 'teacher_last'"),
        ({"samples": 11}, "samples"),
    ],
)
def test_a_bad_tuning_says_so(run_graph: Run, inputs: Graph, words: str) -> None:
    assert words in refusal(run_graph(base("vp", 1) | tune(**inputs)), "tune")


# --- on an exact model, node by node ---------------------------------------------------------------------------------


def denoise(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return answer(x, sigma.flatten())


def by_hand(patcher: Any, batch: int = 1, **inputs: Any) -> tuple[str, str]:
    """Runs the node on a model: (the profile's name, the report)."""
    from fewstep.nodes.tune import FewstepTune

    given = {"cfg": 1.0, "calls": "4", "samples": 12, "seed": 3, "name": "mine", "run": "tune"}
    given |= {"options": "teacher_calls=15, rounds=0", "latent_image": {"samples": torch.zeros(batch, 4, 4, 4)}}
    done = FewstepTune().tune(patcher, CONDITION, CONDITION, **given | inputs)
    return done["result"]


def made(patcher: Any, steps: int = 4, **inputs: Any) -> Any:
    from fewstep.nodes.tuned_sampler import FewstepTunedSampler

    return FewstepTunedSampler().make(patcher, "mine", steps, **inputs)


@pytest.mark.parametrize(("kind", "settings", "frame"), KINDS, ids=IDS)
def test_every_kind_of_model(host: types.SimpleNamespace, kind: str, settings: Graph, frame: str) -> None:
    """Tuned on the model's own range; the sampler then meets its own levels, and gives what the plan gives."""
    in_this_host(kind)
    patcher = exact_model(denoise, kind, settings)
    by_hand(patcher)
    sampler, sigmas, _ = made(patcher)
    patcher.model.asked.clear()
    seen: list[Tensor] = []

    def fn(model: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append(x)
        seen.append(sampler.sampler_function(model, x, *args, **kwargs))
        return seen[1]

    told: list[tuple[int, int]] = []
    sample(
        patcher, fn, sigmas, torch.randn(2, 4, 4, 4, generator=torch.manual_seed(5)),
        callback=lambda i, denoised, x, total: told.append((i, total)),
    )  # fmt: skip
    assert told == [(i, 4) for i in range(4)]  # progress and previews: one a call
    profile = fewstep.load_profile("profile:mine")
    plan = profile.plan(4)
    assert (profile.frame.name, len(patcher.model.asked)) == (frame, 4)
    assert as_float32([level.host for level in plan.levels]) == sigmas.tolist()
    assert sigmas[0] == pytest.approx(float(patcher.model.model_sampling.sigma_max))
    found = difference(seen[1], fewstep.run(plan, answer, seen[0]))
    print(f"{kind}: {found:.1e}")
    assert found <= 5e-6  # measured up to 8e-7, the rounding of float32 on either side


def test_the_start_states_are_the_hosts_own(host: types.SimpleNamespace) -> None:
    """Of the same noise the host makes the same state, a latent that is not empty and a mask included."""
    from fewstep.nodes import inside

    for kind in ("EPS", "FLOW"):
        patcher = exact_model(denoise, kind, {})
        where = inside.range_of(patcher)
        given = {"samples": torch.randn(3, 4, 4, 4, generator=torch.manual_seed(8))}
        sampling = inside.Sampling(patcher, CONDITION, CONDITION, given, 1.0, 6)
        found: list[Tensor] = []

        def work(asked: Any, found: list[Tensor] = found) -> Any:
            yield from ()
            found.append(asked.noise)
            return asked.batch

        assert sampling.drive(where, 3, work) == 3
        sample(
            patcher,
            lambda model, x, *args, found=found, **kwargs: found.append(x) or x,
            [where.sigma_max, 0.0],
            torch.randn(3, 4, 4, 4, generator=torch.manual_seed(6)),
            latent=given["samples"],
        )
        assert torch.equal(*found), kind


def test_batches_are_the_users_own_under_a_mask(host: types.SimpleNamespace) -> None:
    """Every call has as many pictures as the latent, each with its own mask, and what a mask keeps is kept."""
    sizes: set[int] = set()

    def counted(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        sizes.add(len(x))
        return denoise(x, alpha, sigma)

    patcher = exact_model(counted, "EPS", {})
    mask = torch.zeros(3, 4, 4)
    for i in range(3):
        mask[i, : i + 1] = 1.0
    picture = {"samples": torch.randn(3, 4, 4, 4, generator=torch.manual_seed(8)), "noise_mask": mask}
    _, text = by_hand(patcher, latent_image=picture, samples=13)
    assert "24 samples" in text
    assert sizes == {3}
    sampler, sigmas, _ = made(patcher)
    noise = torch.randn(3, 4, 4, 4, generator=torch.manual_seed(5))
    out = sample(patcher, sampler.sampler_function, sigmas, noise, latent=picture["samples"], noise_mask=mask)
    kept = (mask == 0)[:, None].expand_as(out)
    print(f"kept: {(out[kept] - picture['samples'][kept]).abs().max():.1e}")
    # measured 0 here; a host may blend in float32, to 1e-5 elsewhere
    assert torch.allclose(out[kept], picture["samples"][kept], atol=1e-4)


def test_the_bar_runs_to_what_was_counted(host: types.SimpleNamespace) -> None:
    import comfy.utils

    seen: list[tuple[int, int]] = []
    comfy.utils.set_progress_bar_global_hook(lambda value, total, *args, **kwargs: seen.append((value, total)))
    try:
        by_hand(exact_model(denoise, "EPS", {}))
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    where = fewstep.load_profile("profile:mine")
    cost = Task(where.frame, where.sigma_max, where.sigma_min, (4,), teacher_calls=15, rounds=0).cost(12)
    assert {total for _, total in seen} == {cost.total}
    values = [value for value, _ in seen]
    assert values == sorted(values)
    # without rounds nothing is left out but starting points that do not exist on this range
    assert 0.8 * cost.total < values[-1] <= cost.total


@pytest.mark.parametrize("within", [False, True], ids=["between plans", "in the middle of a run"])
def test_an_interrupted_tuning_goes_on(
    host: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, within: bool
) -> None:
    """No call is made after it; the plan that was done is kept and not made again, and in the end the profile is that
    of one go."""
    import comfy.model_management as management

    inputs = {"calls": "4, 5", "options": "teacher_calls=15, rounds=1"}
    patcher = exact_model(denoise, "FLOW", {})
    by_hand(patcher, name="whole", **inputs)
    whole, all_calls = fewstep.load_profile("profile:whole"), len(patcher.model.asked)
    patcher.model.asked.clear()

    saves: list[int] = []
    stopped: list[int] = []

    def stop() -> None:
        stopped.append(len(patcher.model.asked))
        management.interrupt_current_processing()

    save = Profile.save

    def saving(profile: Profile, path: Any) -> Any:
        saves.append(len(profile.entries))
        if not within and len(saves) == 1:
            stop()
        return save(profile, path)

    def interrupting(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        if within and saves == [1] and len(patcher.model.asked) == all_calls - 20:
            stop()
        return denoise(x, alpha, sigma)

    monkeypatch.setattr(Profile, "save", saving)
    patcher = exact_model(interrupting, "FLOW", {})
    with pytest.raises(management.InterruptProcessingException):
        by_hand(patcher, **inputs)
    first = fewstep.load_profile("profile:mine")
    assert list(first.entries) == [4]
    assert len(patcher.model.asked) == stopped[0] < all_calls
    patcher.model.asked.clear()
    by_hand(patcher, **inputs)
    again = fewstep.load_profile("profile:mine")
    assert saves == [1, 2]
    assert len(patcher.model.asked) < all_calls
    for n in (4, 5):
        assert again.plan(n).calls == whole.plan(n).calls
    # complete: nothing but the check of the model
    patcher.model.asked.clear()
    _, text = by_hand(patcher, **inputs)
    assert len(patcher.model.asked) == 3
    assert "5 calls: " in text


def test_another_tunings_profile_is_not_replaced_unasked(host: types.SimpleNamespace) -> None:
    patcher = exact_model(denoise, "EPS", {})
    by_hand(patcher)
    other = exact_model(lambda x, alpha, sigma: 0.5 * denoise(x, alpha, sigma), "EPS", {})
    words = "name: there is a profile 'mine' already, and it is another one: "
    for run in ("tune", "count only"):
        with pytest.raises(ValueError, match=words + "this profile was made for another model, or for other condi"):
            by_hand(other, run=run)
        with pytest.raises(ValueError, match=words + "the profile to go on with has conditions 'cfg 1, latents of 4x4"):
            by_hand(patcher, run=run, seed=4)
    by_hand(other, options="teacher_calls=15, rounds=0, overwrite=on")
    with pytest.raises(ValueError, match=words):
        by_hand(patcher)


def test_a_profile_of_another_model_is_refused(host: types.SimpleNamespace, run_graph: Run, data: Path) -> None:
    from fewstep.nodes import demo_host

    vp = demo_host.model("vp")
    conditions = demo_host.condition([8]), demo_host.condition([10])
    from fewstep.nodes.tune import FewstepTune

    FewstepTune().tune(
        vp, *conditions, {"samples": torch.zeros(1, 1, 32, 32)}, cfg=1.0, calls="5", samples=12, seed=3, name="mine",
        run="tune", options="teacher_calls=15, rounds=0",
    )  # fmt: skip
    assert len(made(vp, 5)) == 3
    assert "model: this profile was made for frame 've', but the model's is 'flow'" in refusal(
        run_graph(base("flow", 1) | tuned()), "tuned"
    )
    graph = base("vp", 1) | tuned(model=["zsnr", 0])
    graph["zsnr"] = node("ModelSamplingDiscrete", model=["demo", 0], sampling="eps", zsnr=True)
    assert "but the profile 'mine' was tuned from 14.6146" in refusal(run_graph(graph), "tuned")
    for inputs, words in (
        ({"steps": 6}, "steps: this profile has no plan of 6 calls; it has 5; tune for 6 too"),
        ({"profile": "yours"}, "profile: there is no profile 'yours'; there are 'mine'"),
        ({"profile": "../mine"}, "profile: profile name '../mine': expected"),
        ({"profile": "(by name)"}, "profile: no profile is chosen"),
    ):
        assert words in refusal(run_graph(base("vp", 1) | tuned(**inputs)), "tuned")

    other = demo_host.model("vp")
    with torch.no_grad():
        for each in other.model.diffusion_model.parameters():
            if each.ndim == 1:
                each.add_(0.5)
    with pytest.raises(ValueError, match="model: this profile was made for model 'network-"):
        made(other, 5)
    assert len(made(other, 5, check_model=False)) == 3

    path = data / "profiles" / "mine.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    assert "profile: " in (text := refusal(run_graph(base("vp", 1) | tuned()), "tuned"))
    assert "is damaged" in text


def test_a_changed_profile_is_seen_without_a_restart(host: types.SimpleNamespace) -> None:
    from fewstep.nodes.tune import FewstepTune
    from fewstep.nodes.tuned_sampler import FewstepTunedSampler

    def menu() -> Any:
        return FewstepTunedSampler.INPUT_TYPES()["required"]["profile"][0]

    assert menu() == ["(by name)"]
    before = FewstepTunedSampler.IS_CHANGED()
    patcher = exact_model(denoise, "EPS", {})
    by_hand(patcher)
    assert menu() == ["(by name)", "mine"]
    after = FewstepTunedSampler.IS_CHANGED()
    assert before != after == FewstepTunedSampler.IS_CHANGED()
    assert FewstepTune.IS_CHANGED(name="mine") is False
    by_hand(patcher, calls="4, 5")
    assert FewstepTunedSampler.IS_CHANGED() != after
    fewstep.samplers.profile_folder.profile_path("profile:mine").unlink()
    assert FewstepTune.IS_CHANGED(name="mine") is True
    assert FewstepTune.IS_CHANGED(name="never made") is False
