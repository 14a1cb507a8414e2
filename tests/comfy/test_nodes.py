"""Our nodes in the real host, in process: doors that agree, parts that join, inputs that are refused."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from fewstep.demo.networks import load
from fewstep.nodes.history import KEY
from fewstep.samplers.auto import choose_schedule, choose_solver
from harness import rms
from safetensors.torch import load_file

pytestmark = pytest.mark.filterwarnings("ignore")
Tensor = torch.Tensor
Graph = dict[str, Any]
Run = Callable[[Graph], Any]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def base(network: str = "vp", batch: int = 2, picture: str = "one of each") -> Graph:
    return {
        "demo": node("FewstepDemoModel", network=network, positive_class=picture),
        "empty": node("EmptyLatentImage", width=256, height=256, batch_size=batch),
    }


WIRES = {"model": ["demo", 0], "positive": ["demo", 1], "negative": ["demo", 2], "latent_image": ["empty", 0]}
SETTINGS = {"seed": 1, "steps": 8, "cfg": 2.0, "sampler_name": "dpmpp_3m", "scheduler": "karras", "denoise": 1.0}


def ours(**inputs: Any) -> dict[str, Any]:
    return node("FewstepKSampler", **{**WIRES, **SETTINGS, **inputs})


def saved(name: str, source: Any = None) -> Graph:
    return {f"save {name}": node("SaveLatent", samples=source or [name, 0], filename_prefix=name)}


def latent(host: types.SimpleNamespace, done: Any, name: str) -> Tensor:
    assert done.ok, getattr(done, "node_errors", None) or done.messages[-1]
    found = done.history["outputs"][f"save {name}"]["latents"][0]
    return load_file(Path(host.base) / "output" / found["subfolder"] / found["filename"])["latent_tensor"]


def report(done: Any, name: str = "text") -> str:
    assert done.ok, getattr(done, "node_errors", None) or done.messages[-1]
    return str(done.history["outputs"][name]["text"][0])


def refusal(done: Any, name: str) -> str:
    """What the host shows on the node: from validation, or from the run."""
    assert not done.ok
    errors = getattr(done, "node_errors", None)
    if errors:
        return " ".join(error["details"] for error in errors[name]["errors"])
    event, told = done.messages[-1]
    assert event == "execution_error"
    assert told["node_id"] == name
    return str(told["exception_message"])


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_every_door_gives_the_same_latent(host: types.SimpleNamespace, run_graph: Run, network: str) -> None:
    """Node, menu entry, sampler with scheduler, and Python: relative difference at most 1e-5 in float32."""
    scheduler = "karras" if network == "vp" else "simple"
    graph = base(network, 3) | {
        "node": ours(scheduler=scheduler),
        "menu": node("KSampler", **WIRES, **SETTINGS | {"sampler_name": "fewstep_dpmpp_3m", "scheduler": scheduler}),
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler=scheduler, steps=8, denoise=1.0),
        "sampler": node("FewstepSampler", sampler_name="dpmpp_3m"),
        "custom": node(
            "SamplerCustom", **WIRES, add_noise=True, noise_seed=1, cfg=2.0, sampler=["sampler", 0],
            sigmas=["sigmas", 0],
        ),
        **saved("node"), **saved("menu"), **saved("custom"),
    }  # fmt: skip
    done = run_graph(graph)
    found = {name: latent(host, done, name) for name in ("node", "menu", "custom")}
    found["python"] = python_door(network, scheduler, "dpmpp_3m", 2.0)
    worst = {name: rms(each - found["python"]) / rms(found["python"]) for name, each in found.items()}
    print(network, worst)
    assert max(worst.values()) <= 1e-5


@pytest.mark.parametrize("cfg", [1.0, 7.0])
@pytest.mark.parametrize("network", ["vp", "flow"])
def test_auto_is_the_same_in_every_door_and_is_named(
    host: types.SimpleNamespace, run_graph: Run, network: str, cfg: float
) -> None:
    """The widgets' own choice on the node, in the menu, and for Sampler Custom, whose scheduler is told the cfg."""
    auto = {"sampler_name": "auto", "scheduler": "auto", "cfg": cfg}
    frame = fewstep.frame("ve" if network == "vp" else "flow")
    solver = choose_solver(frame, 8, guidance=cfg).id
    schedule = choose_schedule(frame, 8, guidance=cfg).id
    graph = base(network, 3) | {
        "node": ours(**auto),
        "text": node("PreviewAny", source=["node", 2]),
        "sigmas": node(
            "FewstepScheduler", model=["demo", 0], scheduler="auto", steps=8, denoise=1.0, options=f"guidance={cfg}"
        ),
        "sampler": node("FewstepSampler", sampler_name="auto"),
        "select": node("KSamplerSelect", sampler_name="fewstep_auto"),
        **{
            name: node(
                "SamplerCustom", **WIRES, add_noise=True, noise_seed=1, cfg=cfg, sampler=[sampler, 0],
                sigmas=["sigmas", 0],
            )
            for name, sampler in (("custom", "sampler"), ("menu", "select"))
        },
        **saved("node"), **saved("menu"), **saved("custom"),
    }  # fmt: skip
    done = run_graph(graph)
    assert report(done).startswith(f"auto: {solver}\nauto: {schedule}\n{solver} on {frame.name}, 8 model calls")
    python = python_door(network, "auto", "auto", cfg)
    worst = {name: rms(latent(host, done, name) - python) / rms(python) for name in ("node", "menu", "custom")}
    print(network, cfg, worst)
    assert max(worst.values()) <= 1e-5


