"""What others offer, run as they publish it: diffusers' schedulers on their own levels, k-diffusion's samplers on ours.

A `Peer` says for a number of calls where it starts and ends; `run` is asked with the exact model of that frame. A peer
that spends 2 calls on a step takes as many steps as fit into the calls. diffusers computes in float32: errors below
some 1e-6 are its rounding.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import fewstep
import torch

from .alone import alone

Tensor = torch.Tensor
#: D(x, sigma): a model in frame ve or flow, sigma a number
Denoiser = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Ready:
    """A peer made for a number of calls: host sigmas of its first and last level, and run(model, x) -> x."""

    first: float
    last: float
    run: Callable[[Denoiser, Tensor], Tensor]


@dataclass(frozen=True)
class Peer:
    """library, solver and levels as they are called there; make(n) may raise whatever the library raises."""

    library: str
    solver: str
    levels: str
    make: Callable[[int], Ready]

    def __str__(self) -> str:
        return f"{self.library} {self.solver}, {self.levels}"


def peers(frame: str, end: int | str) -> Iterator[Peer]:
    """All that go from the frame's highest level to `end` (0 or sigma_min)."""
    yield from _k_diffusion(frame, end)
    for name, options, spread in _DIFFUSERS[frame]:
        for levels, more in spread.items():
            final = {"final_sigmas_type": "zero" if end == 0 else "sigma_min"}
            given = {**options, **more, **(final if "final_sigmas_type" in _parameters(name) else {})}
            words = (str(value) for value in options.values() if value is not True)
            title = " ".join([name.removesuffix("Scheduler"), *words])
            yield Peer("diffusers", title, levels, partial(scheduler_ready, name, given, frame))


# --- diffusers -------------------------------------------------------------------------------------------------------

#: the betas of Stable Diffusion, whose sigmas our frame ve has too
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_LINSPACE = {"linspace": {"timestep_spacing": "linspace"}, "trailing": {"timestep_spacing": "trailing"}}
_UNSPACED: dict[str, dict[str, Any]] = {
    "its own": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}
