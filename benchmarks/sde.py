"""How far the law of what stochastic solvers draw is from the data's, over model calls; ours beside the peers.

    make bench-sde

On Gaussian data every sampler is a linear map of its start and its noises, whose mean and variance are had by putting
unit vectors in their place: nothing is drawn. On two mixtures it is a distance of drawn samples, with the distance that
as many true samples have.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any

import fewstep
import torch

from ..samplers.level import Level
from .hosts import as_model, comfy, given_hosts
from .peer import Denoiser, at_most
from .peer_samplers import ONE, THREE, TWO, Steps, k_diffusion
from .peers import scheduler_ready
from .problems import PROBLEMS, Mixture
from .results import put

Tensor = torch.Tensor
CALLS = (6, 8, 12, 24, 48)
#: class -> (frame, end, levels)
CLASSES: dict[str, tuple[str, int | str, str]] = {
    "VP to 0": ("ve", 0, "karras"),
    "VP to sigma_min": ("ve", "sigma_min", "karras"),
    "flow 1 to 0": ("flow", 0, "sgm_uniform"),
}
#: of the Gaussian data, for each number
MEAN, WIDTH = 0.4, 0.5
MIXTURES = (PROBLEMS[0], PROBLEMS[3])
SETS, SAMPLES, DIRECTIONS = 4, 4096, 32

#: noise(a, b, like) between two host levels
Noise = Callable[[float, float, Tensor], Tensor]


@dataclass(frozen=True)
class Ready:
    """A sampler made for a number of calls: its first and last host sigma, and run(model, x, noise) -> x."""

    first: float
    last: float
    run: Callable[[Denoiser, Tensor, Noise], Tensor]


@dataclass(frozen=True)
class Method:
    library: str
    solver: str
    eta: float
    levels: str
    make: Callable[[int], Ready]


# --- what is compared ------------------------------------------------------------------------------------------------

_OURS = (
    "ddim", "dpmpp_2s_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpm_solver_1_sde", "dpm_solver_2m_sde", "deis_tab_sde",
    "sa_solver",
)  # fmt: skip
_ETAS = (1.0, 0.5)
#: sampler -> (steps of n calls, its options with an eta, the etas)
_Samplers = dict[str, tuple[Steps, Callable[[float], dict[str, Any]], tuple[float, ...]]]
_K_DIFFUSION: _Samplers = {
    "sample_euler_ancestral": (ONE, lambda eta: {"eta": eta}, _ETAS),
    "sample_dpmpp_2m_sde": (ONE, lambda eta: {"eta": eta}, _ETAS),
    "sample_dpmpp_3m_sde": (ONE, lambda eta: {"eta": eta}, _ETAS),
    "sample_dpmpp_sde": (TWO, lambda eta: {"eta": eta}, _ETAS),
}
#: of ComfyUI alone; those without an eta have a noise of their own, which is named 1 here
_COMFY: _Samplers = {
    "sample_res_multistep_ancestral": (ONE, lambda eta: {"eta": eta}, _ETAS),
    "sample_exp_heun_2_x0_sde": (TWO, lambda eta: {"eta": eta}, _ETAS),
    "sample_seeds_2": (TWO, lambda eta: {"eta": eta}, _ETAS),
    "sample_seeds_3": (THREE, lambda eta: {"eta": eta}, _ETAS),
    "sample_sa_solver": (ONE, lambda eta: {"tau_func": lambda sigma: eta}, _ETAS),
    "sample_er_sde": (ONE, lambda eta: {}, (1.0,)),
    "sample_ddpm": (ONE, lambda eta: {}, (1.0,)),
}
_FINAL = {0: {"final_sigmas_type": "zero"}, "sigma_min": {"final_sigmas_type": "sigma_min"}}


def methods(frame: str, end: int | str, levels: str) -> Iterator[Method]:
    for id, eta in itertools.product(_OURS, _ETAS):
        yield Method("fewstep", id, eta, levels, partial(_ours, id, eta, frame, end, levels))
    libraries: dict[str, tuple[Callable[[], ModuleType], _Samplers]] = {}
    if frame == "ve":  # its samplers assume x = x0 + sigma noise
        libraries["k-diffusion"] = (k_diffusion, _K_DIFFUSION)
    for library, module in given_hosts().items():
        libraries[library] = (module, {**_K_DIFFUSION, **(_COMFY if module is comfy else {})})
    for library, (module, samplers) in libraries.items():
        for name, (steps, with_eta, etas) in samplers.items():
            for eta in etas:
                make = partial(_sampler, module, name, with_eta(eta), steps, frame, end, levels)
                yield Method(library, name, eta, levels, make)
    karras = {"use_karras_sigmas": True} if frame == "ve" else {"flow_shift": 1.0}
    title = "karras" if frame == "ve" else "shift 1"
    for order in (1, 2, 3) if frame == "ve" else (1, 2):
        options: dict[str, Any] = {"algorithm_type": "sde-dpmsolver++", "solver_order": order, **_FINAL[end], **karras}
        name = "DPMSolverMultistepScheduler"
        yield Method(
            "diffusers", f"DPMSolverMultistep sde {order}", 1.0, title, partial(_scheduler, name, options, frame)
        )
    if frame == "flow" or end != 0:  # it has no step to 0
        options = {"tau_func": _always, **karras}
        yield Method("diffusers", "SASolver", 1.0, title, partial(_scheduler, "SASolverScheduler", options, frame))
    if frame == "ve" and end == 0:
        name = "EulerAncestralDiscreteScheduler"
        more = {"timestep_spacing": "linspace"}
        yield Method("diffusers", "EulerAncestral", 1.0, "linspace", partial(_scheduler, name, more, frame))


def _always(timestep: object) -> float:
    return 1.0  # SASolver's own rule has noise in the middle alone


def _ours(id: str, eta: float, frame: str, end: int | str, levels: str, n: int) -> Ready:
    sigmas = fewstep.schedule(levels, n, frame=frame, end=end)
    plan = fewstep.plan(id, sigmas, frame, eta=eta)

    def run(model: Denoiser, x: Tensor, noise: Noise) -> Tensor:
        def source(start: Level, end: Level, like: Tensor) -> Tensor:
            return noise(start.host, end.host, like)

        return fewstep.run(plan, lambda x, sigma: model(x, float(sigma[0])), x, noise=source)

    return Ready(sigmas[0], sigmas[-1], run)


def _sampler(
    module: Callable[[], ModuleType], name: str, options: dict[str, Any], steps: Steps, frame: str, end: int | str,
    levels: str, n: int,
) -> Ready:  # fmt: skip
    function = getattr(module(), name)
    sigmas = fewstep.schedule(levels, steps[end != 0](n), frame=frame, end=end)

    def run(model: Denoiser, x: Tensor, noise: Noise) -> Tensor:
        host_model = as_model(lambda x, sigma: model(x, float(sigma.flatten()[0])), flow=frame == "flow")
        found: Tensor = function(
            host_model, x, torch.tensor(sigmas, dtype=torch.float64), extra_args={}, disable=True,
            noise_sampler=lambda a, b: noise(float(a), float(b), x), **options,
        )  # fmt: skip
        return found

    return Ready(sigmas[0], sigmas[-1], run)


def _scheduler(name: str, options: dict[str, Any], frame: str, n: int) -> Ready:
    ready = scheduler_ready(name, options, frame, n)

    def run(model: Denoiser, x: Tensor, noise: Noise) -> Tensor:
        asked: list[float] = []

        def noted(x: Tensor, sigma: float) -> Tensor:
            asked.append(sigma)
            return model(x, sigma)

        # it draws once a step, after the call; the next level is not told, and each draw is its own
        with _drawn_by(name, lambda like: noise(asked[-1], -float(len(asked)), like)):
            return ready.run(noted, x)

    return Ready(ready.first, ready.last, run)


@contextmanager
def _drawn_by(name: str, draw: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """diffusers' schedulers of the module of `name` take their noise from draw(like)."""
    diffusers = importlib.import_module("diffusers")
    module: Any = importlib.import_module(getattr(diffusers, name).__module__)
    before = module.randn_tensor

    def drawn(shape: Sequence[int], dtype: torch.dtype | None = None, **_: object) -> Tensor:
        return draw(torch.empty(tuple(shape), dtype=torch.float64)).to(dtype or torch.float32)

    module.randn_tensor = drawn
    try:
        yield
    finally:
        module.randn_tensor = before


