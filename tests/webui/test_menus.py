"""Our entries in a running host's menus."""

from __future__ import annotations

from typing import Any

import pytest
from fewstep.a1111.words import sampler_label, schedule_label
from fewstep.samplers.auto import choose_schedule, choose_solver
from fewstep.samplers.level import frame
from fewstep.samplers.menu import menu
from fewstep.samplers.schedules import offered_schedules, schedule_row
from fewstep.samplers.solvers import offered_solvers, solver
from harness import named
from webui_host import Host, alwayson

SHORT = [sampler_label(solver(id)) for id in menu("short").values()]


def names(host: Host, what: str, key: str) -> list[str]:
    return [each[key] for each in host.get(f"/sdapi/v1/{what}") if each[key].startswith("Fewstep ")]


def test_the_short_menu_is_listed(host: Host) -> None:
    assert names(host, "samplers", "name") == SHORT
    assert names(host, "schedulers", "label")[:2] == ["Fewstep Auto", "Fewstep Beta"]
    assert "Fewstep Flow shift" in names(host, "schedulers", "label")


@pytest.mark.parametrize("id", list(offered_solvers()))
def test_every_solver_samples_whatever_the_menu_shows(host: Host, id: str) -> None:
    label = sampler_label(solver(id))
    if "ve" not in solver(id).frames:
        assert "is defined on flow" in host.refusal(sampler_name=label).body["detail"]
        return
    picture = host.picture(sampler_name=label, scheduler="Karras", steps=5, **alwayson(named(id)))
    assert picture.parameters["Sampler"] == label
    assert picture.parameters["Schedule type"] == "Karras"
    # adaptive solvers ask as often as the tolerance needs
    assert len(host.calls()) == 5 or (solver(id).adaptive and len(host.calls()) > 5)


@pytest.mark.parametrize("id", list(offered_schedules()))
def test_every_schedule_makes_levels(host: Host, id: str) -> None:
    row = schedule_row(id)
    label = schedule_label(row)
    asked: dict[str, Any] = {"sampler_name": "Fewstep DPM++ 3M", "scheduler": label, "steps": 6}
    if "ve" not in row.frames:
        assert "exists in frame flow" in host.refusal(**asked).body["detail"]
        return
    picture = host.picture(**asked)
    assert picture.parameters["Schedule type"] == label
    sigmas = [call["sigma"] for call in host.calls()]
    assert len(sigmas) == 6
    assert sigmas == sorted(sigmas, reverse=True)


def test_automatic_is_a_schedule_of_ours_and_says_so(host: Host) -> None:
    picture = host.picture(sampler_name="Fewstep DPM++ 3M", scheduler="Automatic")
    assert picture.parameters["Schedule type"] == "Fewstep Auto"
    assert picture.parameters["Fewstep auto"] == "karras"


@pytest.mark.parametrize("cfg", [1.0, 7.0])
def test_auto_goes_by_the_cfg_scale_and_can_be_made_again(host: Host, cfg: float) -> None:
    where = frame("ve")
    picture = host.picture(sampler_name="Fewstep Auto", scheduler="Automatic", steps=6, cfg_scale=cfg)
    assert len(host.calls()) == 6
    assert picture.parameters["Sampler"] == picture.parameters["Schedule type"] == "Fewstep Auto"
    taken = choose_solver(where, 6, guidance=cfg), choose_schedule(where, 6, guidance=cfg)
    assert picture.parameters["Fewstep auto"] == f"{taken[0].id} on {taken[1]}"
    options = {name: value for name, value in taken[0].options.items() if value != "auto"}
    same = host.picture(
        sampler_name=sampler_label(solver(taken[0].id)), scheduler=schedule_label(schedule_row(taken[1].id)), steps=6,
        cfg_scale=cfg, **alwayson(options),
    )  # fmt: skip
    assert same.images == picture.images
    assert "Fewstep auto" not in same.infotext
    if host.name != "forge":  # which answers every request with an infotext with 500 (its own modules/api/api.py)
        again = host.call("/sdapi/v1/txt2img", {"infotext": picture.infotext})
        assert again.status == 200, again
        assert again.body["images"] == picture.images


def test_what_auto_took_is_not_written_on_pictures_of_others(host: Host) -> None:
    host.picture(sampler_name="Fewstep Auto", scheduler="Automatic")
    assert "Fewstep auto" not in host.picture(sampler_name="Euler", scheduler="Karras").infotext


def test_the_hosts_own_samplers_take_our_schedules(host: Host) -> None:
    picture = host.picture(sampler_name="Euler", scheduler="Fewstep Time quadratic")
    assert picture.parameters["Sampler"] == "Euler"
    assert picture.parameters["Schedule type"] == "Fewstep Time quadratic"