@pytest.mark.parametrize("cfg", [1.0, 7.0])
@pytest.mark.parametrize("network", ["vp", "flow"])
def test_auto_makes_exactly_n_model_calls(host: types.SimpleNamespace, network: str, cfg: float) -> None:
    """Counted in the network; the host asks for both conditions at once, or for one after the other."""
    from fewstep.nodes import demo_host
    from fewstep.nodes.ksampler import FewstepKSampler

    model = demo_host.model(network)
    wires = {"positive": demo_host.condition([1]), "negative": demo_host.condition([10])}
    asked: list[float] = []
    hook = model.model.diffusion_model.register_forward_pre_hook(lambda _, given: asked.append(float(given[1][0])))
    for n, denoise in ((1, 1.0), (2, 1.0), (5, 1.0), (9, 1.0), (20, 1.0), (6, 0.4)):
        asked.clear()
        settings = SETTINGS | {"cfg": cfg, "sampler_name": "auto", "scheduler": "auto", "steps": n, "denoise": denoise}
        given = {"samples": torch.zeros(1, 1, 32, 32)}
        _, _, text = FewstepKSampler().sample(model, **settings, **wires, latent_image=given)["result"]
        assert len(asked) in ({n} if cfg == 1.0 else {n, 2 * n})
        assert len(set(asked)) == n, "a level is asked for once"
        assert f"{n} model calls in" in text
    hook.remove()


def python_model(network: str, cfg: float, batch: int) -> Any:
    """A demo network's denoiser for a batch with one condition each, without the host."""
    y = torch.arange(batch)
    return fewstep.wrap(
        load(network), "noise" if network == "vp" else "flow", label="rounded" if network == "vp" else None,
        cond={"y": y}, uncond={"y": torch.full_like(y, 10)}, cond_scale=cfg,
    )  # fmt: skip


