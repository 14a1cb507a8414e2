"""Our side of the interface to A1111, Forge and reForge, without a host: what the menus hold, and under which names.

tests/webui asks a real host the same questions. How the hosts load us is in test_webui_loading.py, the fields are in
test_webui_fields.py, and what happens in a sampling call is in test_webui_sampling.py.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from fewstep.a1111.words import ATTRIBUTE, sampler_label, schedule_label, schedule_name
from fewstep.samplers.menu import menu
from fewstep.samplers.schedules import offered_schedules
from fewstep.samplers.solvers import offered_solvers
from snapshot import WEBUI_SAMPLERS, WEBUI_SCHEDULES
from webui_names import HOSTS, Names
from webui_stand_in import NEED_A_HOST, Host, SamplerData, Scheduler

SOLVERS, SCHEDULES = offered_solvers(), offered_schedules()
SAMPLER_LABELS = {id: sampler_label(row) for id, row in SOLVERS.items()}
SCHEDULE_LABELS = {id: schedule_label(row) for id, row in SCHEDULES.items()}
SHORT = [SAMPLER_LABELS[id] for id in menu("short").values()]
OURS = tuple((schedule_name(id), label) for id, label in SCHEDULE_LABELS.items())


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with Host(HOSTS[request.param]).installed() as running:
        yield running


@pytest.fixture
def a1111() -> Iterator[Host]:
    with Host().installed() as running:
        yield running


def offer(samplers: str = "short", schedules: str = "short") -> Any:
    menus = import_module("fewstep.a1111.menus")
    menus.offer_schedules(schedules)
    menus.offer_samplers(samplers)
    return menus


def ours_in(host: Host) -> tuple[list[str], list[str]]:
    """Our labels in the host's two lists."""
    return (
        [each.name for each in host.sd_samplers.all_samplers if each.name.startswith("Fewstep ")],
        [each.label for each in host.sd_schedulers.schedulers if each.label.startswith("Fewstep ")],
    )


# --- what is published -----------------------------------------------------------------------------------------------


def test_published_labels_stay() -> None:
    """They stand in the infotext of people's pictures."""
    assert set(WEBUI_SAMPLERS) <= set(SAMPLER_LABELS.values())
    assert set(WEBUI_SCHEDULES) <= set(SCHEDULE_LABELS.values())
    assert SAMPLER_LABELS["auto"] == SCHEDULE_LABELS["auto"] == "Fewstep Auto"
    assert SHORT[0] == "Fewstep Auto"


def test_published_schedules_stay_in_the_short_menu(a1111: Host) -> None:
    short = ["beta", "time_uniform", "time_quadratic", "sgm_uniform", "rho_power", "linear_quadratic", "flow_shift"]
    assert list(offer().SHORT_SCHEDULES)[: 1 + len(short)] == ["auto", *short]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", HOSTS.values(), ids=HOSTS)
def test_no_schedule_changes_what_a_sampler_is(names: Names) -> None:
    """The hosts cut a schedule's name from a sampler's end: neither theirs from ours nor ours from theirs."""
    for label in SAMPLER_LABELS.values():
        assert names.understands(label, OURS) == label
    for label in names.samplers:
        assert names.understands(label, OURS) == names.understands(label)
    # the rule is at work: a name of the kind that it is for, and one that we had to avoid
    assert names.understands("DPM++ 2M Karras", OURS) == "DPM++ 2M"
    assert names.understands("Fewstep DDIM", OURS) == "Fewstep"


@pytest.mark.parametrize("names", HOSTS.values(), ids=HOSTS)
def test_names_are_unique_and_not_the_hosts(names: Names) -> None:
    """In lower case too, in which the hosts look for aliases and reForge for names."""
    samplers = [
        *SAMPLER_LABELS.values(),
        *(f"{ATTRIBUTE}{id}" for row in SOLVERS.values() for id in (row.id, *row.aliases)),
    ]
    schedules = [word for row in OURS for word in row]
    for own, theirs in ((samplers, names.samplers), (schedules, [word for row in names.schedules for word in row])):
        lower = [name.lower() for name in own]
        assert len(set(lower)) == len(lower)
        assert not set(lower) & {name.lower() for name in theirs}


