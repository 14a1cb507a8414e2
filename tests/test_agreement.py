"""Agreement with diffusers and k-diffusion, wherever they compute the same method; both run here.

A comparison is of every coefficient: a `Probe` answers its j-th call with the j-th unit vector, so the states that it
is shown spell out the method, stages included. They also draw one and the same sample of a mixture.

Not compared, because the methods differ: diffusers' singlestep 3 'midpoint' (its second inner stage has the weight of
2S), its multistep 3 'midpoint' (starts and ends with 2M in midpoint weights, ours in exact ones, as its 'heun'), its
multistep methods on flow from sigma 1 exactly (the second step is first order there), and levels at which our guards
split a block. deis_rhork_midpoint has no published implementation.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from types import ModuleType
from typing import Any

import diffusers
import fewstep
import numpy as np
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS
from fewstep.samplers.plan import Plan
from harness import rms
from probe import CLOSE, Model, Probe, Reference, coefficients_differ, form_of, make, ours

Tensor = torch.Tensor


def check(plan: Plan, reference: Reference) -> None:
    """The same calls, the same coefficients, the same sample of a mixture."""
    frame, form = plan.frame, form_of(plan)
    asked, rows = Probe(frame, form, len(plan)).run(ours(plan))
    their_asked, their_rows = Probe(frame, form, len(plan)).run(reference)
    assert len(asked) == len(their_asked) == len(plan)
    np.testing.assert_allclose(asked, their_asked, rtol=CLOSE)
    difference = coefficients_differ(rows, their_rows)
    problem = PROBLEMS[3]
    x = problem.start(frame, plan.levels[0].host, 8)
    sample = ours(plan)(problem.model(frame), x)
    of_sample = rms(sample - reference(problem.model(frame), x).as_subclass(torch.Tensor)) / rms(sample)
    print(f"{plan.solver} {dict(plan.options)} {frame.name}: coefficients {difference:.1e}, sample {of_sample:.1e}")
    assert difference <= CLOSE, f"{plan}\ncoefficients differ by {difference:.1e}"
    assert of_sample <= 10 * CLOSE, f"{plan}\nsamples differ by {of_sample:.1e}"


def levels_for(frame: str, n: int, end: str) -> list[float]:
    """Without flow's sigma 1: others have no finite lambda there."""
    if frame == "flow":
        span = np.linspace(0.97, 0.0 if end == "zero" else 0.03, n + 1)
        return [float(3 * u / (1 + 2 * u)) for u in span]
    return fewstep.schedule("karras", n, frame=frame, end=0 if end == "zero" else "sigma_min")


# --- diffusers 0.42.1 ------------------------------------------------------------------------------------------------


class Double(Tensor):
    """Stays float64: step() of most diffusers schedulers casts the state to float32, which would be all we measure."""

    def to(self, *_: Any, **__: Any) -> Tensor:
        return self


def diffusers_run(name: str, sigmas: Sequence[float], flow: bool = False, **options: Any) -> Reference:
    """A scheduler's step() on our levels. Its own are float32: ours are written over them, and all is float64."""
    n = len(sigmas) - 1
    kind = {} if name.startswith("FlowMatch") else {"prediction_type": "flow_prediction" if flow else "sample"}

    def reference(model: Model, x: Tensor) -> Tensor:
        scheduler = getattr(diffusers, name)(**{**kind, **options})
        scheduler.set_timesteps(n)
        scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64)
        scheduler.set_begin_index(0)
        for sigma, t in zip(sigmas, scheduler.timesteps, strict=False):
            denoised = model(x.as_subclass(torch.Tensor), torch.full((x.shape[0],), sigma, dtype=torch.float64))
            answer = (x - denoised) / sigma if flow else denoised
            (x,) = scheduler.step(answer.as_subclass(Double), t, x.as_subclass(Double), return_dict=False)
        return x

    return reference


DPM_TYPES = {"dpmsolver++": "dpmpp", "dpmsolver": "dpm_solver"}
#: what diffusers warns of, and nothing else
pytestmark = [
    pytest.mark.filterwarnings("ignore:`algorithm_types?.dpmsolver.* deprecated:FutureWarning"),
    # it calls numpy on tensors, by an interface that numpy 2 is giving up
    pytest.mark.filterwarnings("ignore:__array_.*:DeprecationWarning:diffusers"),
]


