"""The functions that A1111, Forge and reForge call to sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fewstep
import pytest
import torch
from fewstep.a1111.refusal import RefusedError
from fewstep.a1111.request import put
from fewstep.a1111.sampling import sampler_function
from fewstep.a1111.words import sampler_label
from fewstep.samplers.auto import choose_schedule, choose_solver
from fewstep.samplers.identity import identity
from fewstep.samplers.solvers import solver
from harness import FIXED, made_profile, named, offered
from webui_models import DENOISERS, FRAMES, Guided, core_levels, host_levels
from webui_stand_in import Host

Tensor = torch.Tensor
SOLVERS = fewstep.solvers()

MODELS = {"ve": "sd1", "flow": "forge flux"}
CASES = [(id, frame) for id, row in FIXED.items() for frame in MODELS if frame in row.frames]


class Rng:
    """The host's source: one stream, drawn from in the order of the steps."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(5)

    def next(self) -> Tensor:
        return torch.randn((2, 4, 3, 3), generator=self.generator)


def hosts_noise() -> Any:
    rng = Rng()
    return lambda start, end, like: rng.next().to(like)


def guided(frame: str, **values: Any) -> Guided:
    model = Guided(DENOISERS[MODELS[frame]], flow=frame == "flow")
    model.p = SimpleNamespace(rng=Rng())
    put(model.p, [values])
    return model


def noise(frame: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(shape or (2, 4, 3, 3), generator=torch.Generator().manual_seed(1))
    return (x * (14.6 if frame == "ve" else 1.0)).to(dtype)


def levels_of(frame: str, n: int = 7) -> Tensor:
    return host_levels("simple", MODELS[frame], n)


@pytest.mark.parametrize(("id", "frame"), CASES)
def test_the_result_is_that_of_the_core(id: str, frame: str) -> None:
    """Bit for bit, on the same levels in float32; n levels are n calls and n callbacks."""
    options = named(id, frame)
    model, x, sigmas = guided(frame, **options), noise(frame), levels_of(frame)
    told: list[dict[str, Any]] = []
    before = x.clone()
    out = sampler_function(SOLVERS[id])(model, x, sigmas, {"cond": 1}, told.append, True)
    where = FRAMES[MODELS[frame]]
    core = fewstep.sample(Guided(flow=frame == "flow"), x, sigmas, id, where, noise=hosts_noise(), **options)
    assert torch.equal(out, core)
    assert torch.equal(x, before)
    assert [each["i"] for each in told] == list(range(7))
    assert [(float(each["sigma"]), float(each["sigma_hat"])) for each in told] == [(s, s) for s, _ in model.asked]
    assert all(each["x"].shape == each["denoised"].shape == x.shape for each in told)
    assert all(extra == {"cond": 1} for _, extra in model.asked)


@pytest.mark.parametrize("frame", MODELS)
@pytest.mark.parametrize("id", [id for id in SOLVERS if id not in FIXED])
def test_adaptive_solvers_count_in_the_hosts_steps(id: str, frame: str) -> None:
    model, x, sigmas = guided(frame), noise(frame), levels_of(frame)
    told: list[dict[str, Any]] = []
    out = sampler_function(SOLVERS[id])(model, x, sigmas, {"cond": 1}, told.append, True)
    core = fewstep.adaptive(Guided(flow=frame == "flow"), x, sigmas, id, FRAMES[MODELS[frame]])
    assert torch.equal(out, core.x)
    assert len(model.asked) == core.calls
    counted = [each["i"] for each in told]
    assert counted == sorted(counted)
    assert counted[0] == 0
    assert counted[-1] == 6
    with pytest.raises(RefusedError, match="sigmas rise"):
        sampler_function(SOLVERS[id])(guided(frame), x, torch.tensor([0.1, 0.5]))


@pytest.mark.parametrize(("id", "frame"), CASES)
def test_options_of_the_request_are_used(id: str, frame: str) -> None:
    options = offered(id, **{option.name: option.choices[-1] for option in SOLVERS[id].options if option.choices})
    options |= named(id, frame)
    out = sampler_function(SOLVERS[id])(guided(frame, **options), noise(frame), levels_of(frame), disable=True)
    where = FRAMES[MODELS[frame]]
    model = Guided(flow=frame == "flow")
    core = fewstep.sample(model, noise(frame), levels_of(frame), id, where, noise=hosts_noise(), **options)
    assert torch.equal(out, core)


@pytest.mark.parametrize("id", [id for id, row in SOLVERS.items() if "ve" not in row.frames])
def test_a_flow_solver_is_refused_on_other_models_before_any_call(id: str) -> None:
    model = guided("ve")
    with pytest.raises(RefusedError, match=f"^Fewstep: .*{id} is defined on flow"):
        sampler_function(SOLVERS[id])(model, noise("ve"), levels_of("ve"))
    assert model.asked == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"start": "2s"}, r"^Fewstep: start: dpmpp_2m has no such option; set it back to 'auto', or choose"),
        ({"variant": "genral"}, r"^Fewstep: variant is 'genral', expected one of default"),
    ],
)
def test_a_request_that_cannot_be_carried_out(values: dict[str, Any], words: str) -> None:
    model = guided("ve", **values)
    with pytest.raises(RefusedError, match=words) as caught:
        sampler_function(SOLVERS["dpmpp_2m"])(model, noise("ve"), levels_of("ve"))
    assert vars(caught.value) == {"status_code": 422, "detail": str(caught.value)}
    assert model.asked == []