# --- Gaussian data: exact --------------------------------------------------------------------------------------------


class UnitNoise:
    """Unit vectors in the place of noises. Noises between levels that overlap have parts in common, as on a path.

    The first run notes between which levels noise is asked for; the second is given vectors, whose squared parts are
    the shares of a noise's interval. Negative ends mark noises of their own (diffusers tells no levels).
    """

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []
        self.cells: dict[tuple[float, float], int] = {}

    def note(self, a: float, b: float, like: Tensor) -> Tensor:
        self.asked.append((min(a, b), max(a, b)))
        return torch.zeros_like(like)

    def settle(self) -> int:
        """Divides what was asked for into intervals without overlap; their number."""
        ends = sorted({end for each in self.asked if each[0] >= 0.0 for end in each})
        cells = [*itertools.pairwise(ends), *dict.fromkeys(each for each in self.asked if each[0] < 0.0)]
        self.cells = {cell: i for i, cell in enumerate(cells)}
        return len(cells)

    def __call__(self, a: float, b: float, like: Tensor) -> Tensor:
        low, high = min(a, b), max(a, b)
        out = torch.zeros_like(like)
        if low < 0.0:
            out[0, 2 + self.cells[low, high]] = 1.0
            return out
        for (start, end), i in self.cells.items():
            if start >= low and end <= high:
                out[0, 2 + i] = math.sqrt((end - start) / (high - low))
        return out