def python_door(network: str, scheduler: str, solver: str, cfg: float) -> Tensor:
    """SETTINGS on three pictures, by the Python package alone."""
    model = python_model(network, cfg, 3)
    frame = "ve" if network == "vp" else "flow"
    told = {"guidance": cfg}
    sigmas = torch.tensor(fewstep.schedule(scheduler, 8, frame=frame, **told if scheduler == "auto" else {})).float()
    noise = torch.randn(3, 1, 32, 32, generator=torch.manual_seed(1))
    # the host's noise for a start at sigma_max
    x = noise * (torch.sqrt(1 + sigmas[0] ** 2) if network == "vp" else 1.0)
    return fewstep.sample(model, x, sigmas, solver, frame, **told if solver == "auto" else {})


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_a_picture_is_the_same_in_a_batch_and_alone(host: types.SimpleNamespace, run_graph: Run, network: str) -> None:
    """The host's batch_index gives a sample its own noise; the second of three is also what it is alone."""
    graph = base(network, 3, "bag") | {
        "many": ours(),
        "one": node("LatentFromBatch", samples=["empty", 0], batch_index=1, length=1),
        "alone": ours(latent_image=["one", 0]),
        **saved("many"), **saved("alone"),
    }  # fmt: skip
    done = run_graph(graph)
    many, alone = latent(host, done, "many"), latent(host, done, "alone")
    # the network itself rounds otherwise for another batch size: measured 3e-6
    assert torch.allclose(many[1:2], alone, atol=1e-4)
    assert not torch.allclose(many[:1], alone, atol=1e-2)


# --- parts of a run --------------------------------------------------------------------------------------------------


def parts(cut: int, between: Graph | None = None, into: Any = None, **settings: Any) -> Graph:
    """A whole run beside its two parts, cut before call `cut`."""
    between = between or {}
    return {
        "whole": ours(**settings),
        "first": ours(**settings, end_at_step=cut, return_with_leftover_noise="enable"),
        "second": ours(**settings, latent_image=into or ["first", 0], start_at_step=cut, add_noise="disable"),
        "text": node("PreviewAny", source=["second", 2]),
        **between, **saved("whole"), **saved("second"),
    }  # fmt: skip


@pytest.mark.parametrize("network", ["vp", "flow"])
@pytest.mark.parametrize("solver", ["auto", "dpmpp_3m", "deis_tab3", "dpm_solver_3s"])
def test_parts_of_a_run_are_the_run(host: types.SimpleNamespace, run_graph: Run, solver: str, network: str) -> None:
    """History and state travel in the latent, so that only the decoding of the whole differs: nothing at all."""
    settings = {"sampler_name": solver, "scheduler": "karras" if network == "vp" else "simple", "steps": 9}
    done = run_graph(base(network) | parts(6, **settings))
    whole, second = latent(host, done, "whole"), latent(host, done, "second")
    print(solver, network, rms(whole - second) / rms(whole))
    assert rms(whole - second) <= 1e-5 * rms(whole)
    assert "history carried over" in report(done)


def test_parts_that_auto_chose_for_at_different_cfg_may_be_two_plans(run_graph: Run) -> None:
    graph = base() | parts(4, sampler_name="auto", scheduler="auto", cfg=7.0)
    assert "history carried over" in report(run_graph(graph))
    graph["second"]["inputs"] |= {"cfg": 1.0}
    assert "the plan of the first part was another one" in report(run_graph(graph))
    graph["second"]["inputs"] |= {"options": "guidance=7"}
    assert "history carried over" in report(run_graph(graph))


def test_history_is_dropped_when_the_latent_was_changed(host: types.SimpleNamespace, run_graph: Run) -> None:
    flip = {"flip": node("LatentFlip", samples=["first", 0], flip_method="y-axis: horizontally")}
    back = {"back": node("LatentFlip", samples=["flip", 0], flip_method="y-axis: horizontally")}
    done = run_graph(base() | parts(4, flip, ["flip", 0]))
    assert "history dropped, the latent was changed in between" in report(done)
    # there and back again it is the same latent
    done = run_graph(base() | parts(4, flip | back, ["back", 0]))
    assert "history carried over" in report(done)
    # started anew it still ends near the whole run: measured 0.031 relative
    done = run_graph(base() | parts(4, {"mask": node("SolidMask", value=1.0, width=32, height=32)} | {
        "masked": node("SetLatentNoiseMask", samples=["first", 0], mask=["mask", 0])}, ["masked", 0]))  # fmt: skip
    assert "history dropped" in report(done)
    whole, second = latent(host, done, "whole"), latent(host, done, "second")
    assert 1e-5 * rms(whole) < rms(whole - second) < 0.1 * rms(whole)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sampler_name": "dpmpp_2m"}, "the plan of the first part was another one"),
        ({"steps": 10}, "the plan of the first part was another one"),
        ({"start_at_step": 5}, "the first part ended before call 5, this one begins at call 6"),
        ({"add_noise": "enable"}, "noise is added, so this part starts anew"),
        ({"model": ["other", 0]}, "the model is another one"),
    ],
)
def test_history_belongs_to_one_plan_one_cut_and_one_model(run_graph: Run, change: Graph, why: str) -> None:
    graph = base() | {"other": node("FewstepDemoModel", network="vp", positive_class="bag")} | parts(4)
    graph["second"]["inputs"] |= change
    assert why in report(run_graph(graph))


