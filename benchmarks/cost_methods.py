"""The solvers whose cost is compared: ours, diffusers', k-diffusion's, ComfyUI's and Forge's, each run as published."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import fewstep
import torch

from ..samplers.level import Level
from .hosts import HOSTS, as_model, comfy
from .peer_samplers import k_diffusion
from .peers import BETAS, quiet

Tensor = torch.Tensor
#: answers x0, or noise where diffusers asks
Model = Callable[..., Tensor]
#: run(model, start) -> x; a function hands over the state, so that nobody else holds it
Run = Callable[[Model, Callable[[], Tensor]], Tensor]
CALLS = 20


@dataclass(frozen=True)
class Method:
    """library and solver as they are called there.

    predictions  that its formula combines in a call, the newest included, on the average where a step has two calls
    make         make(noise) -> run(model, start): ready for CALLS calls on the device of `noise`, which is what a
                 stochastic solver is given for noise: what drawing it costs is the source's
    """

    library: str
    solver: str
    predictions: float
    make: Callable[[Tensor], Run]
    stochastic: bool = False

    @property
    def floor(self) -> float:
        """Passes of a call that reads the predictions, the state and the noise once, and writes the state once."""
        return self.predictions + 2.0 + self.stochastic


def methods() -> Iterator[Method]:
    for id, predictions in _OURS.items():
        stochastic = fewstep.solvers()[id].stochastic and id != "ddim"
        yield Method("fewstep", id, predictions, partial(_ours, id), stochastic)
    for title, (name, options, predictions) in _DIFFUSERS.items():
        yield Method("diffusers", title, predictions, partial(_diffusers, name, options), "sde" in title)
    for name, predictions in _K_DIFFUSION.items():
        yield Method("k-diffusion", name, predictions, partial(_sampler, k_diffusion, name), "sde" in name)
    for library, host in HOSTS.items():
        for name, predictions in {**_K_DIFFUSION, **_HOSTS}.items():
            yield Method(library, name, predictions, partial(_sampler, host, name), "sde" in name)
        if host is comfy:  # a module of its own
            yield Method(library, "sample_unipc", 4, _comfy_unipc)


# --- ours ------------------------------------------------------------------------------------------------------------

#: id -> predictions of an update in the middle of a run
_OURS: dict[str, float] = {
    "ddim": 1, "dpmpp_2m": 2, "dpmpp_3m": 3, "dpm_solver_3m": 3, "unipc_3": 4, "deis_tab2": 3, "flow_ab3": 3,
    "dpmpp_2m_sde": 2,
}  # fmt: skip


def _ours(id: str, noise: Tensor) -> Run:
    frame = fewstep.solvers()[id].frames[0]
    plan = fewstep.plan(id, fewstep.schedule("karras" if frame == "ve" else "sgm_uniform", CALLS, frame=frame), frame)

    def source(start: Level, end: Level, like: Tensor) -> Tensor:
        return noise

    return lambda model, start: fewstep.run(plan, model, start(), noise=source)


# --- diffusers -------------------------------------------------------------------------------------------------------

_KARRAS = {"use_karras_sigmas": True}
_DIFFUSERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "DPMSolverMultistep 2": ("DPMSolverMultistepScheduler", {"solver_order": 2, **_KARRAS}, 2),
    "DPMSolverMultistep 3": ("DPMSolverMultistepScheduler", {"solver_order": 3, **_KARRAS}, 3),
    "DPMSolverMultistep sde 2": (
        "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, **_KARRAS}, 2
    ),
    "UniPCMultistep 3": ("UniPCMultistepScheduler", {"solver_order": 3, **_KARRAS}, 4),
    "DEISMultistep 3": ("DEISMultistepScheduler", {"solver_order": 3, **_KARRAS}, 3),
    "EulerDiscrete": ("EulerDiscreteScheduler", _KARRAS, 1),
}  # fmt: skip


def _diffusers(name: str, options: dict[str, Any], noise: Tensor) -> Run:
    diffusers = importlib.import_module("diffusers")
    with quiet():
        scheduler = getattr(diffusers, name)(**BETAS, **options)
        scheduler.set_timesteps(CALLS, device=noise.device)
    scheduler.set_begin_index(0)
    more = {"variance_noise": noise} if "sde" in str(options.get("algorithm_type")) else {}

    def run(model: Model, start: Callable[[], Tensor]) -> Tensor:
        state = start()
        for timestep in scheduler.timesteps:
            answer = model(scheduler.scale_model_input(state, timestep), timestep)
            state = scheduler.step(answer, timestep, state, return_dict=False, **more)[0]
        return state

    return run


# --- k-diffusion and the hosts that have its samplers ----------------------------------------------------------------

_K_DIFFUSION: dict[str, float] = {
    "sample_euler": 1, "sample_heun": 1.5, "sample_lms": 4, "sample_dpmpp_2m": 2, "sample_dpmpp_2m_sde": 2,
}  # fmt: skip
_HOSTS: dict[str, float] = {"sample_deis": 3, "sample_ipndm": 4}


def _sampler(module: Callable[[], ModuleType], name: str, noise: Tensor) -> Run:
    return _run(getattr(module(), name), {"noise_sampler": lambda *_: noise} if "sde" in name else {}, noise)


def _comfy_unipc(noise: Tensor) -> Run:
    return _run(comfy("comfy.extra_samplers.uni_pc").sample_unipc, {"extra_args": {}}, noise)


def _run(function: Callable[..., Tensor], options: dict[str, Any], noise: Tensor) -> Run:
    # float32 on the device of the state, as hosts give them
    sigmas = torch.tensor(fewstep.schedule("karras", CALLS, frame="ve"), dtype=torch.float32).to(noise.device)
    return lambda model, start: function(as_model(model), start(), sigmas, disable=True, **options)
