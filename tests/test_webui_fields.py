"""The fields of the A1111 family's door: arguments of the script, infotext, X/Y/Z axes, and what is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import pytest
from fewstep.a1111 import request
from fewstep.a1111.auto import note
from fewstep.a1111.fields import ORDER, fields, read
from fewstep.a1111.refusal import RefusedError, refusing
from fewstep.a1111.request import Request, put
from fewstep.a1111.words import sampler_label
from fewstep.samplers.choices import choices
from fewstep.samplers.solvers import offered_solvers
from snapshot import SNAPSHOT, WEBUI_FIELDS
from webui_models import DENOISERS, Guided
from webui_stand_in import Host

SOLVERS = offered_solvers()
DEFAULTS = [each.default for each in fields()]
NUMBERS = (0.05, 1.0, 5.0, 1.23456789, 1e-7, 123456789.0, 1e300)
#: names of statistics and of profiles, see conftest.py
TEXTS = ("ve", "flow")
#: every value that moves a field from its default
MOVED = [
    (each.name, value)
    for each in fields()
    for value in (TEXTS if each.text else each.choices or [n for n in NUMBERS if each.low <= n <= each.high])
    if value != each.default
]
#: (what the script is given, words of the refusal)
BAD: list[tuple[list[Any], str]] = [
    (["genral"], "variant is 'genral', expected one of default, general"),
    ([None, 3], "start is 3, expected one of auto, euler, 2s"),
    ([["general"]], "variant is ['general'], expected one of"),
    ([{"variants": "general"}], "there is no field 'variants', expected some of variant, start"),
    ([{3: 4}], "there is no field 3"),
    ([{"start": "3s"}], "start is '3s'"),
    ([{"profile": "vf"}], "unknown profile 'vf'; did you mean 've'? Known: flow, none, ve"),
    ([{"profile": 3}], "profile is 3, expected a text"),
    *(
        ([{"thresholding": value}], f"thresholding is {value!r}, expected a number, at least 0")
        for value in ("much", "", -1, float("nan"), float("inf"), "inf", True, [1], {}, 10**400)
    ),
]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host().installed() as running:
        yield running


# --- reading ---------------------------------------------------------------------------------------------------------


def test_every_option_of_the_solver_table_is_a_field() -> None:
    assert sorted(ORDER) == sorted([*(each.name for each in choices()), "thresholding", "profile"])
    assert tuple(each.name for each in fields()) == ORDER


def test_published_fields_keep_their_places_and_choices() -> None:
    assert list(ORDER)[: len(WEBUI_FIELDS)] == WEBUI_FIELDS
    for name, kept in SNAPSHOT["FewstepSampler"]["inputs"]["optional"].items():
        if isinstance(kept, list):
            (found,) = (each.choices for each in fields() if each.name == name)
            assert [choice for choice in found if choice in kept] == kept


@pytest.mark.parametrize("given", [[], DEFAULTS, [None] * len(ORDER), [{}], [dict(zip(ORDER, DEFAULTS, strict=True))]])
def test_defaults_say_nothing(given: list[Any]) -> None:
    assert read(given) == {}


@pytest.mark.parametrize(("name", "value"), MOVED)
def test_every_value_is_read_by_place_and_by_name(name: str, value: Any) -> None:
    place = ORDER.index(name)
    for given in (
        [*DEFAULTS[:place], value, *DEFAULTS[place + 1 :]],
        [*DEFAULTS[:place], value],  # what is missing is a default
        [*[None] * place, value],
        [{name: value}],
        [{name: value}, *DEFAULTS[1:]],  # the API fills up what is missing with what the page shows
        [{name: str(value)}],
    ):
        assert read(given) == {name: value}


@pytest.mark.parametrize(("given", "words"), BAD)
def test_a_bad_value_is_refused_by_its_name(given: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        read(given)


@pytest.mark.parametrize(("given", "words"), BAD)
def test_put_keeps_what_was_wrong_for_the_sampler_to_raise(given: list[Any], words: str) -> None:
    p = SimpleNamespace()
    assert put(p, given) is request.of(p)
    assert request.of(p).infotext == {}
    with pytest.raises(ValueError, match=re.escape(words)):
        request.of(p).options(SOLVERS["ddim"])


@pytest.mark.parametrize("p", [SimpleNamespace(), None, object(), SimpleNamespace(fewstep_request="another's")])
def test_a_run_without_our_script_has_the_defaults(p: Any) -> None:
    assert request.of(p) == Request()
    assert (request.of(p).options(SOLVERS["dpmpp_3m"]), request.of(p).bound) == ({}, 0.0)


@pytest.mark.parametrize("id", SOLVERS)
def test_options_reach_the_solvers_that_have_them(id: str) -> None:
    """Of the others the message says what to do."""
    offered = {option.name: option for option in SOLVERS[id].options}
    for name, value in MOVED:
        asked = Request({name: value})
        if name == "thresholding":
            assert (asked.options(SOLVERS[id]), asked.bound) == ({}, value)
        elif name == "profile":
            assert (asked.options(SOLVERS[id]), asked.profile) == ({}, value)
            assert asked.without_profile() == Request()
        elif name not in offered and (name, value) == ("rtol", 0.05):
            assert asked.options(SOLVERS[id]) == {}  # the field once began so: saved work says nothing by it
        elif name not in offered:
            with pytest.raises(ValueError, match=rf"^{name}: {id} has no such option; set it back to .*, or choose a"):
                asked.options(SOLVERS[id])
        elif value in offered[name].choices or value in TEXTS or not offered[name].choices:
            assert asked.options(SOLVERS[id]) == {name: value}
        else:
            with pytest.raises(ValueError, match=rf"^{name}: {id}: unknown value .*Known: "):
                asked.options(SOLVERS[id])


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_refusal_carries_what_the_hosts_server_reads() -> None:
    """modules/api/api.py looks into vars(e), not for attributes of the class."""
    error = RefusedError("no")
    assert vars(error) == {"status_code": 422, "detail": "no"}
    assert str(error) == "no"
    assert isinstance(error, ValueError)


def test_only_refusals_of_the_core_are_turned_into_ours() -> None:
    with pytest.raises(RefusedError, match=r"^Fewstep: such levels do not exist$") as caught, refusing():
        raise ValueError("such levels do not exist")
    assert vars(caught.value) == {"status_code": 422, "detail": "Fewstep: such levels do not exist"}
    for other in (FloatingPointError, KeyError, KeyboardInterrupt):
        with pytest.raises(other), refusing():
            raise other("NaN")


# --- infotext --------------------------------------------------------------------------------------------------------


def parsed(infotext: dict[str, Any]) -> dict[str, str]:
    """The host's way through a text: pairs behind a picture's first ones, keys of a certain kind."""
    line = ", ".join(
        f"{key}: {value}" for key, value in {"Steps": 4, "Sampler": "Fewstep DDIM solver", **infotext}.items()
    )
    pairs = dict(each.split(": ") for each in line.split(", "))
    assert all(re.fullmatch(r"\w[\w \-/]+", key) for key in pairs), "modules/infotext_utils.py finds no other keys"
    return pairs


def pasted(parameters: dict[str, str]) -> list[Any]:
    paste = import_module("fewstep.a1111.script")._paste
    return [paste(name)(parameters) for name in ORDER]


@pytest.mark.parametrize(("name", "value"), MOVED)
def test_every_value_survives_the_infotext(host: Host, name: str, value: Any) -> None:
    found = pasted(parsed(put(SimpleNamespace(), [{name: value}]).infotext))
    assert found[ORDER.index(name)] == value
    assert read(found) == {name: value}


def test_a_picture_says_only_what_was_moved(host: Host) -> None:
    assert put(SimpleNamespace(), DEFAULTS).infotext == {}
    moved = dict(MOVED)
    text = put(SimpleNamespace(), [moved]).infotext
    assert list(text) == [f"Fewstep {name}" for name in moved]
    assert read(pasted(parsed(text))) == moved
    assert pasted({}) == DEFAULTS
    assert pasted({"Fewstep thresholding": "much"}) == DEFAULTS


@pytest.mark.parametrize(
    ("sampler", "second", "wanted"),
    [("ddim", None, True), ("Euler", None, False), ("Euler", "ddim", True), (None, None, False)],
)
def test_pictures_of_other_samplers_are_not_written_on(host: Host, sampler: Any, second: Any, wanted: bool) -> None:
    script = import_module("fewstep.a1111.script").FewstepScript()
    names = [sampler_label(SOLVERS[name]) if name in SOLVERS else name for name in (sampler, second)]
    p = SimpleNamespace(sampler_name=names[0], hr_sampler_name=names[1], extra_generation_params={"Steps": 4})
    script.process(p, "general")
    assert p.extra_generation_params == {"Steps": 4, **({"Fewstep variant": "general"} if wanted else {})}
    assert request.of(p).values == {"variant": "general"}, "another extension may sample with ours"


def test_what_auto_took_in_a_run_before_is_forgotten(host: Host) -> None:
    """The cells of an X/Y/Z plot share the infotext's dictionary."""
    script = import_module("fewstep.a1111.script").FewstepScript()
    p = SimpleNamespace(sampler_name="Euler", hr_sampler_name=None, extra_generation_params={"Steps": 4})
    note(p, schedule="karras")
    note(p, solver="dpm_solver_2m")
    p.is_hr_pass = True
    note(p, solver="unipc_2")
    told = {"Fewstep auto": "dpm_solver_2m on karras", "Fewstep hires auto": "unipc_2"}
    assert p.extra_generation_params == {"Steps": 4, **told}
    assert parsed(told)["Fewstep auto"] == "dpm_solver_2m on karras"
    assert pasted(parsed(told)) == DEFAULTS, "it is no field"
    script.process(p)
    assert p.extra_generation_params == {"Steps": 4}
    note(p, solver="unipc_2")
    assert p.extra_generation_params == {"Steps": 4, "Fewstep hires auto": "unipc_2"}