def test_a_cut_inside_a_step_of_several_calls_makes_two_runs(host: types.SimpleNamespace, run_graph: Run) -> None:
    done = run_graph(base() | parts(4, sampler_name="dpmpp_3s", steps=9))
    whole, second = latent(host, done, "whole"), latent(host, done, "second")
    assert "the cut lies inside a step of several calls" in report(done)
    assert rms(whole - second) < 0.1 * rms(whole)


@pytest.mark.parametrize("solver", ["dpmpp_3m", "dpm_solver_2s"])
@pytest.mark.parametrize("network", ["vp", "flow"])
def test_parts_under_a_noise_mask_are_the_run(
    host: types.SimpleNamespace, run_graph: Run, network: str, solver: str
) -> None:
    """In three parts; the host alone would leave the first part's noise where the mask keeps the picture."""
    settings = {"sampler_name": solver, "scheduler": "karras" if network == "vp" else "simple", "seed": 5}
    cut = {"end_at_step": 2, "return_with_leftover_noise": "enable"}
    later = settings | {"add_noise": "disable"}
    graph = base(network, 2, "bag") | {
        "picture": ours(scheduler=settings["scheduler"]),
        "left": node("SolidMask", value=1.0, width=16, height=32),
        "none": node("SolidMask", value=0.0, width=32, height=32),
        "mask": node("MaskComposite", destination=["none", 0], source=["left", 0], x=0, y=0, operation="add"),
        "masked": node("SetLatentNoiseMask", samples=["picture", 0], mask=["mask", 0]),
        "whole": ours(**settings, latent_image=["masked", 0]),
        "first": ours(**settings | cut, latent_image=["masked", 0]),
        "middle": ours(**later | cut | {"end_at_step": 6}, latent_image=["first", 0], start_at_step=2),
        "last": ours(**later, latent_image=["middle", 0], start_at_step=6),
        "text": node("PreviewAny", source=["last", 2]),
        **saved("picture"), **saved("whole"), **saved("last"),
    }  # fmt: skip
    done = run_graph(graph)
    picture, whole, last = (latent(host, done, name) for name in ("picture", "whole", "last"))
    assert rms(whole - last) <= 1e-5 * rms(whole)
    assert torch.allclose(picture[..., 16:], last[..., 16:], atol=1e-4)
    assert "carried over" in report(done)


def test_parts_of_a_model_whose_latents_the_host_turns_around(host: types.SimpleNamespace) -> None:
    """IMG_TO_IMG_FLOW leaves as 1 - latent and comes in as it is; the parts go on from the solver's own state."""
    import comfy.model_base
    from exact import CONDITION, exact_model, gaussian
    from fewstep.nodes.ksampler import FewstepKSampler

    if not hasattr(comfy.model_base.ModelType, "IMG_TO_IMG_FLOW"):
        pytest.skip("this host has no IMG_TO_IMG_FLOW")
    patcher = exact_model(gaussian, "IMG_TO_IMG_FLOW")

    def run(samples: Any, **inputs: Any) -> Any:
        wires = {"positive": CONDITION, "negative": CONDITION, "latent_image": samples}
        return FewstepKSampler().sample(patcher, **SETTINGS | {"cfg": 1.0} | wires | inputs)["result"][0]

    start = {"samples": torch.randn(1, 4, 4, 4, generator=torch.manual_seed(2))}
    first = run(start, end_at_step=4, return_with_leftover_noise="enable")
    second = run(first, start_at_step=4, add_noise="disable")
    assert torch.equal(second["samples"], run(start)["samples"])


