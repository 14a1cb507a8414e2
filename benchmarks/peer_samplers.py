"""The samplers of k-diffusion, and of ComfyUI and Forge, which began as its copies, on our schedules.

They take x = x0 + sigma noise, or the state of a flow model, and a list of sigmas. A sampler that asks more than once
in a step takes as many steps as fit into the calls.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import fewstep
import torch

from .alone import alone
from .hosts import as_model, comfy, given_hosts
from .levels import schedules
from .peer import Denoiser, Peer, Ready, Tensor


@cache
def k_diffusion() -> ModuleType:
    """k_diffusion.sampling alone: what the package imports beside it is large and unused here."""
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("k-diffusion is not installed", name="k_diffusion")
    stand_ins: dict[str, dict[str, Any]] = {
        "k_diffusion.utils": {
            "append_dims": lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)],
            "append_zero": lambda x: torch.cat([x, x.new_zeros([1])]),
        },
        "torchdiffeq": {"odeint": None},
    }
    return alone("k_diffusion.sampling", Path(spec.submodule_search_locations[0]), stand_ins)


#: calls -> steps, to 0 and to sigma_min: the step to 0 has one call
Steps = tuple[Callable[[int], int], Callable[[int], int]]
ONE: Steps = (lambda n: n, lambda n: n)
TWO: Steps = (lambda n: (n + 1) // 2, lambda n: n // 2)
THREE: Steps = (lambda n: (n + 2) // 3, lambda n: n // 3)
#: three, but two in the last step but one and one in the last
_HEUNPP: Steps = (lambda n: (n + 3) // 3, lambda n: (n + 3) // 3)

_Samplers = list[tuple[str, dict[str, Any], Steps]]
#: that make the same of a flow model's state; the others assume x = x0 + sigma noise
_EITHER: _Samplers = [
    ("sample_euler", {}, ONE),
    ("sample_heun", {}, TWO),
    ("sample_dpm_2", {}, TWO),
    ("sample_lms", {"order": 2}, ONE),
    ("sample_lms", {"order": 4}, ONE),
]
_K_DIFFUSION: _Samplers = [
    ("sample_dpmpp_2s_ancestral", {"eta": 0.0}, TWO),
    ("sample_dpmpp_2m", {}, ONE),
    ("sample_dpmpp_2m_sde", {"eta": 0.0, "solver_type": "midpoint"}, ONE),
    ("sample_dpmpp_2m_sde", {"eta": 0.0, "solver_type": "heun"}, ONE),
    ("sample_dpmpp_3m_sde", {"eta": 0.0}, ONE),
]
_HOSTS: _Samplers = [
    *_K_DIFFUSION,
    ("sample_heunpp2", {}, _HEUNPP),
    ("sample_ipndm", {}, ONE),
    ("sample_ipndm_v", {}, ONE),
    ("sample_deis", {}, ONE),
]


def no_noise(sigma: float) -> float:
    """tau of SA-Solver without noise, an Adams predictor and corrector."""
    return 0.0


#: of ComfyUI alone; seeds_2, seeds_3 and sa_solver are stochastic but for these options, and res_multistep draws noise
#: that it gives no weight
_COMFY: _Samplers = [
    ("sample_res_multistep", {"s_noise": 0.0}, ONE),
    ("sample_gradient_estimation", {}, ONE),
    ("sample_exp_heun_2_x0", {}, TWO),
    ("sample_seeds_2", {"eta": 0.0, "s_noise": 0.0}, TWO),
    ("sample_seeds_3", {"eta": 0.0, "s_noise": 0.0}, THREE),
    ("sample_sa_solver", {"tau_func": no_noise}, ONE),
]
_COMFY_UNIPC: _Samplers = [("sample_unipc", {}, ONE), ("sample_unipc_bh2", {}, ONE)]


def sampler_peers(frame: str, end: int | str) -> Iterator[Peer]:
    """Of k-diffusion; of the hosts whose checkouts are named, in both frames: their menus offer all on flow models."""
    on_flow = frame == "flow"
    yield from _peers("k-diffusion", k_diffusion, [*_EITHER, *([] if on_flow else _K_DIFFUSION)], frame, end)
    if end != 0 and not on_flow:
        yield Peer("k-diffusion", "sample_dpm_fast", "its own", _dpm_fast)
    for library, module in given_hosts().items():
        own = _COMFY if module is comfy else []
        yield from _peers(library, module, [*_EITHER, *_HOSTS, *own], frame, end)
        if module is comfy:
            # its own numbers are float32 and do not go with others; where it is to go to 0 it ends at 0.001
            yield from _peers(library, _comfy_unipc, _COMFY_UNIPC, frame, end, torch.float32)


def _comfy_unipc() -> ModuleType:
    return comfy("comfy.extra_samplers.uni_pc")


def _peers(
    library: str, module: Callable[[], ModuleType], samplers: _Samplers, frame: str, end: int | str,
    dtype: torch.dtype = torch.float64,
) -> Iterator[Peer]:  # fmt: skip
    for name, options, steps in samplers:
        for levels, of_levels in schedules(frame):
            make = partial(_ready, module, name, options, steps, levels, of_levels, frame, end, dtype)
            yield Peer(library, _title(name, options), _title(levels, of_levels), make)


def _title(name: str, options: Mapping[str, Any]) -> str:
    return " ".join([name, *(f"{key}={getattr(value, '__name__', value)}" for key, value in options.items())])


def _ready(
    module: Callable[[], ModuleType], name: str, options: dict[str, Any], steps: Steps, levels: str,
    of_levels: dict[str, Any], frame: str, end: int | str, dtype: torch.dtype, n: int,
) -> Ready:  # fmt: skip
    function = getattr(module(), name)
    sigmas = fewstep.schedule(levels, steps[end != 0](n), frame=frame, end=end, **of_levels)

    def run(model: Denoiser, x: Tensor) -> Tensor:
        def asked(x: Tensor, sigma: Tensor) -> Tensor:
            return model(x.double(), float(sigma.flatten()[0])).to(dtype)

        given = torch.tensor(sigmas, dtype=dtype)
        host_model = as_model(asked, flow=frame == "flow")
        found: Tensor = function(host_model, x.to(dtype), given, extra_args={}, disable=True, **options)
        return found.double()

    return Ready(sigmas[0], sigmas[-1], run)


def _dpm_fast(n: int) -> Ready:
    first, last = (fewstep.schedule("karras", 2, frame="ve", end="sigma_min")[i] for i in (0, -1))

    def run(model: Denoiser, x: Tensor) -> Tensor:
        found: Tensor = k_diffusion().sample_dpm_fast(
            lambda x, sigma: model(x, float(sigma[0])), x, last, first, n, disable=True
        )
        return found

    return Ready(first, last, run)
