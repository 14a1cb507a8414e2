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
from functools import partial
from pathlib import Path
from typing import Any

import fewstep
import torch

from .cost_methods import Method, methods
from .hosts import comfy_start_up
from .meter import Meter
from .results import put

Tensor = torch.Tensor
ROOT = Path(__file__).resolve().parents[1]
#: an image of SD, of SDXL's size with 16 channels, four of them, and 81 frames of video
SHAPES = ((1, 4, 64, 64), (1, 16, 128, 128), (4, 16, 128, 128), (1, 16, 21, 60, 104))
COUNTED = (5, 15)
ROUNDS = 5
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
    answers = Answers(tuple(x.shape))
    times: list[float] = []
    while sum(times) < _SHORTEST:
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
    rows: dict[Method, dict[str, Any]] = {}
    failed: list[dict[str, Any]] = []
    with torch.no_grad():
        for method in methods():
            row: dict[str, Any] = {"library": method.library, "solver": method.solver, "shape": list(shape)}
            try:
                row |= {"floor": method.floor, **counted(method, shape)}
                _per_call(method, torch.randn(shape), torch.randn(shape))
                rows[method] = row
            except Exception as error:  # a peer may raise anything
                failed.append({**row, "failed": f"{type(error).__name__}: {error}"[:200]})
        times = timed(list(rows), shape, rounds)
    base = next((times[each] for each in times if (each.library, each.solver) == BASE), None)
    for method, row in rows.items():
        row["microseconds"] = spread([1e6 * each for each, _ in times[method]])
        row["time"] = spread([each / (method.floor * a_pass) for each, a_pass in times[method]])
        if base is not None:
            row["of_base"] = spread([a / b for (a, _), (b, _) in zip(times[method], base, strict=True)])
    return [*rows.values(), *failed]


#: what times are compared with beside the floor
BASE = ("ComfyUI", "sample_dpmpp_2m")


# --- before the first call -------------------------------------------------------------------------------------------


def plans() -> Iterator[dict[str, Any]]:
    """Milliseconds to build a plan of every solver of fixed steps in each frame, a model's statistics not needed."""
    for n, (id, row) in itertools.product((10, 50), fewstep.solvers().items()):
        measured = any(option.name == "statistics" for option in row.options)
        for frame in row.frames if not (row.adaptive or measured) else ():
            sigmas = fewstep.schedule("sgm_uniform" if frame == "flow" else "karras", n, frame=frame)
            build = partial(fewstep.plan, id, sigmas, frame)
            try:
                build()
            except ValueError as error:  # a row that has no steps of its own
                yield {"solver": id, "frame": frame, "calls": n, "failed": str(error)[:200]}
            else:
                yield {"solver": id, "frame": frame, "calls": n, "ms": 1e3 * seconds(build, 0.005)}


_ITSELF = f"""
spec = importlib.util.spec_from_file_location(
    "fewstep", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}])
fewstep = sys.modules["fewstep"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fewstep)
"""
#: what is imported, first -> then, which is timed
_IMPORTS = {
    "`import torch`": ("", "import torch"),
    "`import fewstep`": ("", _ITSELF),
    "its first plan, `dpmpp_2m` on 20 calls": (
        f"import torch\n{_ITSELF}", "fewstep.plan('dpmpp_2m', fewstep.schedule('karras', 20))"
    ),
    "diffusers' `DPMSolverMultistepScheduler`": ("import torch", "from diffusers import DPMSolverMultistepScheduler"),
}  # fmt: skip


def imports(repeats: int = 7) -> Iterator[dict[str, Any]]:
    """Milliseconds in fresh interpreters, their own start left out; and in ComfyUI, where it is given."""
    for title, (before, statement) in _IMPORTS.items():
        code = "\n".join(
            ["import importlib.util, sys, time", before, "start = time.process_time()", statement,
             "print(time.process_time() - start)"]
        )  # fmt: skip
        command = [sys.executable, "-W", "ignore", "-c", code]
        runs = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(repeats)]
        wrong = [run.stderr for run in runs if run.returncode]
        if wrong:
            yield {"what": title, "failed": wrong[0].strip().splitlines()[-1][:200]}
        else:
            yield {"what": title, "ms": spread([1e3 * float(run.stdout.splitlines()[-1]) for run in runs])}
    title = "loading the pack in ComfyUI"
    try:
        yield {"what": title, "ms": spread([1e3 * each for each in comfy_start_up()])}
    except (LookupError, RuntimeError) as error:
        yield {"what": title, "failed": str(error)[:200]}


PARTS = ("calls", "plans", "imports")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if "calls" in args.parts:
        for shape in SHAPES:
            rows = per_call(shape, args.rounds)
            put("cost", f"calls {list(shape)}", rows)
            for row in rows:
                print(row["library"], row["solver"], list(shape), row.get("time", row.get("failed")), flush=True)
    if "plans" in args.parts:
        put("cost", "plans", list(plans()))
    if "imports" in args.parts:
        put("cost", "imports", list(imports()))


if __name__ == "__main__":
    main()