def test_a_part_that_is_forced_to_sigma_0_says_that_it_is_no_part(run_graph: Run) -> None:
    graph = base() | parts(4)
    graph["second"]["inputs"] |= {"end_at_step": 6}
    assert "ends at sigma 0 before the schedule does: this part is a run of its own" in report(run_graph(graph))


def test_a_first_part_without_leftover_noise_ends_at_sigma_0(run_graph: Run) -> None:
    graph = base() | {"first": ours(end_at_step=5), "text": node("PreviewAny", source=["first", 2])}
    text = report(run_graph(graph))
    assert "made here: calls 1 to 5 of 5" in text
    assert "-> 0 " in text.splitlines()[6]


def test_the_carried_history_holds_no_more_than_it_needs(run_graph: Run, host: types.SimpleNamespace) -> None:
    """Two predictions for a solver that combines three; and a weak hold on the model only."""
    from fewstep.nodes import demo_host
    from fewstep.nodes.ksampler import FewstepKSampler

    model = demo_host.model("vp")
    conditions = demo_host.condition([1]), demo_host.condition([10])
    given = {"samples": torch.zeros(1, 1, 32, 32)}
    settings = SETTINGS | {"sampler_name": "dpm_solver_3m"}
    out = FewstepKSampler().sample(
        model, **settings, positive=conditions[0], negative=conditions[1], latent_image=given,
        end_at_step=5, return_with_leftover_noise="enable",
    )["result"][0]  # fmt: skip
    record = out[KEY]
    assert len(record.memory) == 2
    assert record.model() is model.model
    assert given.keys() == {"samples"}


# --- image to image, masks, odd latents ------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_image_to_image_makes_exactly_n_calls(run_graph: Run, network: str) -> None:
    graph = base(network) | {
        "first": ours(),
        "again": ours(latent_image=["first", 0], denoise=0.4, steps=6),
        "text": node("PreviewAny", source=["again", 2]),
        "none": ours(latent_image=["first", 0], denoise=0.0),
        "text 0": node("PreviewAny", source=["none", 2]),
    }
    done = run_graph(graph)
    assert "6 model calls in" in report(done)
    assert report(done, "text 0") == "no model call: denoise is 0"


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_the_report_says_where_the_error_is_made(run_graph: Run, network: str) -> None:
    """As `fewstep.report` says it; a part of a run, and one that adds noise, make no such error alone."""
    graph = base(network, 3) | {
        "whole": ours(steps=8),
        "text": node("PreviewAny", source=["whole", 2]),
        "part": ours(steps=8, end_at_step=4, return_with_leftover_noise="enable"),
        "part text": node("PreviewAny", source=["part", 2]),
        "noisy": ours(sampler_name="dpmpp_2m_sde"),
        "noisy text": node("PreviewAny", source=["noisy", 2]),
    }
    done = run_graph(graph)
    said = report(done).split("\n\n")[-1].splitlines()
    assert said[0].endswith("error of the lower order in each step, as at the end (median of 3)")
    assert len(said) == 10, "a line for each call, and a sentence"
    assert "of the error" in said[-1] or "the most error" in said[-1]
    assert "error of the lower order" not in report(done, "part text") + report(done, "noisy text")


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_inpainting_keeps_what_the_mask_leaves_out(host: types.SimpleNamespace, run_graph: Run, network: str) -> None:
    graph = base(network, 2, "bag") | {
        "first": ours(),
        "left": node("SolidMask", value=1.0, width=16, height=32),
        "right": node("SolidMask", value=0.0, width=32, height=32),
        "mask": node("MaskComposite", destination=["right", 0], source=["left", 0], x=0, y=0, operation="add"),
        "masked": node("SetLatentNoiseMask", samples=["first", 0], mask=["mask", 0]),
        "second": ours(latent_image=["masked", 0], seed=7, sampler_name="dpm_solver_3m"),
        **saved("first"), **saved("second"),
    }  # fmt: skip
    done = run_graph(graph)
    first, second = latent(host, done, "first"), latent(host, done, "second")
    assert torch.allclose(first[..., 16:], second[..., 16:], atol=1e-4)
    assert rms(first[..., :15] - second[..., :15]) > 0.05


