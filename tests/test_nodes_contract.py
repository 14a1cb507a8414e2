"""Our side of the ComfyUI interface, without the host: what tests/comfy runs inside the real one."""

from __future__ import annotations

import copy
import json
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fewstep
import pytest
import torch
from fewstep.nodes import history, inputs, parts, ranges, routes, settings
from fewstep.nodes.cfg_pp import Guidance
from fewstep.nodes.compare import FewstepCompare
from fewstep.nodes.demo_model import FewstepDemoModel
from fewstep.nodes.host_sampler import Choice, sampler_function
from fewstep.nodes.ksampler import FewstepKSampler
from fewstep.nodes.levels import make_levels
from fewstep.nodes.menu import _sampler
from fewstep.nodes.plot_data import from_widgets
from fewstep.nodes.sampler import FewstepSampler
from fewstep.nodes.scheduler import FewstepScheduler
from fewstep.nodes.sigmas_info import FewstepSigmasInfo
from fewstep.nodes.tune import FewstepTune
from fewstep.nodes.tuned_sampler import FewstepTunedSampler
from fewstep.samplers.auto import choose_schedule, choose_solver
from fewstep.samplers.kdiffusion import label_of
from fewstep.samplers.level import Frame, as_float32
from fewstep.samplers.menu import menu
from fewstep.samplers.solvers import solver
from harness import FIXED, make_plan, named
from snapshot import MENU, SNAPSHOT

NODES: tuple[Any, ...] = (
    FewstepKSampler,
    FewstepSampler,
    FewstepScheduler,
    FewstepSigmasInfo,
    FewstepDemoModel,
    FewstepTune,
    FewstepTunedSampler,
    FewstepCompare,
)
BY_ID = {node.__name__: node for node in NODES}
SOLVERS, SCHEDULES = fewstep.solvers(), fewstep.schedules()
ADAPTIVE = SOLVERS.keys() - FIXED.keys()


# --- what is published -----------------------------------------------------------------------------------------------


def test_the_snapshot_names_every_node() -> None:
    assert list(SNAPSHOT) == list(BY_ID)


@pytest.mark.parametrize("id", SNAPSHOT)
def test_published_inputs_and_outputs_stay_in_their_order(id: str) -> None:
    """Later versions may append optional inputs, outputs and choices, and nothing else."""
    wanted, node = SNAPSHOT[id], BY_ID[id]
    given = node.INPUT_TYPES()
    assert list(given["required"]) == list(wanted["inputs"]["required"])
    optional = list(wanted["inputs"].get("optional", {}))
    assert list(given.get("optional", {}))[: len(optional)] == optional
    for group, fields in wanted["inputs"].items():
        for name, kind in fields.items():
            found = given[group][name][0]
            if isinstance(kind, list):
                kept = [choice for choice in found if choice in kind]
                assert kept == kind, f"{id}.{name} lost or reordered a choice"
            elif kind in ("a solver id", "a schedule id"):
                assert found == ["auto", *(SOLVERS if "solver" in kind else SCHEDULES)]
                assert given[group][name][1]["default"] == "auto"
            else:
                assert found == kind
    assert list(node.RETURN_TYPES)[: len(wanted["outputs"])] == wanted["outputs"]
    assert len(node.RETURN_NAMES) == len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_TYPES)


@pytest.mark.parametrize("id", SNAPSHOT)
def test_every_input_has_a_tooltip_and_a_valid_default(id: str) -> None:
    node = BY_ID[id]
    assert node.CATEGORY == "sampling/fewstep"
    assert node.NAME.startswith("Fewstep ")
    assert {"采样器", "调度器", "步数", "few"} <= set(node.SEARCH_ALIASES)
    for group in ("required", "optional"):
        for name, (kind, facts) in node.INPUT_TYPES().get(group, {}).items():
            assert facts["tooltip"], f"{id}.{name}"
            if isinstance(kind, list):
                assert facts["default"] in kind
                assert len(set(kind)) == len(kind)
            if kind in ("INT", "FLOAT"):
                assert facts["min"] <= facts["default"] <= facts["max"]
    assert callable(getattr(node, node.FUNCTION))


