"""What solvers cost besides the model: traffic of latents, read-backs, memory and time per call; plans, imports.

    make bench-cost      (COMFYUI_PATH, WEBUI_PATH: the hosts' own samplers too; COMFYUI_PYTHON: start-up in ComfyUI)

Ours beside diffusers, k-diffusion and the hosts, in one process. Counted are the calls 6 to 16 of 20, between one call
of the model and the next, by `meter.py`. Timed are whole runs with a model that costs nothing, in rounds in which
everything has its turn, together with one pass over latents: what a method is compared with is as old as itself.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fewstep
import torch

from .cost_methods import CALLS, Method, Model, methods
from .hosts import comfy_start_up
from .meter import Meter
from .results import put

Tensor = torch.Tensor
ROOT = Path(__file__).resolve().parents[1]
#: an image of SD, of SDXL's size with 16 channels, four of them, and 81 frames of video
SHAPES = ((1, 4, 64, 64), (1, 16, 128, 128), (4, 16, 128, 128), (1, 16, 21, 60, 104))
COUNTED = (5, 15)
ROUNDS = 9
_SHORTEST = 0.02


# --- counted ---------------------------------------------------------------------------------------------------------


def counted(method: Method, shape: tuple[int, ...] = SHAPES[0]) -> dict[str, float]:
    """Per call in the middle of a run: passes, operations; per call of the whole run: read-backs; and its peak."""
    meter = Meter(torch.Size(shape).numel())
    noise = torch.randn(shape)  # made before the meter looks: the source's
    seen: list[tuple[float, int]] = []

    def model(x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        seen.append((meter.passes, meter.operations))
        with meter.paused():
            return torch.full_like(x, 0.25)

    with meter:
        with meter.paused():
            run = method.make(meter.place(noise, held=False))
            meter.reset_peak()
        run(model, lambda: meter.place(torch.empty(shape).fill_(14.0)))
    (passes, operations), (passes_after, operations_after) = (seen[i] for i in COUNTED)
    calls = COUNTED[1] - COUNTED[0]
    return {
        "passes": (passes_after - passes) / calls,
        "operations": (operations_after - operations) / calls,
        "read_backs": meter.read_backs / len(seen),
        "peak": meter.peak,
    }


# --- timed -----------------------------------------------------------------------------------------------------------


def seconds(work: Callable[[], object], least: float = _SHORTEST) -> float:
    """Of one `work`, the median of as many as fill `least` seconds; of this process, which others' work slows less."""
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


class Answers:
    """A model that costs nothing: latents made before, in turn, so that none is remembered twice."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._made = itertools.cycle([torch.randn(shape) for _ in range(6)])
        self.calls = 0

    def __call__(self, x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        self.calls += 1
        return next(self._made)


def timed(among: list[Method], shape: tuple[int, ...], rounds: int) -> dict[Method, list[tuple[float, float]]]:
    """{method: (seconds per call, seconds per pass of the same round) of each round}."""
    x, other, noise, out = (torch.randn(shape) for _ in range(4))
    found: dict[Method, list[tuple[float, float]]] = {method: [] for method in among}
    for _ in range(rounds):
        a_pass = seconds(lambda: [torch.add(x, other, alpha=0.5, out=out) for _ in range(20)]) / 60  # 2 reads, 1 write
        for method in among:
            found[method].append((_per_call(method, x, noise), a_pass))
    return found


def _per_call(method: Method, x: Tensor, noise: Tensor) -> float:
    answers, times = Answers(tuple(x.shape)), []
    while sum(times) < _SHORTEST or len(times) < 3:
        run = method.make(noise)
        begun, start = answers.calls, time.process_time()
        run(answers, lambda: x)
        times.append((time.process_time() - start) / (answers.calls - begun))
    return statistics.median(times)


def spread(values: list[float]) -> list[float]:
    """[median, lower quartile, upper quartile]."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [middle, low, high]