def test_the_denoised_output_is_the_last_answer(host: types.SimpleNamespace, run_graph: Run) -> None:
    graph = base() | {
        "whole": ours(),
        "part": ours(end_at_step=5, return_with_leftover_noise="enable"),
        **saved("whole"), **saved("clean", ["whole", 1]), **saved("early", ["part", 1]), **saved("part"),
    }  # fmt: skip
    done = run_graph(graph)
    # the last step of this solver is x = D
    assert torch.allclose(latent(host, done, "whole"), latent(host, done, "clean"), atol=1e-5)
    # and in the middle it is the state without its noise
    assert rms(latent(host, done, "part") - latent(host, done, "early")) > 0.2
    assert rms(latent(host, done, "whole") - latent(host, done, "early")) < 0.2


def test_the_hosts_vae_nodes_take_the_demo_vae(host: types.SimpleNamespace, run_graph: Run) -> None:
    graph = base("flow") | {
        "sample": ours(scheduler="simple"),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["demo", 3]),
        "tiles": node("VAEDecodeTiled", samples=["sample", 0], vae=["demo", 3], tile_size=64, overlap=0,
                      temporal_size=64, temporal_overlap=8),
        "encode": node("VAEEncode", pixels=["decode", 0], vae=["demo", 3]),
        "encode tiles": node("VAEEncodeTiled", pixels=["tiles", 0], vae=["demo", 3], tile_size=64, overlap=0,
                             temporal_size=64, temporal_overlap=8),
        "mask": node("SolidMask", value=1.0, width=32, height=32),
        "inpaint": node("VAEEncodeForInpaint", pixels=["decode", 0], vae=["demo", 3], mask=["mask", 0], grow_mask_by=2),
        **saved("sample"), **saved("encode"), **saved("encode tiles"), **saved("inpaint"),
    }  # fmt: skip
    done = run_graph(graph)
    sample = latent(host, done, "sample").clamp(-1, 1)
    assert torch.allclose(latent(host, done, "encode"), sample, atol=1e-5)
    assert torch.allclose(latent(host, done, "encode tiles"), sample, atol=1e-5)
    assert torch.allclose(latent(host, done, "inpaint"), torch.zeros_like(sample), atol=1e-5)  # greyed out


@pytest.mark.parametrize("shape", [(1, 4, 3, 8, 8), (2, 4, 5, 7), (2, 6, 16)])
def test_latents_of_other_dimensions(host: types.SimpleNamespace, shape: tuple[int, ...]) -> None:
    """Video (5-D), odd sizes and audio (3-D) latents through a SAMPLER and through the node, parts included."""
    from exact import CONDITION, exact_model, gaussian, sample
    from fewstep.nodes.host_sampler import Choice, sampler_function
    from fewstep.nodes.ksampler import FewstepKSampler

    patcher = exact_model(gaussian, "FLOW")
    patcher.model.latent_format.latent_channels = shape[1]
    patcher.model.latent_format.latent_dimensions = len(shape) - 2
    levels = fewstep.schedule("simple", 8, frame="flow")
    noise = torch.randn(shape, generator=torch.manual_seed(3))
    by_sampler = sample(patcher, sampler_function(Choice(fewstep.solvers()["dpmpp_3m"])), levels, noise)

    def run(latent: dict[str, Any], **inputs: Any) -> Any:
        settings = SETTINGS | {"seed": 3, "cfg": 1.0, "scheduler": "simple"} | inputs
        wires = {"positive": CONDITION, "negative": CONDITION, "latent_image": latent}
        return FewstepKSampler().sample(patcher, **settings, **wires)

    empty = {"samples": torch.zeros(shape)}
    whole = run(empty)["result"][0]["samples"]
    assert torch.allclose(by_sampler, whole, atol=1e-6)
    first = run(empty, end_at_step=4, return_with_leftover_noise="enable")["result"][0]
    second = run(first, start_at_step=4, add_noise="disable")["result"]
    assert torch.allclose(second[0]["samples"], whole, atol=1e-5)
    assert "history carried over" in second[2]