def test_published_menu_names_stay_listed() -> None:
    assert [name for name in menu() if name in MENU] == MENU
    assert next(iter(menu())) == "fewstep_auto"
    assert set(MENU) <= set(menu("all"))
    assert len(menu("all")) == 1 + len(SOLVERS)
    # a menu of names alone has no place for the statistics that these need
    assert menu("all").keys() - menu("all", bare=True).keys() == {"fewstep_analytic_ddpm", "fewstep_analytic_ddim"}
    assert menu("none") == {}
    assert all(make_plan(id, [1.0, 0.5, 0.0], "flow") for id in menu("all").values() if id not in ADAPTIVE)
    with pytest.raises(ValueError, match="unknown size of menu 'long'"):
        menu("long")


def test_the_entry_file_needs_no_host_until_comfyui_asks() -> None:
    """The loader asks with hasattr; without the host the answer is a full ImportError, never a silent no."""
    assert fewstep.WEB_DIRECTORY == "./web"
    with pytest.raises(ImportError, match="folder_paths"):
        _ = fewstep.NODE_CLASS_MAPPINGS


# --- from widgets to solvers and levels ------------------------------------------------------------------------------


def test_a_widget_at_its_default_fits_every_solver() -> None:
    defaults = {name: facts["default"] for name, (_, facts) in inputs.solver_options().items()}
    for id in SOLVERS:
        row, chosen = inputs.chosen_solver(id, defaults)
        assert (row.id, chosen) == (id, {})