@pytest.mark.parametrize(
    ("sampler", "second", "said"),
    [
        ("ddim", None, {"profile": "ve"}),
        ("ddim", "Euler", {"profile": "ve", "second pass": "without the profile"}),
        ("Euler", "ddim", {}),
        ("Euler", None, {}),
    ],
)
def test_a_profile_is_told_of_where_it_runs(host: Host, sampler: str, second: Any, said: dict[str, str]) -> None:
    script = import_module("fewstep.a1111.script").FewstepScript()
    names = [sampler_label(SOLVERS[name]) if name in SOLVERS else name for name in (sampler, second)]
    p = SimpleNamespace(sampler_name=names[0], hr_sampler_name=names[1], enable_hr=bool(second))
    p.extra_generation_params = {}
    script.process(p, {"profile": "ve"})
    assert p.extra_generation_params == {f"Fewstep {name}": value for name, value in said.items()}
    parsed(p.extra_generation_params)


def test_a_run_says_nothing_of_the_one_before(host: Host) -> None:
    """The cells of the X/Y/Z plot are copies of one processing object, with one infotext."""
    script = import_module("fewstep.a1111.script").FewstepScript()
    shared: dict[str, Any] = {"Steps": 4}
    p = {"sampler_name": sampler_label(SOLVERS["ddim"]), "enable_hr": True, "extra_generation_params": shared}
    script.process(SimpleNamespace(**p), {"profile": "ve"})
    assert set(shared) == {"Steps", "Fewstep profile", "Fewstep second pass"}
    script.process(SimpleNamespace(**p), {"start": "2s"})
    assert shared == {"Steps": 4, "Fewstep start": "2s"}
    script.process(SimpleNamespace(**p))
    assert shared == {"Steps": 4}


