"""What others offer, run as they publish it: the samplers of `peer_samplers.py`, and diffusers' schedulers.

diffusers' are on their own levels. A scheduler that asks twice in a step takes as many steps as fit into the calls.
They compute in float32: errors below some 1e-6 are rounding.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from .peer import Denoiser, Peer, Ready, Tensor
from .peer_samplers import sampler_peers


def peers(frame: str, end: int | str) -> Iterator[Peer]:
    """All that go from the frame's highest level to `end` (0 or sigma_min)."""
    yield from sampler_peers(frame, end)
    for name, options, spread in _DIFFUSERS[frame]:
        for levels, more in spread.items():
            if end == 0 and options.get("algorithm_type") == "dpmsolver":
                continue  # which it has to sigma_min alone
            final = {"final_sigmas_type": "zero" if end == 0 else "sigma_min"}
            given = {**options, **more, **(final if "final_sigmas_type" in _parameters(name) else {})}
            words = (str(value) for value in options.values() if value is not True)
            title = " ".join([name.removesuffix("Scheduler"), *words])
            yield Peer("diffusers", title, levels, partial(scheduler_ready, name, given, frame))


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
_FLOW = {f"shift {shift:g}": {"flow_shift": shift} for shift in (0.5, 1.0, 1.5, 3.0)}
_MULTISTEP = [
    {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"},
    {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "heun"},
    {"algorithm_type": "dpmsolver++", "solver_order": 3},
    {"algorithm_type": "dpmsolver", "solver_order": 2, "solver_type": "midpoint"},
    {"algorithm_type": "dpmsolver", "solver_order": 2, "solver_type": "heun"},
    {"algorithm_type": "dpmsolver", "solver_order": 3},
]
_UNIPC = [{"solver_type": kind, "solver_order": order} for kind in ("bh1", "bh2") for order in (2, 3)]
_ORDERS = [{"solver_order": 2}, {"solver_order": 3}]
_SINGLESTEP = [{"algorithm_type": form, **order} for form in ("dpmsolver++", "dpmsolver") for order in _ORDERS]
_FLOWING: dict[str, Any] = {"use_flow_sigmas": True}
#: frame -> (scheduler, options that are named, levels that it offers)
_DIFFUSERS: dict[str, list[tuple[str, dict[str, Any], dict[str, dict[str, Any]]]]] = {
    "ve": [
        *(("DPMSolverMultistepScheduler", options, _LU) for options in _MULTISTEP),
        *(("DPMSolverSinglestepScheduler", options, _UNSPACED) for options in _SINGLESTEP),
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
        *(("DPMSolverSinglestepScheduler", options, _FLOW) for options in _SINGLESTEP),
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
    count, levels = len(scheduler.timesteps), scheduler.sigmas.double()
    asked = levels[:count].clone()
    if hasattr(scheduler, "sigmas_interpol"):  # of KDPM2, which asks there in the middle of a step
        asked[1::2] = scheduler.sigmas_interpol.double()[1:count:2]
    return [*asked.tolist(), float(levels[-1])]


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