@pytest.mark.parametrize(
    ("algorithm", "frame", "end"),
    [
        *(("dpmsolver++", frame, end) for frame in ("vp", "flow") for end in ("zero", "sigma_min")),
        ("dpmsolver", "vp", "sigma_min"),  # diffusers refuses its noise form at 0 and for flow predictions
    ],
)
def test_diffusers_multistep(algorithm: str, frame: str, end: str) -> None:
    stem = DPM_TYPES[algorithm]
    methods = [
        (1, "midpoint", f"{stem}_1s", ""),
        (2, "midpoint", f"{stem}_2m", "paper"),
        (2, "heun", f"{stem}_2m", "taylor"),
        (3, "heun", f"{stem}_3m", "official"),
    ]
    for order, kind, id, variant in methods:
        for n, lower in ((2, True), (7, True), (7, False), (16, True)):
            sigmas = levels_for(frame, n, end)
            # their rule for lower orders at the end holds below 15 steps
            final = "on" if lower and n < 15 else "off"
            theirs = diffusers_run(
                "DPMSolverMultistepScheduler", sigmas, frame == "flow", algorithm_type=algorithm, solver_order=order,
                solver_type=kind, lower_order_final=lower, final_sigmas_type=end, use_flow_sigmas=frame == "flow",
            )  # fmt: skip
            check(make(id, sigmas, frame, variant=variant, final=final, last="denoise"), theirs)


@pytest.mark.parametrize(
    ("algorithm", "end"), [("dpmsolver++", "zero"), ("dpmsolver++", "sigma_min"), ("dpmsolver", "sigma_min")]
)
def test_diffusers_singlestep(algorithm: str, end: str) -> None:
    stem = DPM_TYPES[algorithm]
    for order, kind, variant in ((2, "midpoint", "paper"), (2, "heun", "general"), (3, "heun", "taylor")):
        for n in (5, 6, 7, 8):
            sigmas = levels_for("vp", n, end)
            # their lists of orders in our terms: to 0 and with n = 3k + 1 they are 3, ..., 3, 1, else the papers'
            split = "even" if end == "zero" and n % 3 == 1 else "official"
            whole = end == "sigma_min" and n % order == 0
            theirs = diffusers_run(
                "DPMSolverSinglestepScheduler", sigmas, algorithm_type=algorithm, solver_order=order, solver_type=kind,
                # with it, an even n would end in two first-order steps, and 3k in 2 and 1 (which is our "official")
                lower_order_final=order == 3 or not whole, final_sigmas_type=end,
            )  # fmt: skip
            plan = make(f"{stem}_{order}s", sigmas, "vp", variant=variant, split=split, last="denoise")
            check(plan, theirs)


@pytest.mark.parametrize("frame", ["vp", "flow"])
def test_diffusers_deis_is_dpm_solver_multistep(frame: str) -> None:
    """Its polynomial is in log rho, that is in lambda, and its second difference is not halved."""
    for order, id, variant in (
        (1, "dpm_solver_1s", ""),
        (2, "dpm_solver_2m", "taylor"),
        (3, "dpm_solver_3m", "paper"),
    ):
        for n, lower in ((2, True), (7, True), (7, False), (16, True)):
            sigmas = levels_for(frame, n, "sigma_min")
            theirs = diffusers_run(
                "DEISMultistepScheduler", sigmas, frame == "flow", solver_order=order, lower_order_final=lower,
                use_flow_sigmas=frame == "flow",
            )  # fmt: skip
            final = "on" if lower and n < 15 else "off"
            check(make(id, sigmas, frame, variant=variant, final=final), theirs)