@pytest.mark.parametrize("sigmas", [[], [3.0]])
def test_nothing_to_do(sigmas: list[float]) -> None:
    """img2img at denoising strength 0; even a bad request is no reason to fail."""
    model, x = guided("ve", variant="genral"), noise("ve")
    assert sampler_function(SOLVERS["dpmpp_3m"])(model, x, torch.tensor(sigmas)) is x
    assert model.asked == []


@pytest.mark.parametrize("id", ["auto", *(id for id, frame in CASES if frame == "ve")])
def test_repeated_levels_cost_their_calls_and_change_nothing(id: str) -> None:
    model, told = guided("ve", **named(id)), []
    fn = sampler_function(solver(id))
    out = fn(model, noise("ve"), torch.tensor([14.0, 5.0, 5.0, 1.0, 0.0]), None, told.append)
    once = fn(guided("ve", **named(id)), noise("ve"), torch.tensor([14.0, 5.0, 1.0, 0.0]))
    assert (len(model.asked), len(told)) == (4, 4)
    assert torch.allclose(out, once, atol=1e-5)


def test_rising_levels_are_refused() -> None:
    with pytest.raises(RefusedError, match="sigmas rise from 1 to 2"):
        sampler_function(SOLVERS["ddim"])(guided("ve"), noise("ve"), torch.tensor([1.0, 2.0]))


def test_what_is_put_into_extra_args_between_calls_is_passed_on() -> None:
    """The refiner exchanges the conditions and the model there."""
    model, extra = guided("ve", thresholding=100.0), {"cond": 0}

    def between(info: dict[str, Any]) -> None:
        extra["cond"] = info["i"] + 1

    sampler_function(SOLVERS["dpmpp_3m"])(model, noise("ve"), levels_of("ve"), extra, between, True)
    assert [given for _, given in model.asked] == [{"cond": i} for i in range(7)]


class Interrupted(BaseException):
    """As the hosts' InterruptedException, which is no Exception."""