@pytest.mark.parametrize("id", SOLVERS)
@pytest.mark.parametrize("size", ["short", "none"])
def test_every_solver_is_understood_whatever_the_menu_shows(a1111: Host, id: str, size: str) -> None:
    """The host remembers what a name meant when it was asked before."""
    label, schedule = SAMPLER_LABELS[id], "Fewstep Time power"  # not in the short menu
    find, menus = a1111.sd_samplers.get_sampler_and_scheduler, import_module("fewstep.a1111.menus")
    assert find(label, schedule) == ("DPM++ 2M", "Automatic")
    menus.offer_schedules(size)
    assert find(label, schedule) == ("DPM++ 2M", schedule)
    menus.offer_samplers(size)
    assert find(label, schedule) == (label, schedule)


# --- entries ---------------------------------------------------------------------------------------------------------


def test_entries_of_samplers(host: Host) -> None:
    offer("all", "none")
    for id, label in SAMPLER_LABELS.items():
        entry = host.sd_samplers.all_samplers_map[label]
        assert isinstance(entry, SamplerData)
        assert all(isinstance(value, (str, bool, int, float)) for value in entry.options.values()), "the API's model"
        assert [entry.total_steps(n) for n in (1, 2, 50)] == [1, 2, 50]
        assert entry.options["scheduler"] == "fewstep_auto", "what Automatic means"
        assert set(entry.options) == {"scheduler"}, "the hosts read uses_ensd, second_order, brownian_noise and others"
        for alias in entry.aliases:
            assert host.sd_samplers.samplers_map[alias.lower()] == label
        assert entry.aliases[0] == f"fewstep_{id}"


@pytest.mark.parametrize("id", SOLVERS)
def test_the_hosts_fill_no_parameter_by_its_name(id: str) -> None:
    """An `eta` would be given 1.0, whatever its default."""
    from fewstep.a1111.sampling import sampler_function

    assert list(inspect.signature(sampler_function(SOLVERS[id])).parameters) == [
        "model", "x", "sigmas", "extra_args", "callback", "disable",
    ]  # fmt: skip


def test_entries_of_schedules(host: Host) -> None:
    offer("none", "all")
    for id, label in SCHEDULE_LABELS.items():
        entry = host.sd_schedulers.schedulers_map[label]
        assert isinstance(entry, Scheduler)
        assert host.sd_schedulers.schedulers_map[schedule_name(id)] is entry
        assert (entry.name, entry.label, entry.need_inner_model, entry.aliases) == (
            schedule_name(id),
            label,
            True,
            None,
        )
        rho = [option.default for option in SCHEDULES[id].options if option.name == "rho"]
        assert entry.default_rho == (rho[0] if rho else -1), "the host's setting rho is for schedules that have one"


# --- lists -----------------------------------------------------------------------------------------------------------


def test_what_was_in_the_lists_stays_as_it_was(host: Host) -> None:
    lists = (host.sd_samplers.all_samplers, host.sd_schedulers.schedulers)
    maps = (host.sd_samplers.all_samplers_map, host.sd_schedulers.schedulers_map)
    before, known = [[*each] for each in lists], [{**each} for each in maps]
    for size in ("short", "all", "none", "short"):
        offer(size, size)
    assert lists == (host.sd_samplers.all_samplers, host.sd_schedulers.schedulers), "other modules hold these lists"
    for now, then in zip(lists, before, strict=True):
        assert all(a is b for a, b in zip(now[: len(then)], then, strict=True))
    for now, then in zip(maps, known, strict=True):
        assert all(now[name] is entry for name, entry in then.items())