@pytest.mark.parametrize(("kind", "end"), [("bh1", "sigma_min"), ("bh2", "sigma_min"), ("bh2", "zero")])
@pytest.mark.parametrize("frame", ["vp", "flow"])
def test_diffusers_unipc(kind: str, frame: str, end: str) -> None:
    """At sigma 0, where h is infinite, its bh1 is NaN (inf * 0), and so is bh2 at more than order 1."""
    for order, n, lower in itertools.product((2, 3), (1, 2, 3, 7, 16), (True, False)):
        if end == "zero" and not lower:
            continue
        sigmas = levels_for(frame, n, end)
        theirs = diffusers_run(
            "UniPCMultistepScheduler", sigmas, frame == "flow", solver_order=order, solver_type=kind,
            lower_order_final=lower, final_sigmas_type=end, use_flow_sigmas=frame == "flow",
        )  # fmt: skip
        final = "on" if lower else "off"
        check(make(f"unipc_{order}", sigmas, frame, variant=kind, final=final, last="denoise"), theirs)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
def test_diffusers_sa_solver(tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With noise its means are compared, z = 0. Only down to sigma_min: it makes NaN of sigma 0."""
    module = importlib.import_module("diffusers.schedulers.scheduling_sasolver")
    monkeypatch.setattr(module, "randn_tensor", lambda shape, **_: torch.zeros(shape, dtype=torch.float64))
    strength = torch.tensor(tau, dtype=torch.float64)
    for n, lower in itertools.product((1, 2, 3, 7, 16), (True, False)):
        sigmas = levels_for("vp", n, "sigma_min")
        theirs = diffusers_run(
            "SASolverScheduler", sigmas, predictor_order=3, corrector_order=4, tau_func=lambda _: strength,
            lower_order_final=lower, algorithm_type="data_prediction",
        )  # fmt: skip
        final = "on" if lower else "off"
        plan = make("sa_solver", sigmas, "vp", variant="bh1", final=final, last="denoise", eta=tau**2, s_noise=0.0)
        check(plan, theirs)


def test_diffusers_flow_match_euler() -> None:
    for end in ("zero", "sigma_min"):
        for n in (1, 5):
            sigmas = [1.0, *levels_for("flow", n, end)[1:]]  # from sigma 1 exactly
            theirs = diffusers_run("FlowMatchEulerDiscreteScheduler", sigmas, flow=True)
            check(fewstep.plan("flow_ab1", sigmas, "flow"), theirs)


def test_diffusers_ddim() -> None:
    """DDIMScheduler reads its levels from a table of cumulative alphas: here, ours."""
    for n, end in ((1, "zero"), (6, "zero"), (6, "sigma_min")):
        sigmas = levels_for("vp", n, end)
        alphas = torch.tensor([1.0 / (1.0 + sigma * sigma) for sigma in reversed(sigmas)], dtype=torch.float64)

        def reference(model: Model, x: Tensor, sigmas: list[float] = sigmas, alphas: Tensor = alphas) -> Tensor:
            n = len(sigmas) - 1
            scheduler = diffusers.DDIMScheduler(num_train_timesteps=n, prediction_type="sample", clip_sample=False)
            scheduler.set_timesteps(n)
            scheduler.final_alpha_cumprod, scheduler.alphas_cumprod = alphas[0], alphas[1:]
            for sigma, t in zip(sigmas, scheduler.timesteps.tolist(), strict=False):
                x = scheduler.step(model(x, torch.full((len(x),), sigma, dtype=x.dtype)), t, x, return_dict=False)[0]
            return x

        check(fewstep.plan("ddim", sigmas, "vp"), reference)


# --- k-diffusion 0.1.1.post1 -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def k_diffusion() -> ModuleType:
    """The module k_diffusion/sampling.py of an installed k-diffusion, and nothing else of it.

    The package itself imports wandb, kornia, clip, accelerate and more; `pip install --no-deps` leaves them out. What
    remains of third parties in sampling.py and utils.py is never called here and gets an empty stand-in while they are
    imported: torchdiffeq (for log_likelihood), torchsde (the default noise), torchvision (image files).
    """
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("k-diffusion is missing; make setup installs it (dev-requirements-nodeps.txt)")
    stand_ins: dict[str, dict[str, Any]] = {
        "torchdiffeq": {"odeint": None},
        "torchsde": {},
        "torchvision": {},
        "torchvision.transforms": {"functional": None},
        "k_diffusion": {"__path__": list(spec.submodule_search_locations)},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, content in stand_ins.items():
            module = ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        sampling = importlib.import_module("k_diffusion.sampling")
        for name in ("k_diffusion.sampling", "k_diffusion.utils"):
            del sys.modules[name]
    return sampling


def between(sigmas: Sequence[float]) -> list[float]:
    """A level more in each interval that does not end at 0: k-diffusion's two-call methods step over one interval."""
    out = [sigmas[0]]
    for a, b in pairwise(sigmas):
        out += [math.sqrt(a * b), b] if b else [b]
    return out


def k_run(sample: Callable[..., Tensor], sigmas: Sequence[float], **options: Any) -> Reference:
    return lambda model, x: sample(model, x, torch.tensor(sigmas, dtype=torch.float64), disable=True, **options)


def no_noise(*_: object) -> float:
    return 0.0


@pytest.mark.parametrize("end", ["zero", "sigma_min"])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_k_diffusion(k_diffusion: ModuleType, n: int, end: str) -> None:
    k, sigmas = k_diffusion, levels_for("ve", n, end)
    last = {"last": "denoise"}
    quiet = {"eta": 0.0, "noise_sampler": no_noise}
    check(make("ddim", sigmas, "ve"), k_run(k.sample_euler, sigmas))
    check(make("dpmpp_2m", sigmas, "ve", **last), k_run(k.sample_dpmpp_2m, sigmas))
    if sigmas[1]:  # those two stop with an UnboundLocalError when the first step goes to 0
        for kind, variant in (("midpoint", "paper"), ("heun", "taylor")):
            theirs = k_run(k.sample_dpmpp_2m_sde, sigmas, solver_type=kind, **quiet)
            check(make("dpmpp_2m", sigmas, "ve", variant=variant, **last), theirs)
        theirs = k_run(k.sample_dpmpp_3m_sde, sigmas, **quiet)
        check(make("dpmpp_3m", sigmas, "ve", variant="official", **last), theirs)
    paper = {"variant": "paper", "nodes": "paper", **last}
    theirs = k_run(k.sample_dpmpp_2s_ancestral, sigmas, **quiet)
    check(make("dpmpp_2s", between(sigmas), "ve", **paper), theirs)
    # dpm_2: the middle in log sigma, both half steps Euler in sigma; that is DPM-Solver-2
    check(make("dpm_solver_2s", between(sigmas), "ve", **paper), k_run(k.sample_dpm_2, sigmas))
    check(make("deis_rhork_heun", between(sigmas), "ve", **last), k_run(k.sample_heun, sigmas))


@pytest.mark.parametrize("frame", ["ve", "flow"])
@pytest.mark.parametrize("end", ["zero", "sigma_min"])
def test_k_diffusion_lms_keeps_its_order_to_zero(k_diffusion: ModuleType, end: str, frame: str) -> None:
    """On flow its derivative (x - x0)/sigma is the velocity, so lms and heun are our velocity form, from sigma 1 on."""
    for n in (1, 2, 9):
        sigmas = levels_for(frame, n, end)
        if frame == "flow":
            sigmas[0] = 1.0
        for points in (1, 2, 3, 4):
            id = f"flow_ab{points}" if frame == "flow" else f"deis_rhoab{points - 1}"
            plan = make(id, sigmas, frame, last="regular")
            check(plan, k_run(k_diffusion.sample_lms, sigmas, order=points))
        if frame == "flow":
            plan = make("deis_rhork_heun", between(sigmas), frame, last="denoise")
            check(plan, k_run(k_diffusion.sample_heun, sigmas))


@pytest.mark.parametrize("calls", [4, 5, 6, 7, 8, 12])
def test_k_diffusion_dpm_solver_fast(k_diffusion: ModuleType, calls: int) -> None:
    """Blocks of 3 calls, then 2 and 1, 1 or 2, equally long in log sigma: ours with a schedule made for that."""
    high, low = 14.6, 0.03
    blocks = calls // 3 + 1
    sizes = [3] * (blocks - 2) + [2, 1] if calls % 3 == 0 else [3] * (blocks - 1) + [calls % 3]
    width = math.log(low / high) / blocks
    sigmas = [high * math.exp(width * (i + j / size)) for i, size in enumerate(sizes) for j in range(size)] + [low]

    def theirs(model: Model, x: Tensor) -> Tensor:
        ends = [-torch.tensor(sigma, dtype=torch.float64).log() for sigma in (high, low)]
        torch.set_default_dtype(torch.float64)  # else linspace gives float32 levels
        try:
            return k_diffusion.DPMSolver(model).dpm_solver_fast(x, *ends, calls)
        finally:
            torch.set_default_dtype(torch.float32)

    plan = fewstep.plan("dpm_solver_fast", sigmas, "ve", variant="paper", nodes="paper", split="official")
    assert [i for i, call in enumerate(plan, 1) if call.closes] == list(accumulate(sizes))
    check(plan, theirs)


# --- older methods ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["ipndm", "pndm"])
def test_published_weights_of_pndm(id: str) -> None:
    """Multiples of the first-order weight on the noise, on flow on the velocity."""
    published = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]
    for frame, schedule in (("ve", "karras"), ("vp", "time_uniform"), ("flow", "flow_shift")):
        sigmas = fewstep.schedule(schedule, 7, frame=frame, end="sigma_min")
        plan, form = fewstep.plan(id, sigmas, frame), "velocity" if frame == "flow" else "noise"
        _, rows = Probe(plan.frame, form, len(plan)).run(ours(plan))
        for i, (call, before, after) in enumerate(zip(plan, rows, rows[1:], strict=False)):
            s, t = call.level, call.target
            whole = t.sigma - s.sigma if form == "velocity" else t.alpha * (t.rho - s.rho)
            expected = before * (1.0 if form == "velocity" else t.alpha / s.alpha)
            for age, weight in enumerate(published[min(i, 3)]):
                expected[1 + i - age] += whole * weight
            assert coefficients_differ(after[None], expected[None]) <= CLOSE