_SPACED = {**_LINSPACE, **{name: each for name, each in _UNSPACED.items() if each}}
_LU = {**_SPACED, "lu": {"use_lu_lambdas": True}}
_FLOW = {"shift 1": {"flow_shift": 1.0}, "shift 3": {"flow_shift": 3.0}}
_MULTISTEP = [
    {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"},
    {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "heun"},
    {"algorithm_type": "dpmsolver++", "solver_order": 3},
]
_UNIPC = [{"solver_type": kind, "solver_order": order} for kind in ("bh1", "bh2") for order in (2, 3)]
_ORDERS = [{"solver_order": 2}, {"solver_order": 3}]
_FLOWING: dict[str, Any] = {"use_flow_sigmas": True}
#: frame -> (scheduler, options that are named, levels that it offers)
_DIFFUSERS: dict[str, list[tuple[str, dict[str, Any], dict[str, dict[str, Any]]]]] = {
    "ve": [
        *(("DPMSolverMultistepScheduler", options, _LU) for options in _MULTISTEP),
        *(("DPMSolverSinglestepScheduler", options, _UNSPACED) for options in _ORDERS),
        *(("DEISMultistepScheduler", options, _SPACED) for options in _ORDERS),
        *(("UniPCMultistepScheduler", options, _SPACED) for options in _UNIPC),
        ("EulerDiscreteScheduler", {}, _SPACED),
        ("HeunDiscreteScheduler", {}, _SPACED),
        ("KDPM2DiscreteScheduler", {}, _SPACED),
        ("LMSDiscreteScheduler", {}, _SPACED),
        # its clip_sample is for pictures in -1..1, and true unless it is said
        ("DDIMScheduler", {}, {name: {**each, "clip_sample": False} for name, each in _LINSPACE.items()}),
        ("PNDMScheduler", {"skip_prk_steps": True}, _LINSPACE),
    ],
    "flow": [
        *(("DPMSolverMultistepScheduler", options, _FLOW) for options in _MULTISTEP),
        *(("DPMSolverSinglestepScheduler", options, _FLOW) for options in _ORDERS),
        *(("DEISMultistepScheduler", options, _FLOW) for options in _ORDERS),
        *(("UniPCMultistepScheduler", options, _FLOW) for options in _UNIPC),
        ("FlowMatchEulerDiscreteScheduler", {}, {name: {"shift": each["flow_shift"]} for name, each in _FLOW.items()}),
        ("FlowMatchHeunDiscreteScheduler", {}, {name: {"shift": each["flow_shift"]} for name, each in _FLOW.items()}),
    ],
}
#: scheduler -> steps that n calls allow, where these differ
_STEPS: dict[str, Callable[[int], int]] = {
    **dict.fromkeys(
        # two calls a step, but the last step, to 0, has one
        ("HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "FlowMatchHeunDiscreteScheduler"), lambda n: (n + 1) // 2
    ),
    "PNDMScheduler": lambda n: n - 1,  # it asks twice at its second timestep
}  # fmt: skip
#: schedulers whose state is x0 + sigma n, where the others' is alpha x0 + sigma n
_VE_SCALED = (
    "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
)  # fmt: skip


@cache
def _parameters(name: str) -> frozenset[str]:
    import diffusers

    return frozenset(getattr(diffusers, name)._get_init_keys(getattr(diffusers, name)))


@contextmanager
def quiet() -> Iterator[None]:
    diffusers = importlib.import_module("diffusers")

    level = diffusers.logging.get_verbosity()
    diffusers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its deprecations and numpy's are not ours to show
            yield
    finally:
        diffusers.logging.set_verbosity(level)


def scheduler_ready(name: str, options: dict[str, Any], frame: str, n: int) -> Ready:
    diffusers = importlib.import_module("diffusers")

    known = _parameters(name)
    given = dict(options)
    if frame == "ve":
        given |= {**BETAS, "prediction_type": "epsilon"}
    elif "use_flow_sigmas" in known:
        given |= {**_FLOWING, "prediction_type": "flow_prediction"}
    missing = options.keys() - known
    if missing:
        raise ValueError(f"{name} has no option {', '.join(sorted(missing))}")
    with quiet():
        scheduler = getattr(diffusers, name)(**{key: value for key, value in given.items() if key in known})
        scheduler.set_timesteps(_STEPS[name](n) if name in _STEPS else n)
    sigmas = _sigmas(scheduler, name)
    if len(scheduler.timesteps) > n:
        raise ValueError(f"{name} makes {len(scheduler.timesteps)} calls when asked for {n}")

    def run(model: Denoiser, x: Tensor) -> Tensor:
        with quiet():
            # a scheduler remembers its run
            return _drive(copy.deepcopy(scheduler), sigmas, name in _VE_SCALED, frame, model, x)

    return Ready(sigmas[0], sigmas[-1], run)


def _sigmas(scheduler: Any, name: str) -> list[float]:
    """Host sigmas where it asks, and of its end."""
    if name in ("DDIMScheduler", "PNDMScheduler"):
        found = scheduler.alphas_cumprod[scheduler.timesteps].double()
        return [*((1 - found) / found).sqrt().tolist(), _last_of_ddim(scheduler)]
    asked: list[float] = scheduler.sigmas.double().tolist()
    return [*asked[: len(scheduler.timesteps)], asked[-1]]


def _last_of_ddim(scheduler: Any) -> float:
    """Where its last step ends: at x0, or at the first of its table."""
    alpha = float(scheduler.final_alpha_cumprod)
    return float(((1 - alpha) / alpha) ** 0.5)


def _drive(scheduler: Any, sigmas: list[float], ve_scaled: bool, frame: str, model: Denoiser, x: Tensor) -> Tensor:
    """The loop of diffusers' pipelines; x is in our frame and comes back in it."""
    vp = frame == "ve" and not ve_scaled
    state = (x / (1.0 + sigmas[0] ** 2) ** 0.5 if vp else x).float()
    asked = sigmas[:-1]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    for sigma, timestep in zip(asked, scheduler.timesteps, strict=True):
        seen = state.double() * ((1.0 + sigma**2) ** 0.5 if vp else 1.0)
        answer = (seen - model(seen, sigma)) / sigma  # eps of a noise model, the velocity of a flow model
        if ve_scaled:
            scheduler.scale_model_input(state, timestep)  # what its step asks for
        state = scheduler.step(answer.float(), timestep, state, return_dict=False)[0]
    end = (1.0 + sigmas[-1] ** 2) ** 0.5 if vp else 1.0
    return state.double() * end


# --- k-diffusion -----------------------------------------------------------------------------------------------------


@cache
def k_diffusion() -> ModuleType:
    """k_diffusion.sampling alone: what the package imports beside it is large and unused here."""
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("k-diffusion is not installed", name="k_diffusion")
    utils = {
        "append_dims": lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)],
        "append_zero": lambda x: torch.cat([x, x.new_zeros([1])]),
    }
    stand_ins: dict[str, dict[str, Any]] = {"k_diffusion.utils": utils, "torchdiffeq": {"odeint": None}}
    return alone("k_diffusion.sampling", Path(spec.submodule_search_locations[0]), stand_ins)