def test_no_options_beside_a_profile() -> None:
    asked = Request({"profile": "ve", "variant": "general", "eta": 0.0, "thresholding": 1.0})
    with pytest.raises(ValueError, match=r"^profile ve takes no options, .* set variant, eta back, or profile to"):
        asked.options(SOLVERS["dpmpp_3m"])
    assert asked.without_profile().values == {"variant": "general", "eta": 0.0, "thresholding": 1.0}


def test_profiles_are_named_with_and_without_the_word() -> None:
    assert read([{"profile": "profile:ve"}]) == read([{"profile": " ve "}]) == {"profile": "ve"}
    assert read([{"profile": ""}]) == read([{"profile": "none"}]) == {}


# --- X/Y/Z -----------------------------------------------------------------------------------------------------------


def axes(host: Host) -> dict[str, Any]:
    host.load_scripts()
    for _ in range(2):
        import_module("fewstep.a1111.xyz").add_axes()
    assert len(host.axes) == 2 + len(ORDER), "the host's own two, and ours once"
    return {axis.label: axis for axis in host.axes}


@pytest.mark.parametrize(("name", "value"), MOVED)
def test_a_value_of_the_plot_overrides_the_page(host: Host, name: str, value: Any) -> None:
    axis = axes(host)[f"[Fewstep] {name}"]
    p, typed = SimpleNamespace(), axis.type(str(value))
    assert typed == value
    axis.confirm(p, [typed])
    axis.apply(p, typed, [typed])
    page = {name: next(other for field, other in MOVED if field == name), "start": "euler"}
    assert put(p, [page]).values == {**page, name: value}
    assert axis.choices is None or value in axis.choices()