@pytest.mark.parametrize(("id", "same"), [("heun", "deis_rhork_heun"), ("ab_v", "deis_rhoab3")])
def test_one_method_under_two_names(id: str, same: str) -> None:
    for frame, n, last in itertools.product(("ve", "vp", "flow"), (1, 2, 5, 10, 20), ("regular", "denoise")):
        sigmas = fewstep.schedule("sgm_uniform", n, frame=frame)
        assert make(id, sigmas, frame, last=last).calls == make(same, sigmas, frame, last=last).calls


# --- first order is DDIM ---------------------------------------------------------------------------------------------

FIRST_ORDER = ("ddim", "dpm_solver_1s", "dpmpp_1s", "deis_tab0", "deis_rhoab0", "flow_ab1")


@pytest.mark.parametrize("id", FIRST_ORDER)
def test_first_order_is_ddim(id: str) -> None:
    """x_t = alpha_t D + sigma_t (x - alpha_s D)/sigma_s (arXiv 2010.02502, eq. 12), ends included."""
    generator = torch.Generator().manual_seed(5)
    row = fewstep.solvers()[id]
    for frame in row.frames:
        where = fewstep.frame(frame)
        # sigma/alpha from 0.03 to 15: the noise form multiplies x by the ratio of the alphas, and cancels as much after
        random = (torch.rand(40, 2, generator=generator, dtype=torch.float64) * 6.2 - 3.5).exp()
        pairs = [(float(p.max()), float(p.min())) for p in random]
        if frame == "flow":
            pairs = [(a / (1 + a), b / (1 + b)) for a, b in pairs] + [(1.0, 0.3), (1.0, 0.0)]
        for a, b in [*pairs, (pairs[0][0], 0.0)]:
            x, data = torch.randn(2, 1, 16, generator=generator, dtype=torch.float64)
            out = fewstep.run(fewstep.plan(id, [a, b], where), lambda *_, data=data: data, x)
            s, t = where.level(a), where.level(b)
            ratio = t.sigma / s.sigma
            expected = t.alpha * data + ratio * (x - s.alpha * data)
            size = (t.alpha * data.abs() + ratio * (x.abs() + s.alpha * data.abs())).max()
            error = float((out - expected).abs().max() / size)
            assert error <= 1e-13, f"{id} {frame} {a} -> {b}: {error:.1e}"
