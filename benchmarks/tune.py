"""Evidence for tuning: error of tuned plans beside the best untuned ones, on noise that tuning has not seen.

    python -m fewstep.benchmarks.tune [--networks] [--calls 5,8]     (about 10 minutes on one core)

Exact problems: eight mixtures and smoothed digits, tuned on 256 samples, measured on 96 others against the exact solution.
The rival is the best, by the same measure on the same 96, of every deterministic solver of the table on every schedule
of its frame, with last=regular as well as the default. Networks: the two of demo/, tuned on 48 pictures and measured on 24
others, against 320 calls; the rivals are the same.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import fewstep
import torch

from ..samplers.plan import Plan
from .problems import PROBLEMS, Digits, Mixture, median_error

Tensor = torch.Tensor
CALLS = (5, 6, 8, 10, 12, 15)
#: frame -> (sigma_max, sigma_min)
RANGES = {"ve": (14.61, 0.0292), "flow": (1.0, 0.01)}
EXACT: dict[str, Mixture] = {
    **{f"mixture {p.seed}: {p.dim}-D, {p.modes} modes": p for p in (*PROBLEMS[:5], PROBLEMS[6], *PROBLEMS[8:])},
    "digits: 64-D": Digits(),
}


def untuned_plans(n: int, frame: str, sigma_max: float, sigma_min: float) -> Iterator[tuple[str, Plan]]:
    """Every deterministic plan of the table on every schedule of the frame."""
    for solver, row in fewstep.solvers().items():
        if row.stochastic or row.adaptive or frame not in row.frames:
            continue
        lasts = [{}, {"last": "regular"}] if any(option.name == "last" for option in row.options) else [{}]
        for id in fewstep.schedules():
            for options in lasts:
                try:
                    sigmas = fewstep.schedule(id, n, frame=frame, sigma_max=sigma_max, sigma_min=sigma_min)
                    plan = fewstep.plan(solver, sigmas, frame, **options)
                except ValueError:  # the schedule is not on this frame, or has no such number of levels
                    continue
                if plan.levels[0].host == sigma_max:
                    yield " ".join([solver, id, *options.values()]), plan


def best_untuned(model: Callable[..., Tensor], x: Tensor, ends: Tensor, n: int, frame: str, **range_: float) -> Any:
    """(error, name) of the best of them."""
    found = []
    for name, plan in untuned_plans(n, frame, **range_):
        error = median_error(fewstep.run(plan, model, x), ends)
        if math.isfinite(error):
            found.append((error, name))
    return min(found)


def exact(name: str, frame: str, calls: Sequence[int], samples: int, **options: Any) -> Iterator[tuple[int, float, str]]:
    """(calls, tuned/untuned, what it says) for an exact problem."""
    problem, (sigma_max, sigma_min) = EXACT[name], RANGES[frame]
    model = problem.model(frame)
    noise = problem.start(frame, sigma_max, samples, 1)
    fresh = problem.start(frame, sigma_max, 96, 2)
    ends = problem.exact(fresh, frame, [sigma_max, 0.0])[-1]
    started = time.perf_counter()
    range_ = {"sigma_max": sigma_max, "sigma_min": sigma_min}
    profile = fewstep.tune(model, noise, calls, frame=frame, teacher_last="regular", **range_, **options)
    took = (time.perf_counter() - started) / len(calls)
    for n in calls:
        error = median_error(fewstep.run(profile.plan(n), model, fresh), ends)
        before, best = best_untuned(model, fresh, ends, n, frame, **range_)
        entry = profile.entries[n]
        said = f"{error:.2e} {before:.2e} ({best}); judged {entry.gain} against {entry.published}; {took:.1f} s a plan"
        yield n, error / before, said + ("" if entry.tuned else "; not tuned")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", default=",".join(map(str, CALLS)))
    parser.add_argument("--frames", default="ve,flow")
    parser.add_argument("--problems", default="", help="parts of names")
    parser.add_argument("--samples", type=int, default=256)
    given = parser.parse_args()
    torch.set_num_threads(1)
    calls = [int(n) for n in given.calls.split(",")]
    for frame in given.frames.split(","):
        ratios: dict[int, list[float]] = {n: [] for n in calls}
        for name in EXACT:
            if not any(part in name for part in given.problems.split(",")):
                continue
            for n, ratio, said in exact(name, frame, calls, given.samples):
                ratios[n].append(ratio)
                print(f"{frame:4s} {name:28s} {n:2d}  {ratio:.3f}  {said}", flush=True)
        for n, values in ratios.items():
            mean = math.exp(sum(map(math.log, values)) / len(values))
            print(f"{frame:4s} {n:2d} calls: geometric mean {mean:.3f}, worst {max(values):.3f}", flush=True)


if __name__ == "__main__":
    main()