def test_a_plot_can_go_back_to_the_default(host: Host) -> None:
    p = SimpleNamespace()
    axis = axes(host)["[Fewstep] variant"]
    axis.apply(p, "default", ["default"])
    assert put(p, ["general"]).values == {}


def test_the_plot_is_told_of_bad_values_before_it_starts(host: Host) -> None:
    for label, value in (("[Fewstep] start", "3s"), ("[Fewstep] thresholding", -1.0)):
        axis = axes(host)[label]
        with pytest.raises(ValueError, match=f"^{label.split()[1]} is "):
            axis.confirm(SimpleNamespace(), [axis.choices()[0] if axis.choices else 1.0, value])


def test_a_host_without_the_plot_gets_no_axes(host: Host) -> None:
    import_module("fewstep.a1111.xyz").add_axes()


# --- the page --------------------------------------------------------------------------------------------------------


MADE: list[Any] = []


class Component:
    """Of gradio: remembers what it was made with and what was connected to it."""

    def __init__(self, *words: Any, **facts: Any) -> None:
        self.words, self.facts, self.connected = words, facts, []
        MADE.append(self)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None

    def change(self, function: Any, **ends: Any) -> SimpleNamespace:
        self.connected.append((function, ends))
        return SimpleNamespace(then=lambda again, **same: self.repeated((again, same)))

    def repeated(self, answer: Any) -> None:
        assert answer == self.connected[-1]


@pytest.mark.parametrize("first", ["host", "ours"])
def test_the_page(host: Host, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """The host may build its own components before ours or after, and asks for ours again for its API."""
    MADE.clear()
    kinds = ("Accordion", "Row", "Checkbox", "Markdown", "Image", "Dropdown", "Number", "State", "Textbox")
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(**dict.fromkeys(kinds, Component)))
    script = import_module("fewstep.a1111.script").FewstepScript()
    script.is_img2img = False
    assert script.show(False) is host.scripts.AlwaysVisible
    own = script.ui(False) if first == "ours" else []
    theirs = {elem_id: Component() for elem_id, _ in script.listeners if elem_id.startswith("txt2img")}
    assert list(theirs) == ["txt2img_sampling", "txt2img_scheduler", "txt2img_steps", "txt2img_cfg_scale"]
    for elem_id, seen in script.listeners:
        if elem_id in theirs:  # the other tab has a script of its own
            seen(SimpleNamespace(component=theirs[elem_id]))
    own = own or script.ui(False)
    assert [each.facts["value"] for each in own] == DEFAULTS
    assert [each.facts["label"] for each in own] == list(ORDER)
    assert [component for component, _ in script.infotext_fields] == own
    assert [paste({}) for _, paste in script.infotext_fields] == DEFAULTS
    assert script.paste_field_names == [f"Fewstep {name}" for name in ORDER]
    # of the sampler depend the labels, the words and the plan; of the schedule type, the steps and the cfg the plan
    assert [len(each.connected) for each in theirs.values()] == [3, 1, 1, 1]
    assert [len(each.connected) for each in own] == [2] * len(own)
    profile = own[ORDER.index("profile")]
    assert profile.facts["choices"] == ["none", "flow", "ve"]
    refresh = next(each for each in host.ui_common.refreshed if each[0] is profile)
    assert refresh[2]() == {"choices": ["none", "flow", "ve"]}
    # the page begins with the sampler that a person has saved as a default
    words = next(each.words[0] for each in MADE if each.facts.get("elem_id", "").endswith("words"))
    assert "is the host's own" in words()
    theirs["txt2img_sampling"].value = "Fewstep DPM++ 2S"
    assert words().startswith("**DPM++ 2S**")
    assert read([each.facts["value"] for each in script.ui(False)]) == {}
    assert [len(each.connected) for each in theirs.values()] == [3, 1, 1, 1]