def per_call(shape: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """A row for each method: what was counted, time over the floor's with quartiles, or why it failed."""
    rows: list[dict[str, Any]] = []
    whole: list[Method] = []
    for method in methods():
        row: dict[str, Any] = {"library": method.library, "solver": method.solver, "shape": list(shape)}
        rows.append(row)
        try:
            row |= {"floor": method.floor, **counted(method, shape)}
            with torch.no_grad():
                _per_call(method, torch.randn(shape), torch.randn(shape))
            whole.append(method)
        except Exception as error:  # a peer may raise anything
            row["failed"] = f"{type(error).__name__}: {error}"[:200]
    with torch.no_grad():
        times = timed(whole, shape, rounds)
    base = next((times[each] for each in whole if (each.library, each.solver) == BASE), None)
    for row in rows:
        found = next((times[each] for each in whole if (each.library, each.solver) == (row["library"], row["solver"])), None)
        if found is None:
            continue
        row["microseconds"] = spread([1e6 * each for each, _ in found])
        row["time"] = spread([each / (row["floor"] * a_pass) for each, a_pass in found])
        if base is not None:
            row["of_base"] = spread([each / theirs for (each, _), (theirs, _) in zip(found, base, strict=True)])
    return rows


#: what times are compared with beside the floor
BASE = ("ComfyUI", "sample_dpmpp_2m")


# --- before the first call -------------------------------------------------------------------------------------------


def plans() -> Iterator[dict[str, Any]]:
    """Milliseconds to build a plan of every solver of fixed steps in each frame; diffusers' set_timesteps beside it."""
    for n in (10, 50):
        for id, row in fewstep.solvers().items():
            for frame in row.frames if not row.adaptive else ():
                sigmas = fewstep.schedule("sgm_uniform" if frame == "flow" else "karras", n, frame=frame)

                def build(id: str = id, sigmas: Any = sigmas, frame: str = frame) -> object:
                    return fewstep.plan(id, sigmas, frame)

                build()
                yield {"library": "fewstep", "solver": id, "frame": frame, "calls": n, "ms": 1e3 * seconds(build, 0.005)}


def imports() -> list[dict[str, Any]]:
    """Milliseconds of a fresh interpreter, after torch is imported; medians of 7 with quartiles."""
    fewstep_itself = (
        "spec = importlib.util.spec_from_file_location('fewstep', {path!r}, submodule_search_locations=[{root!r}]);"
        "module = sys.modules['fewstep'] = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)"
    ).format(path=str(ROOT / "__init__.py"), root=str(ROOT))
    rows = []
    for title, before, statement in (
        ("torch", "", "import torch"),
        ("fewstep", "", fewstep_itself),
        ("fewstep, its table of solvers", "import torch", f"{fewstep_itself}; module.solvers()"),
        ("fewstep, a first plan of 20 calls", "import torch", f"{fewstep_itself}; module.plan('dpmpp_2m', module.schedule('karras', 20))"),
        ("diffusers, one scheduler", "import torch", "from diffusers import DPMSolverMultistepScheduler"),
    ):
        code = (
            f"import importlib.util, sys, time; {before or 'pass'}; start = time.process_time(); {statement};"
            "print(time.process_time() - start)"
        )
        row: dict[str, Any] = {"what": title, "after torch": bool(before)}
        try:
            runs = [
                float(subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True).stdout)
                for _ in range(7)
            ]
            row["ms"] = spread([1e3 * each for each in runs])
        except subprocess.CalledProcessError as error:
            row["failed"] = error.stderr.strip().splitlines()[-1][:200]
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=["calls", "plans", "imports"], default=["calls", "plans", "imports"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if "calls" in args.parts:
        for shape in SHAPES:
            rows = per_call(shape, args.rounds)
            put("cost", f"calls {list(shape)}", rows)
            for row in rows:
                print(row, flush=True)
    if "plans" in args.parts:
        put("cost", "plans", list(plans()))
    if "imports" in args.parts:
        put("cost", "imports", [*imports(), *comfy_start_up()])


if __name__ == "__main__":
    main()