def test_sizes_of_the_lists(host: Host) -> None:
    for size, wanted in (("short", SHORT), ("all", SAMPLER_LABELS.values()), ("none", []), ("short", SHORT)):
        menus = offer(size, size)
        samplers, schedules = ours_in(host)
        assert samplers == list(wanted)
        assert schedules == [SCHEDULE_LABELS[id] for id in menus.schedule_menu(size)]
        assert set(SAMPLER_LABELS.values()) <= set(host.sd_samplers.all_samplers_map)
        assert {word for row in OURS for word in row} <= set(host.sd_schedulers.schedulers_map)
    with pytest.raises(ValueError, match="unknown size of menu 'long'"):
        offer("short", "long")


@pytest.mark.parametrize("size", ["short", "all", "none"])
@pytest.mark.parametrize("id", ["dpmpp_3m", "ddim"])  # in the short menu and not
def test_a_name_that_another_extension_has_is_left_to_it(a1111: Host, id: str, size: str) -> None:
    theirs = SamplerData(SAMPLER_LABELS[id], None, [], {})
    a1111.sd_samplers.all_samplers.append(theirs)
    a1111.sd_samplers.all_samplers_map[theirs.name] = theirs
    schedule = Scheduler("theirs", "Fewstep Beta", None)
    a1111.sd_schedulers.schedulers.append(schedule)
    a1111.sd_schedulers.schedulers_map.update({"theirs": schedule, "Fewstep Beta": schedule})
    for _ in range(2):
        offer(size, size)
        assert a1111.sd_samplers.all_samplers_map[theirs.name] is theirs
        assert [each for each in a1111.sd_samplers.all_samplers if each.name == theirs.name] == [theirs]
        assert a1111.sd_schedulers.schedulers_map["Fewstep Beta"] is schedule
        assert [each for each in a1111.sd_schedulers.schedulers if each.label == "Fewstep Beta"] == [schedule]


# --- the door --------------------------------------------------------------------------------------------------------


def test_only_these_modules_need_a_host() -> None:
    """The others can be tested, and are imported here, without one."""
    import_module("fewstep.a1111.sampling")
    for name in NEED_A_HOST:
        with pytest.raises(ModuleNotFoundError, match="modules"):
            import_module(f"fewstep.a1111.{name}")


def test_settings_page(a1111: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(Radio=object))
    import_module("fewstep.a1111.door").open_door()
    for page in a1111.script_callbacks.registered["on_ui_settings"]:
        page()
    added = a1111.shared.opts.added
    assert set(added) == {"fewstep_sampler_menu", "fewstep_schedule_menu"}
    for info in added.values():
        assert info.default == "short"
        assert info.component_args == {"choices": ["short", "all", "none"]}


def test_a_wrong_size_in_the_settings_is_named_and_the_default_used(a1111: Host, caplog: Any) -> None:
    a1111.settings.update(fewstep_sampler_menu="long", fewstep_schedule_menu="none")
    with caplog.at_level(logging.WARNING, "fewstep"):
        import_module("fewstep.a1111.door").open_door()
    assert ours_in(a1111) == (SHORT, [])
    assert "fewstep_sampler_menu is 'long', expected one of ('short', 'all', 'none')" in caplog.text


def test_samplers_that_no_menu_shows_outlive_forges_add_sampler(a1111: Host) -> None:
    """With it an extension after us makes Forge's map anew from the list."""
    import_module("fewstep.a1111.door").open_door()
    a1111.sd_samplers.add_sampler(SamplerData("Another", None, [], {}))
    for started in a1111.script_callbacks.registered["on_app_started"]:
        started(None, object())
    assert set(SAMPLER_LABELS.values()) <= set(a1111.sd_samplers.all_samplers_map)
    assert "Another" in a1111.sd_samplers.all_samplers_map
    assert ours_in(a1111)[0] == SHORT