def test_every_option_of_every_solver_has_a_widget_that_reaches_it() -> None:
    widgets = inputs.solver_options()
    for id, row in SOLVERS.items():
        for option in row.options:
            choices, facts = widgets[option.name]
            assert set(option.choices) <= set(choices)
            for value in option.choices:
                _, chosen = inputs.chosen_solver(id, {option.name: value})
                assert chosen == ({} if value == facts["default"] else {option.name: value})


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("dpmp_2m", {}, "sampler_name: unknown solver 'dpmp_2m'; did you mean 'dpmpp_2m'"),
        (None, {}, "sampler_name: a solver is given by its id"),
        ("dpmpp_2m", {"start": "2s"}, "start: dpmpp_2m has no such option; set it back to 'auto', or choose"),
        ("dpmpp_3m", {"start": "3s"}, "start: dpmpp_3m: unknown value for option 'start' '3s'"),
        ("dpmpp_3m", {"variant": "general"}, "variant: dpmpp_3m: unknown value for option 'variant' 'general'"),
    ],
)
def test_refused_solvers_and_options_name_the_widget(name: Any, values: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        inputs.chosen_solver(name, values)


@pytest.mark.parametrize("text", ["rho=5", " rho = 5 ", "rho=5,", "rho=5; end=0", "end=0\nrho=5"])
def test_texts_of_options(text: str) -> None:
    found = make_levels("karras", 6, 1.0, text, fewstep.frame("ve"))
    assert found.sigmas == as_float32(fewstep.schedule("karras", 6, rho=5))
    assert found.of_solver == {}


def test_a_text_serves_solver_and_schedule() -> None:
    row = SOLVERS["dpmpp_3m"]
    found = make_levels("karras", 6, 0.5, "rho=5 start=2s end=sigma_min", fewstep.frame("ve"), row)
    assert found.of_solver == {"start": "2s"}
    assert found.sigmas == as_float32(fewstep.schedule("karras", 6, rho=5, denoise=0.5, end="sigma_min"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rho", "options: cannot read 'rho'; write name=value pairs"),
        ("rho=5 rho=6", "options rho is given twice"),
        ("rh=5", "options: unknown option 'rh'; did you mean 'rho'"),
        ("rho=many", "options: schedule 'karras': option 'rho' is 'many', expected a number"),
        ("start=2s", "options: 'start' is an option of dpm_solver_3m, .*; here there are end, rho"),
        ("guidance=5", "options: 'guidance' is an option of auto; here there are end, rho"),
        (5, "options: got 5, expected a text"),
    ],
)
def test_refused_texts(text: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_levels("karras", 6, 1.0, text, fewstep.frame("ve"))


def test_denoise_0_gives_no_levels() -> None:
    assert make_levels("karras", 6, 0.0, "", fewstep.frame("ve")) == ([], {}, ())
    assert make_levels("auto", 6, 0.0, "", fewstep.frame("ve")) == ([], {}, ())


def test_validation_accepts_aliases_and_waits_for_links() -> None:
    for name in ("auto", "dpmpp_3m", "dpmpp_fast", None):
        assert FewstepSampler.VALIDATE_INPUTS(name) is True
        assert FewstepKSampler.VALIDATE_INPUTS(name, "normal") is True
        assert FewstepKSampler.VALIDATE_INPUTS(name, "auto") is True
    assert "did you mean 'karras'" in FewstepKSampler.VALIDATE_INPUTS("dpmpp_3m", "karas")
    assert "sampler_name: " in FewstepKSampler.VALIDATE_INPUTS("nonsense", "karras")
    assert "scheduler: " in FewstepScheduler.VALIDATE_INPUTS(3)


# --- auto ------------------------------------------------------------------------------------------------------------


def auto(n: int, frame: Frame, guidance: float, text: str = "", denoise: float = 1.0) -> tuple[Any, Any]:
    """(levels, plan) that auto and auto give, of Fewstep KSampler's widgets."""
    row = solver("auto")
    levels = make_levels("auto", n, denoise, text, frame, row, guidance)
    return levels, Choice(row, levels.of_solver).told(guidance).plan(levels.sigmas, frame)


@pytest.mark.parametrize("denoise", [1.0, 0.4])
@pytest.mark.parametrize("cfg", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("frame", ["ve", "flow"])
def test_auto_is_that_of_the_core_for_a_network_with_this_cfg(frame: str, cfg: float, denoise: float) -> None:
    where, guidance = fewstep.frame(frame), max(cfg, 1.0)
    for n in (1, 2, 5, 9, 20):
        levels, plan = auto(n, where, cfg, denoise=denoise)
        whole = int(n / denoise)
        wanted = as_float32(fewstep.schedule("auto", n, frame=where, denoise=denoise, guidance=guidance))
        assert levels.sigmas == wanted
        assert levels.words == (f"auto: {choose_schedule(where, whole, guidance=guidance)}",)
        assert len(plan) == n
        assert plan.solver == choose_solver(where, n, guidance=guidance).id
        assert plan.calls == fewstep.plan("auto", wanted, where, guidance=guidance).calls


def test_the_text_of_options_overrides_the_cfg_for_solver_and_schedule() -> None:
    where = fewstep.frame("flow")
    strong = auto(6, where, 7.0)
    assert auto(6, where, 1.0, "guidance=7") == (strong[0]._replace(of_solver={"guidance": 7.0}), strong[1])
    assert auto(6, where, 1.0)[0].words != strong[0].words
    # one of them alone is told as well
    levels = make_levels("karras", 6, 1.0, "guidance=7", fewstep.frame("ve"), solver("auto"))
    assert levels.of_solver == {"guidance": 7.0}
    assert make_levels("auto", 6, 1.0, "guidance=7", where).words == strong[0].words
    assert make_levels("auto", 6, 1.0, "guidance=7", where, SOLVERS["dpmpp_2m"]).of_solver == {}
    with pytest.raises(ValueError, match=r"options: guidance: option 'guidance' is -1.0, expected a number in 0..1000"):
        auto(6, where, 1.0, "guidance=-1")


def test_auto_without_a_word_on_guidance_takes_the_model_for_a_network() -> None:
    levels = as_float32(fewstep.schedule("karras", 20))
    plan = Choice(solver("auto")).plan(levels, FRAME)
    assert plan.solver == choose_solver(FRAME, 20, guidance=1.0).id
    assert plan.solver != choose_solver(FRAME, 20).id


def test_auto_on_repeated_levels_makes_each_call() -> None:
    choice = Choice(solver("auto"))
    plan = choice.plan([14.0, 5.0, 5.0, 1.0, 0.0], FRAME)
    assert (len(plan), choice.words(plan)) == (4, (f"auto: {choose_solver(FRAME, 3, guidance=1.0).id}",))
    plan = choice.plan([5.0, 5.0], FRAME)
    assert (len(plan), choice.words(plan), label_of(choice.row, plan)) == (1, (), "Auto")


def test_auto_has_noise_by_its_widgets() -> None:
    row, chosen = inputs.chosen_solver("auto", {"eta": 1.0, "s_noise": 1.1})
    plan = Choice(row, chosen).plan(LEVELS, FRAME)
    assert plan.stochastic
    assert plan.options["s_noise"] == 1.1


@pytest.mark.parametrize("cfg", [1.0, 7.0])
@pytest.mark.parametrize("frame", ["ve", "flow"])
def test_both_parts_of_a_split_run_take_the_plan_of_the_whole(frame: str, cfg: float) -> None:
    where = fewstep.frame(frame)
    levels, whole = auto(9, where, cfg)
    choice, owner = Choice(solver("auto")).told(cfg), model()
    for cut in range(1, 9):
        ends = parts.Part(0, cut, True, True), parts.Part(cut, 9, False, False)
        latent = {"samples": torch.randn(1, 4, 3, 3)}
        first = parts.choose(choice, levels.sigmas, where, ends[0], latent, owner)
        assert first is not None
        if not whole.opens(cut):
            assert not first.shared  # the cut lies inside the start of two calls
            continue
        first.piece.history.extend((torch.zeros(1, 4, 3, 3), 1.0) for _ in range(4))
        first.piece.state = torch.zeros(1, 4, 3, 3)
        history.carry(latent, first.piece, False, None, owner.model)
        second = parts.choose(choice, levels.sigmas, where, ends[1], latent, owner)
        assert second is not None
        assert first.piece.plan.calls == second.piece.plan.calls == whole.calls
        assert "carried over" in second.note


def test_auto_with_cfg_pp_says_what_to_choose() -> None:
    with pytest.raises(ValueError, match=r"^cfg_pp: auto may choose .*; switch cfg_pp off or choose .* dpmpp_2m$"):
        Choice(solver("auto"), {}, cfg_pp=True).plan(LEVELS, FRAME)


@pytest.mark.parametrize(("kind", "cfg"), [("cfg", 7.0), ("cfg", 1.0), ("cfg1", 7.0), ("none", 1.0)])
@pytest.mark.parametrize("sampler", ["our node", "the host's menu"])
def test_the_guider_tells_its_cfg(sampler: str, kind: str, cfg: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guider of two scales has cfg1 and cfg2 beside a cfg of 1; Basic Guider has none to set."""
    monkeypatch.setattr("fewstep.nodes.host_sampler.frame_of", lambda sampling: FRAME)
    asked: list[float] = []

    class Guided:
        inner_model = SimpleNamespace(cfg=1.0, model_sampling=None)

        def __call__(self, x: torch.Tensor, sigma: torch.Tensor, **_: Any) -> torch.Tensor:
            asked.append(float(sigma[0]))
            return x / (1 + sigma.view(-1, 1) ** 2)

    if kind != "none":
        setattr(Guided.inner_model, kind, cfg)
    plans: list[Any] = []
    own = sampler_function(Choice(solver("auto")), tell=plans.append)
    fn = own if sampler == "our node" else _sampler("sample_fewstep_auto", "auto")
    x, sigmas = torch.full((1, 2), 9.0), torch.tensor(LEVELS)
    out = fn(Guided(), x, sigmas, {}, None, True)
    wanted = fewstep.plan("auto", LEVELS, FRAME, guidance=cfg)
    assert len(asked) == len(LEVELS) - 1
    assert torch.equal(out, fewstep.run(wanted, Guided(), x))
    assert [plan.solver for plan in plans] == [wanted.solver] * len(plans)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "file", "wanted"),
    [
        ({}, None, ("short", False)),
        ({}, '{"menu": "all"}', ("all", False)),
        ({}, '{"menu": "none schedules"}', ("none", True)),
        ({}, "{}", ("short", False)),
        ({"FEWSTEP_MENU": "schedules"}, '{"menu": "all"}', ("short", True)),
        ({"FEWSTEP_MENU": " All, Schedules "}, None, ("all", True)),
        ({"FEWSTEP_MENU": ""}, '{"menu": "all"}', ("short", False)),
    ],
)
def test_settings(tmp_path: Path, environment: Mapping[str, str], file: str | None, wanted: tuple[str, bool]) -> None:
    if file is not None:
        (tmp_path / "fewstep.json").write_text(file)
    assert settings.read(tmp_path, environment) == settings.Settings(*wanted)


@pytest.mark.parametrize(
    ("environment", "file", "words"),
    [
        ({"FEWSTEP_MENU": "al"}, None, "FEWSTEP_MENU: unknown size of menu 'al'; did you mean 'all'"),
        ({"FEWSTEP_MENU": "all none"}, None, "expected one of short, all, none, and perhaps schedules"),
        ({}, "{", "is not JSON"),
        ({}, "[1]", 'expected {"menu": "short"}'),
        ({}, '{"menus": "all"}', 'expected {"menu": "short"}'),
        ({}, '{"menu": 3}', "unknown size of menu 3"),
    ],
)
def test_bad_settings_say_where_they_stand(
    tmp_path: Path, environment: Mapping[str, str], file: str | None, words: str
) -> None:
    if file is not None:
        (tmp_path / "fewstep.json").write_text(file)
    with pytest.raises(ValueError, match=words.replace("[", r"\[").replace("{", r"\{").replace("}", r"\}")):
        settings.read(tmp_path, environment)


# --- parts and history -----------------------------------------------------------------------------------------------


class Inner:
    pass


def model() -> Any:
    return SimpleNamespace(model=Inner())


LEVELS = as_float32(fewstep.schedule("karras", 8))
FRAME = fewstep.frame("ve")


def work(choice: Choice, part: parts.Part, latent: Mapping[str, Any], owner: Any) -> parts.Work:
    found = parts.choose(choice, LEVELS, FRAME, part, latent, owner)
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_history_survives_a_latent_that_nobody_changed(dtype: torch.dtype) -> None:
    owner, choice = model(), Choice(SOLVERS["dpm_solver_3m"])
    first = work(choice, parts.Part(0, 5, True, True), {}, owner)
    assert first.shared
    latent = {"samples": torch.randn(1, 4, 3, 3).to(dtype), "noise_mask": torch.ones(1, 3, 3)}
    first.piece.history.extend((torch.full((1, 4, 3, 3), float(i)), 1.0) for i in range(3))
    first.piece.state = torch.full((1, 4, 3, 3), 9.0)
    history.carry(latent, first.piece, False, None, owner.model)
    second = work(choice, parts.Part(5, 8, False, False), dict(latent), owner)
    assert "carried over" in second.note
    assert (second.piece.begin, second.piece.end, second.shared) == (5, 8, True)
    assert [float(tensor.mean()) for tensor, _ in second.piece.history] == [0.0, 1.0]
    assert second.piece.state is not None
    assert float(second.piece.state.mean()) == 9.0
    # the record itself is not used up
    assert len(latent[history.KEY].memory) == 2
    for change in ({"samples": latent["samples"] + 1}, {"noise_mask": torch.zeros(1, 3, 3)}, {"noise_mask": None}):
        assert "the latent was changed" in work(choice, parts.Part(5, 8, False, False), latent | change, owner).note
    assert "another one" in work(choice, parts.Part(5, 8, False, False), latent, model()).note
    assert "carried over" in work(choice, parts.Part(5, 8, False, False), copy.deepcopy(latent), owner).note
    # to another process a latent travels without its model
    sent = pickle.loads(pickle.dumps(latent))
    assert "the model is another one" in work(choice, parts.Part(5, 8, False, False), sent, owner).note
    guided = Choice(SOLVERS["dpm_solver_3m"], {}, cfg_pp=True)
    assert "cfg_pp was switched" in work(guided, parts.Part(5, 8, False, False), latent, owner).note


@pytest.mark.parametrize("part", [(8, 10000), (5, 5), (7, 3)])
def test_parts_without_calls(part: tuple[int, int]) -> None:
    assert parts.choose(Choice(SOLVERS["ddim"]), LEVELS, FRAME, parts.Part(*part, True, False), {}, model()) is None


def test_a_forced_end_goes_to_sigma_0_on_its_own_plan() -> None:
    found = work(Choice(SOLVERS["dpmpp_2m"]), parts.Part(0, 4, True, False), {}, model())
    assert found.sigmas == [*LEVELS[:4], 0.0]
    assert not found.shared
    assert len(found.piece.plan) == 4


@pytest.mark.parametrize("id", sorted(ADAPTIVE))
def test_adaptive_solvers_have_no_plan_to_run_in_part(id: str) -> None:
    with pytest.raises(ValueError, match=f"sampler_name: {id} chooses its steps while it runs"):
        Choice(SOLVERS[id]).plan(LEVELS, FRAME)
    found = from_widgets({"sampler_name": id})
    assert (found["total"], "no plan to draw" in found["empty"]) == (0, True)


# --- the plot --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("range", [None, *ranges.ASSUMED])
@pytest.mark.parametrize("id", [None, *FIXED])
def test_every_solver_can_be_plotted_on_every_range_it_fits(id: str | None, range: str | None) -> None:
    frame = ranges.find(range or "auto", SOLVERS[id].frames if id else SCHEDULES["beta"].frames).frame.name
    if id and frame not in SOLVERS[id].frames:
        with pytest.raises(ValueError, match=f"sampler_name: {id} is defined on flow"):
            from_widgets({"sampler_name": id, "range": range})
        return
    given = {"sampler_name": id, "solver_options": named(id, frame) if id else {}, "steps": 7}
    found = from_widgets({**given, **({"range": range} if range else {})})
    assert found["total"] == len(found["sigma"]) == 7
    assert found["range"]["assumed"] is True
    assert found["solver"] == id
    assert all(a is None or b is None or a <= b for a, b in zip(found["lam"], found["to_lam"], strict=True))
    assert found["to_lam"][-1] is None  # sigma 0
    assert max(found["order_of"]) <= (SOLVERS[id].order if id else 1)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("cfg", [1.0, 7.0])
@pytest.mark.parametrize("range", ["sd", "flow_3"])
def test_a_plot_says_what_auto_chose(range: str, cfg: float) -> None:
    where = ranges.find(range).frame
    asked = {"sampler_name": "auto", "scheduler": "auto", "steps": 7, "cfg": cfg, "range": range}
    found = from_widgets(asked)
    pick = choose_solver(where, 7, guidance=cfg)
    schedule = choose_schedule(where, 7, guidance=cfg)
    assert found["chosen"] == [f"auto: {pick.id}", f"auto: {schedule}"]
    assert (found["total"], found["solver"]) == (7, pick.id)
    own = {"sampler_name": pick.id, "scheduler": schedule.id, "steps": 7, "range": range}
    same = from_widgets(own | {"options": ", ".join(f"{name}={value}" for name, value in pick.options.items())})
    assert same["chosen"] == []
    for name in ("sigma", "order_of", "stage"):
        assert same[name] == found[name]
    # a sampler node is told the guider's cfg as an option; the levels come from a scheduler, which knows none
    linked = {name: value for name, value in asked.items() if name != "cfg"} | {"solver_options": {"guidance": cfg}}
    assert from_widgets(linked)["chosen"] == [f"auto: {pick.id}", f"auto: {choose_schedule(where, 7, guidance=1.0)}"]
    assert from_widgets(linked | {"options": "guidance=2"})["solver"] == pick.id
    assert from_widgets({"scheduler": "auto", "steps": 7, "range": range})["chosen"] == [
        f"auto: {choose_schedule(where, 7, guidance=1.0)}"
    ]
    assert from_widgets({"range": range})["chosen"] == [f"auto: {choose_schedule(where, 10, guidance=1.0)}"]
    assert "cfg_pp: auto may choose" in routes.answer(json.dumps(asked | {"cfg_pp": True}).encode())[1]["error"]


def test_orders_of_calls() -> None:
    """The first steps of a multistep method, its last one, blocks and their stages."""

    def of(id: str, n: int, frame: str = "ve", **options: Any) -> list[int]:
        schedule = "simple" if frame == "flow" else "karras"
        return list(fewstep.plan(id, fewstep.schedule(schedule, n, frame=frame), frame, **options).call_orders)

    assert of("ddim", 3) == [1, 1, 1]
    assert of("dpmpp_2m", 5) == [1, 2, 2, 2, 1]  # midpoint weights, and x = D at the end
    assert of("dpm_solver_3m", 6) == [1, 2, 3, 3, 3, 1]
    assert of("flow_ab3", 6, "flow", start="euler") == [1, 2, 3, 3, 3, 3]
    assert of("dpmpp_3s", 6)[2] == 3
    assert of("deis_rhork_rk4", 8)[3] == 4


def test_plots_of_parts_and_on_models_that_were_seen() -> None:
    seen = ranges.see(fewstep.frame("flow", fewstep.frame("flow").time))
    found = from_widgets({"range": seen.id, "scheduler": "simple", "start_at_step": 2, "end_at_step": 6})
    assert (found["range"]["id"], found["range"]["assumed"]) == (seen.id, False)
    assert found["ranges"][0] == [seen.id, seen.label]
    middle = {"sampler_name": "dpm_solver_3m", "start_at_step": 2, "end_at_step": 6, "steps": 10}
    found = from_widgets(middle | {"add_noise": "disable", "return_with_leftover_noise": "enable"})
    assert (found["begin"], found["end"], found["total"]) == (2, 6, 10)
    # what ends at sigma 0 before its time, or begins with new noise, is a run of its own
    found = from_widgets(middle | {"add_noise": "disable"})
    assert (found["begin"], found["end"], found["total"], found["to_sigma"][-1]) == (0, 4, 4, 0.0)
    found = from_widgets(middle | {"return_with_leftover_noise": "enable"})
    assert (found["total"], found["order_of"][0]) == (4, 1)
    assert from_widgets(middle | {"end_at_step": 2})["empty"] == "no model call"
    assert "denoise is 0" in from_widgets({"denoise": 0})["empty"]


def test_the_server_forgets_the_oldest_ranges() -> None:
    first = ranges.see(fewstep.frame("ve", [0.01, 1.0]))
    for i in range(70):
        ranges.see(fewstep.frame("ve", [0.01, 2.0 + i]))
    assert ranges.find(first.id).assumed


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"nonsense", b'{"steps": 1e999}', b'{"steps": NaN}', b'{"steps": true}', b'{"denoise": -1}',
        b'{"options": "sigma_max=1e308 sigma_min=1e-308"}', b'{"scheduler": "vp", "options": "sigma_max=1e300"}',
        b'{"cfg": true}', b'{"cfg": "7"}', b'{"cfg": NaN}', b'{"cfg": -1}',
        b'{"sampler_name": {}}', b'{"solver_options": []}', b'{"range": null}', b'{"end_at_step": 1.5}',
        b"[" * 5000, b"\xff\xfe", b" " * 70000,
    ],
)  # fmt: skip
def test_the_route_never_fails_otherwise_than_with_400(body: bytes) -> None:
    status, answer = routes.answer(body)
    json.dumps(answer, allow_nan=False)
    assert status == 400 or answer["total"] > 0
    assert status == 200 or answer["error"]


def test_long_and_foreign_texts_are_answered_at_once() -> None:
    """60,000 letters once took half a minute of the host's event loop."""
    began = time.process_time()  # of this process: other work does not count
    for text in ("a" * 60000, "=" * 60000, " =" * 30000, "a=" + "b" * 60000, "a b " * 15000):
        status, answer = routes.answer(json.dumps({"options": text}).encode())
        assert status == 400
        assert len(answer["error"]) < 1000
    assert time.process_time() - began < 3  # measured 0.02
    assert from_widgets({"scheduler": "karras", "options": "rho＝5，sigma_min = 0.1；end=0.0"})["sigma"][
        -1
    ] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="options: sigma_min is too small: in float32"):
        from_widgets({"scheduler": "karras", "options": "sigma_min=1e-300"})


@pytest.mark.parametrize("scheduler", SCHEDULES)
def test_auto_takes_a_range_that_the_schedule_fits(scheduler: str) -> None:
    """flow_shift and linear_quadratic exist for flow models only; they are no mistake before a model is known."""
    for id in (None, "dpmpp_2m"):
        assert from_widgets({"sampler_name": id, "scheduler": scheduler})["total"] == 10


def test_text_options_are_refused_by_the_name_of_their_field() -> None:
    for text, words in (
        ("start=3s", "options: start: unknown value for option 'start' '3s'"),
        ("variant=default", "options: variant: unknown value for option 'variant' 'default'"),
    ):
        with pytest.raises(ValueError, match=words):
            from_widgets({"sampler_name": "dpmpp_3m", "options": text})
    with pytest.raises(ValueError, match=r"options: 'start' is an option of dpm_solver_3m, .*; here there are alpha"):
        from_widgets({"sampler_name": "dpmpp_2m", "scheduler": "beta", "options": "start=2s"})
    with pytest.raises(
        ValueError, match=r"options: 'rho' is an option of karras, polyexponential; here there are alpha"
    ):
        from_widgets({"sampler_name": "dpmpp_2m", "scheduler": "beta", "options": "rho=5"})


def test_cfg_pp_at_repeated_levels_changes_nothing_there() -> None:
    """An idle call asks the model again and must not move the state either."""
    levels = [14.0, 5.0, 5.0, 1.0, 0.0]
    for id in ("dpmpp_2m", "dpmpp_3m", "dpm_solver_2m", "deis_tab2", "ddim"):
        outs = []
        for each in (levels, sorted(set(levels), reverse=True)):
            plan = Choice(SOLVERS[id], {}, cfg_pp=True).plan(each, FRAME)
            guidance = Guidance(plan)

            def model(x: torch.Tensor, sigma: torch.Tensor, guidance: Guidance = guidance) -> torch.Tensor:
                answer = x / (1 + sigma.view(-1, 1) ** 2)
                guidance._listen({"uncond": [], "uncond_denoised": 0.7 * answer, "denoised": answer})
                return answer

            x = torch.full((1, 3), 9.0, dtype=torch.float64)
            outs.append(fewstep.run(plan, model, x, callback=guidance.move))
        assert torch.equal(*outs), id


def test_the_manual_lists_the_names_of_the_menu() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "comfyui.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{name}`" for name in menu()) in " ".join(page.split())


def test_auto_asks_nothing_of_cfg_pp() -> None:
    """From 15 calls on "auto" would come to a start of two calls, for which CFG++ is not defined."""
    levels = as_float32(fewstep.schedule("karras", 20))
    for options in ({}, {"start": "auto", "last": "auto"}):
        plan = Choice(SOLVERS["dpmpp_3m"], options, cfg_pp=True).plan(levels, FRAME)
        assert all(call.closes for call in plan)
        assert (plan.options["start"], plan.options["last"]) == ("euler", "denoise")
