"""Our entries in a running host's menus."""

from __future__ import annotations

from typing import Any

import pytest
from fewstep.a1111.words import sampler_label, schedule_label
from fewstep.samplers.menu import menu
from fewstep.samplers.schedules import schedules
from fewstep.samplers.solvers import solver, solvers
from harness import named
from webui_host import Host, alwayson

SHORT = [sampler_label(solver(id)) for id in menu("short").values()]


def names(host: Host, what: str, key: str) -> list[str]:
    return [each[key] for each in host.get(f"/sdapi/v1/{what}") if each[key].startswith("Fewstep ")]


def test_the_short_menu_is_listed(host: Host) -> None:
    assert names(host, "samplers", "name") == SHORT
    assert names(host, "schedulers", "label")[0] == "Fewstep Beta"
    assert "Fewstep Flow shift" in names(host, "schedulers", "label")


@pytest.mark.parametrize("id", list(solvers()))
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


@pytest.mark.parametrize("id", list(schedules()))
def test_every_schedule_makes_levels(host: Host, id: str) -> None:
    row = schedules()[id]
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
    assert picture.parameters["Schedule type"] == "Fewstep Beta"


def test_the_hosts_own_samplers_take_our_schedules(host: Host) -> None:
    picture = host.picture(sampler_name="Euler", scheduler="Fewstep Time quadratic")
    assert picture.parameters["Sampler"] == "Euler"
    assert picture.parameters["Schedule type"] == "Fewstep Time quadratic"