def test_nested_latents_of_sound_and_picture(host: types.SimpleNamespace) -> None:
    """Video with sound arrives as one flat pack at the solver and leaves as it came; parts of a run join up."""
    nested = pytest.importorskip("comfy.nested_tensor", reason="this host has no nested latents")
    from exact import CONDITION, exact_model, gaussian
    from fewstep.nodes.ksampler import FewstepKSampler

    patcher = exact_model(gaussian, "FLOW")

    def run(samples: Any, **inputs: Any) -> Any:
        settings = SETTINGS | {"cfg": 1.0, "scheduler": "simple"} | inputs
        return FewstepKSampler().sample(
            patcher, **settings, positive=CONDITION, negative=CONDITION, latent_image=samples
        )["result"]

    empty = {"samples": nested.NestedTensor([torch.zeros(1, 4, 3, 8, 8), torch.zeros(1, 8, 5, 16)])}
    whole, clean, _ = run(empty)
    first = run(empty, end_at_step=4, return_with_leftover_noise="enable")[0]
    second, _, text = run(first, start_at_step=4, add_noise="disable")
    assert "history carried over" in text
    for a, b, c in zip(*(each["samples"].unbind() for each in (whole, second, clean)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
        assert a.shape == c.shape
    assert [tuple(each.shape) for each in whole["samples"].unbind()] == [(1, 4, 3, 8, 8), (1, 8, 5, 16)]


# --- what is refused, and in which words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"sampler_name": "dpmp_3m"}, "sampler_name: unknown solver 'dpmp_3m'; did you mean 'dpmpp_3m'"),
        ({"scheduler": "karas"}, "scheduler: unknown schedule 'karas'; did you mean 'karras'"),
        ({"sampler_name": "flow_ab2"}, "sampler_name: flow_ab2 is defined on flow, not on ve"),
        ({"scheduler": "flow_shift"}, "scheduler: schedule 'flow_shift' exists in frame flow, got frame 've'"),
        ({"options": "rho 5"}, "options: cannot read 'rho'; write name=value pairs"),
        ({"options": "rh=5"}, "options: unknown option 'rh'; did you mean 'rho'"),
        ({"options": "start=3s"}, "options: start: unknown value for option 'start' '3s'"),
        ({"options": "sigma_min=20"}, "options: sigma_min is 20"),
        ({"sampler_name": "dpmpp_3s", "cfg_pp": True}, "cfg_pp: dpmpp_3s makes 3 calls per step"),
        ({"sampler_name": "auto", "cfg_pp": True}, "cfg_pp: auto may choose a solver that begins"),
        ({"options": "guidance=2"}, "options: 'guidance' is an option of auto; here there are"),
        ({"latent_image": ["small", 0]}, "latent_image: the demo networks draw 32x32 latents, got"),
    ],
)
def test_bad_input_names_the_input_and_the_way_out(run_graph: Run, change: Graph, words: str) -> None:
    graph = base() | {"small": node("EmptyLatentImage", width=128, height=128, batch_size=1)} | {"bad": ours(**change)}
    graph |= saved("bad")
    assert words in refusal(run_graph(graph), "bad")


def test_a_missing_model_is_named(run_graph: Run) -> None:
    graph = base() | {"bad": ours()} | saved("bad")
    del graph["bad"]["inputs"]["model"]
    assert "model" in refusal(run_graph(graph), "bad")