def law(ready: Ready, frame: str) -> tuple[float, float]:
    """(error of the mean in standard deviations, relative error of the variance) of each number at the end.

    A number is a vector of coefficients: on the start's normal variate, on 1, and on each noise.
    """
    where = fewstep.frame(frame)

    def gaussian(x: Tensor, sigma: float) -> Tensor:
        level = where.level(sigma)
        gain = level.alpha * WIDTH**2 / (level.alpha**2 * WIDTH**2 + level.sigma**2)
        out = gain * x
        out[0, 1] += (1.0 - gain * level.alpha) * MEAN
        return out

    def std(level: Level) -> float:
        return math.hypot(level.alpha * WIDTH, level.sigma)

    first, last = where.level(ready.first), where.level(ready.last)
    noise = UnitNoise()
    start = torch.zeros(1, 2, dtype=torch.float64)
    start[0, 0], start[0, 1] = std(first), first.alpha * MEAN
    ready.run(gaussian, start, noise.note)
    x = torch.cat([start, torch.zeros(1, noise.settle(), dtype=torch.float64)], dim=1)
    found = ready.run(gaussian, x, noise)[0]
    variance = float(found.square().sum() - found[1] ** 2)
    return (float(found[1]) - last.alpha * MEAN) / std(last), variance / std(last) ** 2 - 1.0


# --- mixtures: drawn -------------------------------------------------------------------------------------------------


@cache
def directions_of(dim: int) -> Tensor:
    drawn = torch.randn(DIRECTIONS, dim, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1)


def sliced(x: Tensor, problem: Mixture, level: Level) -> float:
    """Mean over directions of the Wasserstein-1 distance of projected samples [B, dim] to the law at a level.

    A projected mixture of isotropic Gaussians is one in one dimension, so its distribution function is known.
    """
    means, widths, weights = problem.parts
    directions = directions_of(problem.dim)
    grid = torch.linspace(-6.0, 6.0, 2401, dtype=torch.float64)
    deviations = torch.hypot(level.alpha * widths, torch.tensor(level.sigma, dtype=torch.float64))
    total = 0.0
    for projected, centres in zip(directions @ x.double().T, directions @ (level.alpha * means).T, strict=True):
        exact = (torch.special.ndtr((grid[:, None] - centres) / deviations) * weights).sum(1)
        drawn = torch.searchsorted(projected.sort().values, grid, right=True) / len(x)
        total += float(torch.trapezoid((drawn - exact).abs(), grid))
    return total / len(directions)


