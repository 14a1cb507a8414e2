"""Tuned profiles on the command line: made, stopped, gone on with, listed, used, and refused where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from fewstep.commands import cli
from fewstep.demo import models
from fewstep.samplers.profile_folder import profile_folder, profile_names
from fewstep.samplers.task import Task
from fewstep.samplers.times import sigma_range

#: small: two plans take about 2000 evaluations of the network
SMALL = ("tune", "--model", "vp", "--classes", "1,8", "--guidance", "1", "--count", "12", "--teacher-calls", "9")
BOTH = (*SMALL, "--calls", "2,3")


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        status = cli.main(words)
    except SystemExit as stop:  # argparse's own checks
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def say(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that must succeed prints."""
    status, out, err = answer(capsys, *words)
    assert status == 0, err
    return out


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The profile demo_vp, of 2 and 3 calls, and a file that is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWSTEP_DATA", str(tmp_path_factory.mktemp("data")))
        assert cli.main(BOTH) == 0
        (profile_folder() / "torn.safetensors").write_bytes(b"\x00" * 20)
        yield


# --- tune ------------------------------------------------------------------------------------------------------------


def test_what_tune_says(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = answer(capsys, *SMALL, "--calls", "2", "--name", "other")
    assert status == 0
    first, *plans, last, use = out.splitlines()
    made = fewstep.load_profile("profile:other")
    assert first.startswith("vp, trouser, bag, guidance 1, 12 samples of seed 0: at most ")
    assert plans == [str(made.entries[2])]
    assert str(profile_folder() / "other.safetensors") in last
    assert use == "use it: fewstep sample --model vp --guidance 1 --solver profile:other"
    assert "judge, 2 calls 100%" in err
    assert str(made.entries[2]) in err, "what was found last"
    assert made.identity == models.identity_of("vp")
    assert made.conditions == "trouser, bag, guidance 1, 12 samples of seed 0"


def test_a_stop_keeps_what_is_done_and_the_same_command_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*BOTH, "--name", "stopped")
    tune = models.tune

    def until_a_plan_is_done(*given: Any, callback: Any, **more: Any) -> Any:
        def stop(progress: Any) -> None:
            callback(progress)
            if progress.profile.entries:
                raise KeyboardInterrupt

        return tune(*given, callback=stop, **more)

    with monkeypatch.context() as patch:
        patch.setattr(models, "tune", until_a_plan_is_done)
        status, _, err = answer(capsys, *words)
    assert status == 130
    assert "plans of 2 calls are kept in" in err.splitlines()[-1]
    assert "the same command goes on" in err
    assert list(fewstep.load_profile("profile:stopped").entries) == [2]
    rest = json.loads(say(capsys, *words, "--json"))
    low, high = sigma_range(fewstep.frame("vp").time)
    left = Task(fewstep.frame("vp"), high, low, (3,), teacher_calls=9).cost(12)
    assert rest["cost"] == asdict(left), "the plan that is kept costs nothing"
    assert left.teacher == 12 * 9 + 3 * 4
    assert 0 < rest["evaluations"] <= left.total
    whole, resumed = fewstep.load_profile("profile:demo_vp"), fewstep.load_profile("profile:stopped")
    assert resumed.entries == whole.entries
    # and once more: nothing is left
    again = json.loads(say(capsys, *words, "--json"))
    assert (again["evaluations"], again["plans"]) == (0, rest["plans"])


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--guidance", "2"), ("conditions", "guidance 1", "guidance 2", "--name")),
        (("--seed", "1"), ("seed 0", "seed 1", "delete")),
        (("--count", "13"), ("12 samples", "13 samples")),
        (("--teacher-calls", "12"), ("settings", "'teacher_calls': 9", "'teacher_calls': 12")),
        (("--name", "torn"), ("torn.safetensors is damaged", "delete")),
    ],
)
def test_a_profile_of_other_settings_is_not_gone_on_with(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], names: tuple[str, ...]
) -> None:
    before = {path.name: path.read_bytes() for path in profile_folder().iterdir()}
    status, out, err = answer(capsys, *BOTH, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not [name for name in names if name not in err], err
    assert {path.name: path.read_bytes() for path in profile_folder().iterdir()} == before


# --- list ------------------------------------------------------------------------------------------------------------


def test_list_of_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    text = say(capsys, "list", "profiles")
    made = fewstep.load_profile("profile:demo_vp")
    for word in ("demo_vp", "vp", made.identity, made.conditions, *map(str, made.entries.values())):
        assert word in text
    assert "damaged: " in next(line for line in text.splitlines() if line.strip().startswith("torn"))
    found = {each["name"]: each for each in json.loads(say(capsys, "list", "profiles", "--json"))["profiles"]}
    assert set(found) == set(profile_names())
    assert "torn.safetensors" in found["torn"]["damaged"]
    mine = found["demo_vp"]
    assert (mine["damaged"], mine["frame"], mine["identity"]) == (None, "vp", made.identity)
    for plan, entry in zip(mine["plans"], made.entries.values(), strict=True):
        assert plan["calls"] == len(entry.plan) == len(plan["sigmas"]) - 1
        assert plan["gain"]["ratio"] == entry.gain.ratio


def test_no_profiles_yet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    assert "none yet" in say(capsys, "list", "profiles")
    assert json.loads(say(capsys, "list", "profiles", "--json")) == {"profiles": []}


def test_a_profile_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(say(capsys, "list", "profile:demo_vp").split())
    made = fewstep.load_profile("profile:demo_vp")
    for entry in made.entries.values():
        assert str(entry) in text
        assert f"{entry.plan.levels[1].host:.4g}" in text
        assert not [note for note in entry.plan.notes if note not in text]
    assert all(str(value) in text for name, value in made.settings.items() if name != "rivals")
    (one,) = json.loads(say(capsys, "list", "profile:demo_vp", "--json"))["profiles"]
    assert one in json.loads(say(capsys, "list", "profiles", "--json"))["profiles"]


# --- use -------------------------------------------------------------------------------------------------------------


def test_sample_runs_the_plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[torch.Tensor] = []
    draw = models.draw

    def drawn(*given: Any) -> torch.Tensor:
        kept.append(draw(*given))
        return kept[-1]

    monkeypatch.setattr(models, "draw", drawn)
    words = ("sample", "--model", "vp", "--solver", "profile:demo_vp", "--count", "1", "--classes", "1", "--json")
    facts = json.loads(say(capsys, *words, "--calls", "2"))
    plan = fewstep.load_profile("profile:demo_vp").plan(2)
    assert torch.equal(kept[0], draw(plan, models.denoiser("vp", [1], 2.0), models.noise(plan, 1, 0)))
    assert (facts["solver"], facts["calls"], len(kept)) == ("profile:demo_vp", 2, 1)
    assert json.loads(say(capsys, *words))["calls"] == 3, "the most that it has"


def test_plot_draws_it_in_its_own_frame(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(say(capsys, "plot", "profile:demo_vp", "--json"))
    plan = fewstep.load_profile("profile:demo_vp").plan(3)
    assert (found["frame"], found["sigmas"]) == ("vp", [level.host for level in plan.levels])
    assert "3 model calls" in say(capsys, "plot", "profile:demo_vp")
    assert Path("out", "plan.png").is_file()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sample --model vp --solver profile:nobody", ("no profile at", "demo_vp")),
        ("sample --model vp --solver profile:../x", ("profile name '../x'",)),
        ("sample --model vp --solver profile:torn", ("torn.safetensors is damaged",)),
        ("sample --model vp --solver profile:demo_vp --calls 7", ("no plan of 7 calls", "2, 3")),
        ("sample --model flow --solver profile:demo_vp", ("frame 'vp'", "'flow'")),
        ("sample --model vp --solver profile:another", ("made for model 'other'", "network-")),
        ("plot profile:demo_vp --frame ve", ("frame 'vp'", "'ve'")),
        ("plot profile:demo_vp --schedule karras", ("--schedule", "settled")),
        ("plot profile:demo_vp --schedule-option rho=5 --sigma-max 10 --end 0", ("--sigma-max, --end, --schedule-o",)),
        ("plot profile:demo_vp --option last=regular", ("--option", "settled")),
        ("plot profile:begun", ("no plans yet",)),
        ("list profile:nobody", ("no profile at",)),
        ("list profile:torn", ("damaged",)),
        ("list profiles --markdown", ("--markdown",)),
        ("list profilez", ("'profilez'", "'profiles'")),
        ("tune --model sd", ("unknown model 'sd'",)),
        ("tune --calls many", ("--calls is 'many'", "5,8,10")),
        ("tune --calls 1", ("calls holds 1",)),
        ("tune --calls 50", ("a third of teacher_calls (120)",)),
        ("tune --count 8", ("got 8 sample(s)", "at least 12")),
        ("tune --guidance nan", ("--guidance is nan",)),
        ("tune --classes shoe", ("unknown class 'shoe'",)),
        ("tune --seed -1", ("--seed is -1",)),
        ("tune --name a/b", ("profile name 'a/b'",)),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], line: str, words: tuple[str, ...]) -> None:
    made = fewstep.load_profile("profile:demo_vp")
    replace(made, identity="other").save("profile:another")
    replace(made, entries={}).save("profile:begun")
    status, out, err = answer(capsys, *line.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not [word for word in words if word not in err], err
    assert not Path("out").exists()