@pytest.mark.parametrize(
    ("sampler", "sigmas", "words"),
    [
        ({"start": "2s"}, "sigmas", "start: dpmpp_2m has no such option; set it back to 'auto', or choose"),
        ({"sampler_name": "nonsense"}, "sigmas", "sampler_name: unknown solver 'nonsense'"),
        ({}, "flipped", "sigmas: sigmas rise from 0 to 14.6146"),
    ],
)
def test_a_bad_sampler_says_so(run_graph: Run, sampler: Graph, sigmas: str, words: str) -> None:
    graph = base() | {
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler="karras", steps=5, denoise=1.0),
        "flipped": node("FlipSigmas", sigmas=["sigmas", 0]),
        "sampler": node("FewstepSampler", **{"sampler_name": "dpmpp_2m"} | sampler),
        "run": node(
            "SamplerCustom", **WIRES, add_noise=True, noise_seed=1, cfg=2.0, sampler=["sampler", 0], sigmas=[sigmas, 0]
        ),
        **saved("run"),
    }
    done = run_graph(graph)
    assert words in refusal(done, "sampler" if sampler else "run").replace("0.0001", "0")


def test_aliases_and_old_names_are_accepted_by_our_nodes(host: types.SimpleNamespace, run_graph: Run) -> None:
    alias = {"sampler_name": "dpmpp_fast", "scheduler": "edm"}
    graph = base() | {"new": ours(sampler_name="dpmpp_3s"), "old": ours(**alias), **saved("new"), **saved("old")}
    done = run_graph(graph)
    assert torch.equal(latent(host, done, "new"), latent(host, done, "old"))


def test_sigmas_info_tells_levels_steps_and_calls(run_graph: Run) -> None:
    graph = base("flow") | {
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler="simple", steps=5, denoise=1.0),
        "sampler": node("FewstepSampler", sampler_name="flow_ab3"),
        "info": node("FewstepSigmasInfo", sigmas=["sigmas", 0], model=["demo", 0], sampler=["sampler", 0]),
        "text": node("PreviewAny", source=["info", 0]),
        "picture": node("SaveImage", images=["info", 1], filename_prefix="info"),
        "select": node("KSamplerSelect", sampler_name="fewstep_dpmpp_3m"),
        "of menu": node("FewstepSigmasInfo", sigmas=["sigmas", 0], model=["demo", 0], sampler=["select", 0]),
        "menu text": node("PreviewAny", source=["of menu", 0]),
        "guess": node("FewstepSigmasInfo", sigmas=["sigmas", 0]),
        "guessed": node("PreviewAny", source=["guess", 0]),
    }
    done = run_graph(graph)
    text = report(done)
    assert text.startswith("5 model calls, flow\n")
    assert "flow_ab3 on flow, 5 model calls, order 3" in text
    assert "dpmpp_3m on flow, 5 model calls" in report(done, "menu text")
    assert "0.4055" in text  # lambda from 0.6 to 0.4 changes by 2 log 1.5 = 0.811, from 0.4055 below 0
    assert "assumed: no model is connected" in report(done, "guessed")
    assert len(done.history["outputs"]["picture"]["images"]) == 1


def test_the_hosts_own_samplers_have_no_plan_to_show(run_graph: Run) -> None:
    graph = base("flow") | {
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler="simple", steps=5, denoise=1.0),
        "select": node("KSamplerSelect", sampler_name="euler"),
        "info": node("FewstepSigmasInfo", sigmas=["sigmas", 0], sampler=["select", 0]),
        "text": node("PreviewAny", source=["info", 0]),
    }
    assert "sampler: only Fewstep samplers can show a plan" in refusal(run_graph(graph), "info")


def test_scheduler_with_denoise_0_gives_no_levels_as_the_hosts_does(host: types.SimpleNamespace) -> None:
    from fewstep.nodes import demo_host
    from fewstep.nodes.scheduler import FewstepScheduler

    made = FewstepScheduler().make(demo_host.model("vp"), "karras", 10, 0.0)
    assert made["result"][0].shape == (0,)
    full = FewstepScheduler().make(demo_host.model("vp"), "karras", 10, 1.0, "rho=5, sigma_min=0.1")["result"][0]
    assert full.dtype == torch.float32
    assert full[-2] == pytest.approx(0.1)