@pytest.mark.parametrize("place", ["model", "callback"])
def test_an_interruption_passes_through(place: str) -> None:
    calls = []

    def stop(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(args)
        if len(calls) == 3:
            raise Interrupted
        return args[0]

    model: Any = guided("ve")
    if place == "model":
        stop.inner_model, stop.p = model.inner_model, model.p  # type: ignore[attr-defined]
        model = stop
    with pytest.raises(Interrupted):
        sampler_function(SOLVERS["dpmpp_3m"])(
            model, noise("ve"), levels_of("ve"), {}, stop if place != "model" else None
        )
    assert len(calls) == 3


@pytest.mark.parametrize("frame", MODELS)
def test_thresholding_bounds_the_answers(frame: str) -> None:
    def sizes(**values: Any) -> tuple[list[float], Tensor]:
        told: list[dict[str, Any]] = []
        out = sampler_function(SOLVERS["dpmpp_2m"])(
            guided(frame, **values), noise(frame), levels_of(frame), None, told.append
        )
        return [float(each["denoised"].abs().max()) for each in told], out

    (free, plain), (bounded, out), (same, untouched) = (
        sizes(), sizes(thresholding=0.25), sizes(thresholding=100.0)
    )  # fmt: skip
    assert max(free) > 0.3
    assert max(bounded) <= 0.25 * (1 + 1e-6)
    assert float(out.abs().max()) < float(plain.abs().max())
    assert same == free
    assert torch.equal(untouched, plain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("frame", MODELS)
def test_types_and_batches(frame: str, dtype: torch.dtype) -> None:
    """A picture of a batch of three is the picture on its own, whatever the type; the host is in inference mode."""
    # 8 x 8: torch on the CPU rounds half precision otherwise in what is left over after blocks of 32 numbers
    x = noise(frame, 3, 4, 8, 8, dtype=dtype)
    with torch.inference_mode():
        out = sampler_function(SOLVERS["dpm_solver_3m"])(guided(frame, thresholding=0.25), x, levels_of(frame))
        alone = [
            sampler_function(SOLVERS["dpm_solver_3m"])(guided(frame, thresholding=0.25), each, levels_of(frame))
            for each in x.split(1)
        ]
    assert (out.dtype, out.shape) == (dtype, x.shape)
    assert torch.isfinite(out).all()
    assert torch.equal(out, torch.cat(alone))


def test_a_model_without_a_request_samples_with_the_defaults() -> None:
    model = guided("ve")
    del model.p
    out = sampler_function(SOLVERS["dpmpp_3m"])(model, noise("ve"), levels_of("ve"))
    assert torch.equal(out, sampler_function(SOLVERS["dpmpp_3m"])(guided("ve"), noise("ve"), levels_of("ve")))


# --- profiles --------------------------------------------------------------------------------------------------------


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    for frame in MODELS:
        made_profile(frame).save(f"profile:{frame}")
    return tmp_path / "profiles"


@pytest.mark.parametrize("frame", MODELS)
@pytest.mark.parametrize("id", SOLVERS)
def test_a_profile_runs_in_the_place_of_every_sampler(id: str, frame: str) -> None:
    """Bit for bit, whatever the sampler is for: on the profile's own levels, between the host's ends in float32."""
    model, told = guided(frame, profile=frame), []
    out = sampler_function(SOLVERS[id])(model, noise(frame), levels_of(frame), {"cond": 1}, told.append, True)
    plan = made_profile(frame).plan(7)
    assert torch.equal(out, fewstep.run(plan, Guided(flow=frame == "flow"), noise(frame)))
    assert [each["i"] for each in told] == list(range(7))
    assert [sigma for sigma, _ in model.asked] == pytest.approx([call.level.host for call in plan])


def test_thresholding_goes_with_a_profile() -> None:
    told: list[dict[str, Any]] = []
    model = guided("ve", profile="ve", thresholding=0.25)
    sampler_function(SOLVERS["ddim"])(model, noise("ve"), levels_of("ve"), None, told.append, True)
    assert max(float(each["denoised"].abs().max()) for each in told) <= 0.25 * (1 + 1e-6)  # rounding of float32


@pytest.mark.parametrize("id", ["dpmpp_3m", "dpmpp_23"])
def test_the_second_pass_of_hires_fix_runs_without_the_profile(id: str) -> None:
    model, lower = guided("ve", profile="ve"), levels_of("ve", 9)[4:]
    model.p.is_hr_pass = True
    out = sampler_function(SOLVERS[id])(model, noise("ve"), lower, None, None, True)
    assert torch.equal(out, sampler_function(SOLVERS[id])(guided("ve"), noise("ve"), lower, None, None, True))


@pytest.mark.parametrize(
    ("frame", "values", "sigmas", "words"),
    [
        ("ve", {"profile": "nobody"}, levels_of("ve"), "unknown profile 'nobody'"),
        ("ve", {"profile": "ve"}, levels_of("ve", 6), "no plan of 6 calls; it has 5, 7"),
        ("ve", {"profile": "flow"}, levels_of("ve"), "made for frame 'flow', but the model's is 've'"),
        ("flow", {"profile": "ve"}, levels_of("flow"), "made for frame 've', but the model's is 'flow'"),
        ("ve", {"profile": "ve"}, levels_of("ve", 10)[3:], "the first sigma is .* tuned from 14.61"),  # image to image
        ("ve", {"profile": "ve"}, levels_of("ve", 8)[:-1], "the last sigma is"),
        ("ve", {"profile": "ve", "start": "2s"}, levels_of("ve"), "profile ve takes no options"),
        ("ve", {"profile": "torn"}, levels_of("ve"), "torn.safetensors is damaged"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused(
    profiles: Path, frame: str, values: dict[str, Any], sigmas: Tensor, words: str
) -> None:
    (profiles / "torn.safetensors").write_bytes(b"0" * 20)
    model = guided(frame, **values)
    with pytest.raises(RefusedError, match=f"^Fewstep: .*{words}") as caught:
        sampler_function(SOLVERS["dpmpp_2m"])(model, noise(frame), sigmas)
    assert vars(caught.value)["status_code"] == 422
    assert model.asked == []


def test_a_profile_that_went_away_is_refused(profiles: Path) -> None:
    model = guided("ve", profile="ve")
    (profiles / "ve.safetensors").unlink()
    with pytest.raises(RefusedError, match="no profile at"):
        sampler_function(SOLVERS["dpmpp_2m"])(model, noise("ve"), levels_of("ve"))


@pytest.mark.parametrize("place", ["model.diffusion_model", "forge_objects.unet.model.diffusion_model"])
def test_a_profile_knows_its_network(profiles: Path, place: str) -> None:
    network = torch.nn.LayerNorm(8)
    made_profile("ve", identity=identity(network)).save("profile:mine")
    made_profile("ve", identity="network-000000000000").save("profile:other")

    def run(name: str) -> Tensor:
        holder: Any = network
        for each in reversed(place.split(".")):
            holder = SimpleNamespace(**{each: holder})
        model = guided("ve", profile=name)
        model.inner_model = SimpleNamespace(sigmas=DENOISERS["sd1"].sigmas, inner_model=holder)
        return sampler_function(SOLVERS["ddim"])(model, noise("ve"), levels_of("ve"), disable=True)

    assert torch.equal(run("mine"), run("ve"))
    with pytest.raises(RefusedError, match="made for model 'network-000000000000', not for 'network-"):
        run("other")


# --- through the host's own steps ------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[Host]:
    with Host().installed() as running:
        yield running


@pytest.mark.parametrize(("id", "frame"), CASES)
def test_a_run_of_the_host(host: Host, id: str, frame: str) -> None:
    """The host's "Automatic" is our Auto, and what it fills in by name changes nothing."""
    from fewstep.a1111 import menus

    menus.offer_schedules("none")
    menus.offer_samplers("none")
    options = named(id, frame)
    model = guided(frame, **options)
    sampler = host.sd_samplers.create_sampler(sampler_label(SOLVERS[id]), model)
    p = SimpleNamespace(steps=5, scheduler="Automatic", rng=Rng(), cfg_scale=7.0)
    put(p, [options])
    out = sampler.sample(p, noise(frame), {"cond": 1})
    levels, where = core_levels("auto", MODELS[frame], 5, guidance=7.0), FRAMES[MODELS[frame]]
    core = fewstep.sample(Guided(flow=frame == "flow"), noise(frame), levels, id, where, noise=hosts_noise(), **options)
    assert torch.equal(out, core)
    assert len(model.asked) == 5


# --- auto ------------------------------------------------------------------------------------------------------------


def processing(n: int, cfg: float, **facts: Any) -> SimpleNamespace:
    p = SimpleNamespace(
        steps=n, scheduler="Automatic", rng=Rng(), cfg_scale=cfg, extra_generation_params={}, is_hr_pass=False
    )
    vars(p).update(facts)
    put(p, [])
    return p


@pytest.mark.parametrize("cfg", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("frame", MODELS)
def test_auto_is_that_of_the_core_under_the_hosts_cfg_scale(host: Host, frame: str, cfg: float) -> None:
    """For the sampler and, by Automatic, for the schedule; the infotext says what it took."""
    from fewstep.a1111 import menus

    menus.offer_schedules("none")
    menus.offer_samplers("none")
    where, guidance = FRAMES[MODELS[frame]], max(cfg, 1.0)
    for n in (1, 2, 5, 9, 20):
        model, p = guided(frame), processing(n, cfg)
        out = host.sd_samplers.create_sampler("Fewstep Auto", model).sample(p, noise(frame), {})
        levels = core_levels("auto", MODELS[frame], n, guidance=guidance)
        core = fewstep.sample(Guided(flow=frame == "flow"), noise(frame), levels, "auto", where, guidance=guidance)
        assert torch.equal(out, core)
        assert len(model.asked) == n
        picks = choose_solver(where, n, guidance=guidance).id, choose_schedule(where, n, guidance=guidance)
        assert p.extra_generation_params == {"Fewstep auto": "{} on {}".format(*picks)}


def test_auto_in_part_of_the_levels_goes_by_the_calls_that_are_made(host: Host) -> None:
    """Image to image: the host takes the end of the levels."""
    model = guided("ve")
    model.p = processing(20, 1.0)
    levels = core_levels("auto", "sd1", 20, guidance=1.0)[-8:]
    out = sampler_function(solver("auto"))(model, noise("ve"), levels)
    core = fewstep.sample(Guided(), noise("ve"), levels, "auto", FRAMES["sd1"], guidance=1.0)
    assert torch.equal(out, core)
    assert len(model.asked) == 7
    assert model.p.extra_generation_params == {"Fewstep auto": choose_solver(FRAMES["sd1"], 7, guidance=1.0).id}


def test_each_pass_of_hires_fix_has_its_own_cfg_and_words(host: Host) -> None:
    """Forge and reForge have a scale for the second pass, A1111 has not."""
    from fewstep.a1111 import menus

    menus.offer_schedules("none")
    menus.offer_samplers("none")
    where = FRAMES["sd1"]
    for facts, second in (({"hr_cfg": 1.0}, 1.0), ({}, 7.0)):
        p = processing(9, 7.0, hr_scheduler=None, **facts)
        for p.is_hr_pass in (False, True):
            host.sd_samplers.create_sampler("Fewstep Auto", guided("ve")).sample(p, noise("ve"), {})
        assert p.extra_generation_params == {
            "Fewstep auto": f"{choose_solver(where, 9, guidance=7.0).id} on karras",
            "Fewstep hires auto": f"{choose_solver(where, 9, guidance=second).id} on karras",
        }


def test_auto_takes_noise_from_the_fields_and_other_samplers_say_what_drew_their_levels(host: Host) -> None:
    from fewstep.a1111 import menus

    menus.offer_schedules("none")
    menus.offer_samplers("none")
    model, p = guided("ve", eta=1.0), processing(9, 7.0)
    put(p, [{"eta": 1.0}])
    out = host.sd_samplers.create_sampler("Fewstep Auto", model).sample(p, noise("ve"), {})
    levels = core_levels("auto", "sd1", 9, guidance=7.0)
    core = fewstep.sample(
        Guided(), noise("ve"), levels, "auto", FRAMES["sd1"], noise=hosts_noise(), guidance=7.0, eta=1.0
    )
    assert torch.equal(out, core)
    p = processing(9, 7.0)
    host.sd_samplers.create_sampler("Fewstep DPM++ 3M", guided("ve")).sample(p, noise("ve"), {})
    assert p.extra_generation_params == {"Fewstep auto": "karras"}
    p = processing(9, 7.0, scheduler="Fewstep Karras")
    host.sd_samplers.create_sampler("Fewstep DPM++ 3M", guided("ve")).sample(p, noise("ve"), {})
    assert p.extra_generation_params == {}


@pytest.mark.parametrize("facts", [{}, {"p": None}, {"p": SimpleNamespace(rng=Rng())}])
def test_auto_without_the_hosts_p_takes_the_model_for_a_network(facts: dict[str, Any]) -> None:
    model = guided("ve")
    del model.p
    vars(model).update(facts)
    out = sampler_function(solver("auto"))(model, noise("ve"), levels_of("ve", 20))
    core = fewstep.sample(Guided(), noise("ve"), levels_of("ve", 20), "auto", FRAMES["sd1"], guidance=1.0)
    assert torch.equal(out, core)