def test_what_the_page_says_of_samplers(host: Host) -> None:
    preview = import_module("fewstep.a1111.preview")
    assert "is the host's own" in preview.words("Euler") == preview.words(None)
    for row in SOLVERS.values():
        label = sampler_label(row)
        assert row.about in preview.words(label)
        offered = {option.name for option in row.options} | {"thresholding", "profile"}
        for name in ORDER:
            assert (f"**{name}**" in preview.meanings(label)) == (name in offered)
            assert preview.field_label(name, label) == (name if name in offered else f"{name} (unused)")
    wrong = preview.words(sampler_label(SOLVERS["dpmpp_2s"]), ["default", "2s"])
    assert "start: dpmpp_2s has no such option" in wrong


def test_the_picture_of_a_plan(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    monkeypatch.setitem(sys.modules, "modules.paths_internal", SimpleNamespace(roboto_ttf_file=str(font)))
    import_module("fewstep.a1111.menus").offer_schedules("short")
    import_module("fewstep.a1111.menus").offer_samplers("short")
    show = import_module("fewstep.a1111.preview").plan_picture
    label = sampler_label(SOLVERS["dpmpp_3m"])
    assert show(label, "Automatic", 6, DEFAULTS)[1].startswith("No model is loaded yet")
    host.shared.sd_model = Guided(DENOISERS["sd1"])
    picture, words = show(label, "Automatic", 6, ["official"])
    assert min(picture.size) > 100
    assert words.startswith("Auto: karras. 6 model calls. variant official")
    assert show(label, "Automatic", 6, ["genral"]) == (None, "No picture can be made with these options.")
    assert show("Euler", "Automatic", 6, DEFAULTS)[0] is None
    for cfg, pick in ((1.0, "dpm_solver_3m"), (7.0, "dpm_solver_2m")):
        picture, words = show("Fewstep Auto", "Automatic", 6, DEFAULTS, cfg)
        assert min(picture.size) > 100
        assert words.startswith(f"Auto: {pick} on karras. 6 model calls. ")
    assert show("Fewstep Auto", "Fewstep Beta", 6, DEFAULTS, 7.0)[1].startswith("Auto: dpm_solver_2m. 6 model calls. ")
    adaptive = sampler_label(SOLVERS["dpmpp_23"])
    picture, words = show(adaptive, "Automatic", 6, DEFAULTS)
    assert picture is None
    assert words.startswith("Adaptive samplers find their steps")
    # a profile's plan, whichever of our samplers is chosen
    (drawn,) = {show(each, "Automatic", 7, [{"profile": "ve"}])[0].tobytes() for each in (label, adaptive)}
    assert drawn != show(label, "Automatic", 7, DEFAULTS)[0].tobytes()
    assert "no plan of 6 calls; it has 5, 7" in show(label, "Automatic", 6, [{"profile": "ve"}])[1]


def test_what_the_page_says_of_a_profile(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preview = import_module("fewstep.a1111.preview")
    words = preview.words(sampler_label(SOLVERS["dpmpp_2s"]), [{"profile": "ve"}])
    for word in ("Profile ve", "in the place of DPM++ 2S", "second pass of hires fix", "of a test", "5 calls: tuned"):
        assert word in words
    assert "No picture can be made" not in words
    assert "takes no options" in preview.words(sampler_label(SOLVERS["ddim"]), [{"profile": "ve", "eta": 0.5}])
    assert "unknown profile 'vf'" in preview.words(sampler_label(SOLVERS["ddim"]), [{"profile": "vf"}])
    assert preview.words("Euler", [{"profile": "ve"}]) == preview.words("Euler")
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "torn.safetensors").write_bytes(b"0" * 20)
    assert "torn.safetensors is damaged" in preview.words(sampler_label(SOLVERS["ddim"]), [{"profile": "torn"}])
