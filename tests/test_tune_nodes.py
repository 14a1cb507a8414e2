"""What the tuning nodes read and say, without the host: tests/comfy/test_tune.py runs them in the real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from fewstep.nodes import profiles, tuning
from fewstep.nodes.inputs import refusal
from fewstep.nodes.tune import FewstepTune
from fewstep.nodes.tuned_sampler import FewstepTunedSampler
from fewstep.samplers.level import as_float32
from fewstep.samplers.noise_range import NoiseRange
from fewstep.samplers.task import Task

SD = NoiseRange(fewstep.frame("ve"), *as_float32([14.6146, 0.0292]))


@pytest.mark.parametrize("text", ["5, 6, 8, 10", "10 8 6 5", "5,6;8\n10,", "5、6，8，10", "05 6 8 10 10"])
def test_texts_of_calls(text: str) -> None:
    assert tuning.read_calls(text) == (5, 6, 8, 10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5, six", "calls: cannot read 'six'; write whole numbers"),
        ("-5", "calls: cannot read '-5'"),
        ("5.5", "calls: cannot read '5.5'"),
        ("1e3", "calls: cannot read '1e3'"),
        ("٥", "calls: cannot read '٥'"),  # a digit of another script
        ("9" * 5000, "calls: cannot read '9999999999999999999999999999999999999999';"),
        ("", "calls: got 0 numbers, expected 1 to 32"),
        (" ".join(map(str, range(2, 40))), "calls: got 38 numbers"),
        (5, "calls: got 5, expected a text"),
    ],
)
def test_refused_texts_of_calls(text: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tuning.read_calls(text)


def test_a_request_is_the_task_of_its_texts() -> None:
    found = tuning.read_request("5 8", "", SD)
    assert found == tuning.Request(Task(SD.frame, SD.sigma_max, SD.sigma_min, (5, 8)), overwrite=False)
    options = "end=sigma_min, teacher_calls=60; teacher_last=regular rounds=3 points=4 overwrite=on"
    wanted = Task(SD.frame, SD.sigma_max, SD.sigma_min, (5,), "sigma_min", 60, "regular", 3, 4)
    assert tuning.read_request("5", options, SD) == tuning.Request(wanted, overwrite=True)


@pytest.mark.parametrize(
    ("calls", "options", "words"),
    [
        ("50", "", r"calls: calls holds 50, expected whole numbers from 2 to a third of teacher_calls \(120\)"),
        ("1", "", "calls: calls holds 1,"),
        ("5", "rounds=2.5", "options: rounds is 2.5, expected a whole number"),
        ("5", "points=1", "options: tuning: option 'points' is 1.0, expected a number in 2..8"),
        ("5", "end=0", "options: tuning: unknown value for option 'end' '0'"),
        ("5", "round=2", "options: unknown option 'round'; did you mean 'rounds'"),
    ],
)
def test_refused_requests(calls: str, options: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tuning.read_request(calls, options, SD)


def test_the_cost_is_that_of_the_task_in_whole_batches() -> None:
    task = tuning.read_request("5, 8", "", SD).task
    cost = task.cost(32)
    text = tuning.cost_text(task, 32, 4, 2.0)
    assert "from 32 samples: 16 to fit, 8 to choose, 8 to judge." in text
    assert f"At most {cost.total // 4:,} model calls with 4 pictures each" in text
    assert tuning.duration(cost.total / 4 * 2.0) in text
    assert "A call takes" not in tuning.cost_text(task, 32, 4)
    # a set of whole batches each, so that every number of calls is whole
    for part in (cost.teacher, cost.published, cost.fit, cost.judge):
        assert part % 4 == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (5400, "90 min"), (7200, "2 h 0 min"), (100_000, "27 h 47 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert tuning.duration(seconds) == text


def test_validation_names_the_widget_and_waits_for_links() -> None:
    assert FewstepTune.VALIDATE_INPUTS("5, 6", "mine") is True
    assert FewstepTune.VALIDATE_INPUTS(None, None) is True
    assert "calls: cannot read 'x'" in FewstepTune.VALIDATE_INPUTS("x", "mine")
    for name in ("../mine", "", "con", "a" * 100, ".hidden", "a/b", "(by name)"):
        assert FewstepTune.VALIDATE_INPUTS("5", name).startswith("name: profile name "), name
        assert refusal("name", profiles.path_of, name) is not True
    assert FewstepTunedSampler.VALIDATE_INPUTS("gone") is True


# --- profiles --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> profiles.Tuned:
    """A profile `mine` with a plan of 4 calls on the levels of Stable Diffusion."""
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    noise = SD.sigma_max * torch.randn(12, 4, generator=torch.manual_seed(1))
    made = fewstep.tune(
        lambda x, sigma: torch.tanh(x / (1 + sigma[:, None])), noise, 4, sigma_max=SD.sigma_max,
        sigma_min=SD.sigma_min, frame=SD.frame, teacher_calls=12, rounds=1, identity="Net-1",
    )  # fmt: skip
    made.save("profile:mine")
    return profiles.Tuned(profiles.find("mine"), "mine", 4)


def test_profiles_are_found_by_name(tuned: profiles.Tuned) -> None:
    assert profiles.profile_menu() == (["(by name)", "mine"], profiles.profile_menu()[1])
    assert profiles.profile_menu()[1]["default"] == "mine"
    assert tuned.profile.identity == "Net-1"
    with pytest.raises(ValueError, match="there is no profile 'yours'; there are 'mine'"):
        profiles.find("yours")
    with pytest.raises(ValueError, match="no profile is chosen"):
        profiles.find("(by name)")
    path = profiles.path_of("mine")
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is damaged"):
        profiles.find("mine")
    path.unlink()
    assert profiles.profile_menu()[0] == ["(by name)"]


def test_a_tuned_plan_runs_on_its_own_levels_alone(tuned: profiles.Tuned) -> None:
    own = tuned.levels
    assert own == as_float32(own)
    assert tuned.plan(own, SD.frame) == tuned.profile.plan(4)
    for other in (own[:-1], [*own[:2], *own[1:]], [own[0], own[1] * 1.001, *own[2:]], [v / 2 for v in own]):
        with pytest.raises(ValueError, match="but the plan of 4 calls in profile:mine runs on its own 5 levels alone"):
            tuned.plan(other, SD.frame)
    with pytest.raises(ValueError, match="model: this profile was made for frame 've', but the model's is 'flow'"):
        tuned.plan(own, fewstep.frame("flow"))


def test_the_models_range_is_compared(tuned: profiles.Tuned) -> None:
    tuned.check_range(SD)
    # a model that goes lower has all of the plan's levels
    tuned.check_range(replace(SD, sigma_min=0.001))
    lowest = tuned.levels[-2]
    with pytest.raises(ValueError, match=r"its lowest sigma is .*, but the plan of 4 calls in profile 'mine' asks at"):
        tuned.check_range(replace(SD, sigma_min=1.01 * lowest))
    with pytest.raises(ValueError, match=r"its noise begins at sigma 4518, but the profile 'mine' was tuned from 14.6"):
        tuned.check_range(replace(SD, sigma_max=4518.0))


def test_another_plan_changes_the_stamp(tuned: profiles.Tuned) -> None:
    """The host runs again what has another stamp than at its last run."""
    before = profiles.stamp()
    assert before == profiles.stamp()
    tuned.profile.save("profile:yours")
    assert profiles.stamp() != before


def test_the_report_says_what_each_plan_gained(tuned: profiles.Tuned) -> None:
    profile = replace(tuned.profile, conditions="cfg 5")
    entry = profile.entries[4]
    text = tuning.gains(profile, (4, 5))
    assert "cfg 5" in text
    assert str(entry) in text
    noted = replace(profile, entries={4: replace(entry, plan=replace(entry.plan, notes=("beware",)))})
    assert "beware" in tuning.gains(noted, (4,))