#: sampler, options, calls of a step before the last one to 0
_K_SAMPLERS: list[tuple[str, dict[str, Any], int]] = [
    ("sample_euler", {}, 1),
    ("sample_heun", {}, 2),
    ("sample_dpm_2", {}, 2),
    ("sample_lms", {"order": 2}, 1),
    ("sample_lms", {"order": 4}, 1),
    ("sample_dpmpp_2s_ancestral", {"eta": 0.0}, 2),
    ("sample_dpmpp_2m", {}, 1),
    ("sample_dpmpp_2m_sde", {"eta": 0.0, "solver_type": "midpoint"}, 1),
    ("sample_dpmpp_2m_sde", {"eta": 0.0, "solver_type": "heun"}, 1),
    ("sample_dpmpp_3m_sde", {"eta": 0.0}, 1),
]
#: those whose (x - D)/sigma is right on flow models too, as hosts use them there; the others assume x = x0 + sigma n
_ON_FLOW = ("sample_euler", "sample_heun", "sample_dpm_2", "sample_lms")


def _k_diffusion(frame: str, end: int | str) -> Iterator[Peer]:
    for (name, options, calls), (levels, row) in itertools.product(_K_SAMPLERS, fewstep.schedules().items()):
        if frame in row.frames and (frame == "ve" or name in _ON_FLOW):
            title = " ".join([name, *(f"{key}={value}" for key, value in options.items())])
            yield Peer("k-diffusion", title, levels, partial(_k_ready, name, options, calls, levels, frame, end))
    if end != 0 and frame == "ve":
        yield Peer("k-diffusion", "sample_dpm_fast", "its own", _dpm_fast)


def _k_ready(name: str, options: dict[str, Any], calls: int, levels: str, frame: str, end: int | str, n: int) -> Ready:
    # the step to 0 has one call
    steps = n if calls == 1 else (n + 1) // 2 if end == 0 else n // 2
    sigmas = fewstep.schedule(levels, steps, frame=frame, end=end)

    def run(model: Denoiser, x: Tensor) -> Tensor:
        function = getattr(k_diffusion(), name)
        found: Tensor = function(
            lambda x, sigma: model(x, float(sigma[0])), x, torch.tensor(sigmas, dtype=torch.float64), disable=True,
            **options,
        )  # fmt: skip
        return found

    return Ready(sigmas[0], sigmas[-1], run)


def _dpm_fast(n: int) -> Ready:
    first, last = (fewstep.schedule("karras", 2, frame="ve", end="sigma_min")[i] for i in (0, -1))

    def run(model: Denoiser, x: Tensor) -> Tensor:
        found: Tensor = k_diffusion().sample_dpm_fast(
            lambda x, sigma: model(x, float(sigma[0])), x, last, first, n, disable=True
        )
        return found

    return Ready(first, last, run)