def drawn(ready: Ready, frame: str, problem: Mixture) -> list[float]:
    """The distance of each of SETS sets of SAMPLES samples."""
    where = fewstep.frame(frame)

    def model(x: Tensor, sigma: float) -> Tensor:
        level = where.level(sigma)
        return problem.denoise(x, level.alpha, level.sigma)

    found = []
    for seed in range(SETS):
        x, noise = problem.start(frame, ready.first, SAMPLES, seed), _path(seed)
        found.append(sliced(ready.run(model, x, noise), problem, where.level(ready.last)))
    return found


def _path(seed: int) -> Noise:
    """Normal noise; of two levels that overlap with the step before (a stage and its step) it has the common part."""
    generator = torch.Generator().manual_seed(90_000 + seed)
    last: list[tuple[float, float, Tensor]] = []

    def noise(a: float, b: float, like: Tensor) -> Tensor:
        fresh = torch.randn(like.shape, generator=generator, dtype=torch.float64)
        if last and last[0][0] == a and 0.0 <= b < last[0][1]:
            share = (a - last[0][1]) / (a - b)
            fresh = math.sqrt(share) * last[0][2] + math.sqrt(1.0 - share) * fresh
        last[:] = [(a, b, fresh)]
        return fresh.to(like.dtype)

    return noise


def floor(frame: str, host: float, problem: Mixture) -> list[float]:
    """The same of true samples."""
    level = fewstep.frame(frame).level(host)
    return [sliced(problem.start(frame, host, SAMPLES, 100 + seed), problem, level) for seed in range(SETS)]


# --- results ---------------------------------------------------------------------------------------------------------


def _rows(name: str, measure: Callable[[Ready], dict[str, float]]) -> list[dict[str, Any]]:
    frame, end, levels = CLASSES[name]
    sigmas = fewstep.schedule(levels, 2, frame=frame, end=end)
    rows = []
    for method, n in itertools.product(methods(frame, end, levels), CALLS):
        row = {
            "library": method.library,
            "solver": method.solver,
            "eta": method.eta,
            "levels": method.levels,
            "calls": n,
        }
        try:
            found = measure(_checked(method.make(n), sigmas[0], sigmas[-1], n))
            if not all(map(math.isfinite, found.values())):
                raise FloatingPointError("ends in NaN or inf")
            rows.append({**row, **found})
        except Exception as error:  # a peer may raise anything
            rows.append({**row, "failed": f"{type(error).__name__}: {error}"[:200]})
    return rows


def _checked(ready: Ready, first: float, last: float, n: int) -> Ready:
    """It, asking the model at most n times; ValueError where it goes elsewhere."""
    if ready.first < 0.99 * first or abs(ready.last - last) > 0.01 * last:
        raise ValueError(f"goes from sigma {ready.first:g} to {ready.last:g}, the class from {first:g} to {last:g}")
    return Ready(ready.first, ready.last, lambda model, x, noise: ready.run(at_most(n, model), x, noise))


def gaussian_rows(name: str) -> list[dict[str, Any]]:
    frame = CLASSES[name][0]
    return _rows(name, lambda ready: dict(zip(("mean", "variance"), law(ready, frame), strict=True)))


def mixture_rows(name: str, problem: Mixture) -> list[dict[str, Any]]:
    """Distances; first a row of true samples."""
    frame, end, levels = CLASSES[name]

    def summed(values: list[float]) -> dict[str, float]:
        return {"distance": statistics.mean(values), "error": statistics.stdev(values) / math.sqrt(len(values))}

    last = fewstep.schedule(levels, 2, frame=frame, end=end)[-1]
    true = {"library": "", "solver": "true samples", **summed(floor(frame, last, problem))}
    return [true, *_rows(name, lambda ready: summed(drawn(ready, frame, problem)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=("gaussian", "mixtures"), default=("gaussian", "mixtures"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in CLASSES:
        if "gaussian" in args.parts:
            put("sde", f"Gaussian, {name}", gaussian_rows(name))
    for name, problem in itertools.product(("VP to 0", "flow 1 to 0"), MIXTURES):
        if "mixtures" in args.parts:
            put("sde", f"mixture {problem.seed}, {name}", mixture_rows(name, problem))
            print(f"mixture {problem.seed}, {name}", flush=True)


if __name__ == "__main__":
    main()
