"""Evidence for tuning: error of tuned plans beside the best untuned ones, on noise that tuning has not seen.

    make bench-tune      or python -m fewstep.benchmarks.tune [--parts exact network transfer] [--frames vp] [--calls 8]

exact: eight mixtures and smoothed digits, tuned on 256 samples, measured on 96 others against the exact solution; about
10 minutes on a quiet core. network: the two of demo/ at guidance 1 and 4, tuned on 96 pictures, measured on 24 others
against 320 calls; about 40 minutes. transfer: profiles of the networks used with what they were not tuned for; as long.

The rival is the best, on the fresh noise itself, of every deterministic solver of the table on every schedule of its
frame, with last=regular as well as the default: the first quarter of the samples chooses 12, all of them the best.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import geometric_mean
from typing import Any

import fewstep
import torch

from ..demo.models import denoiser
from ..demo.networks import IMAGE_SIZE
from ..samplers.noise_range import NoiseRange
from ..samplers.plan import Plan
from ..samplers.profile import Profile
from ..samplers.task import Task
from ..samplers.teacher import teacher_plan
from .problems import PROBLEMS, Digits, Mixture, median_error
from .results import put

Tensor = torch.Tensor
CALLS = (5, 6, 8, 10, 12, 15)
#: frame -> (sigma_max, sigma_min)
RANGES = {"ve": (14.61, 0.0292), "vp": (14.61, 0.0292), "flow": (1.0, 0.01)}
EXACT: dict[str, Mixture] = {
    **{f"mixture {p.seed}: {p.dim}-D, {p.modes} modes": p for p in (*PROBLEMS[:5], PROBLEMS[6], *PROBLEMS[8:])},
    "digits: 64-D": Digits(),
}
#: samples of an exact problem that a plan is tuned on, and fresh ones
_SAMPLES, _FRESH = 256, 96
#: pictures of a network, fresh ones and to be tuned on
_PICTURES, _TUNED_ON = 24, 96
_NETWORK_CALLS, GUIDANCE = (5, 8, 10), (1.0, 4.0)


def untuned_plans(n: int, frame: str) -> Iterator[tuple[str, Plan]]:
    """Every deterministic plan of the table on every schedule of the frame."""
    sigma_max, sigma_min = RANGES[frame]
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


def best_untuned(model: Callable[..., Tensor], x: Tensor, ends: Tensor, n: int, frame: str) -> tuple[float, str]:
    """(error, name) of the best of them."""

    def errors(plans: Iterable[tuple[str, Plan]], count: int) -> list[tuple[float, str, Plan]]:
        found = [(median_error(fewstep.run(plan, model, x[:count]), ends[:count]), name, plan) for name, plan in plans]
        return sorted((each for each in found if math.isfinite(each[0])), key=lambda each: each[0])

    few = errors(untuned_plans(n, frame), len(x) // 4)[:12]
    error, name, _ = errors([(name, plan) for _, name, plan in few], len(x))[0]
    return error, name


Row = dict[str, Any]
#: a profile and the processor's seconds that tuning took
Tuned = tuple[Profile, float]


def _rows(tuned: Tuned, model: Callable[..., Tensor], x: Tensor, ends: Tensor, frame: str) -> Iterator[Row]:
    """A row for each plan of a profile.

    ratio    error of its plan, tuned or kept, over that of the best untuned plan of the whole table
    harm     the same over the published plan that tuning had to beat: above 1 its choice was wrong here
    """
    profile, seconds = tuned
    for n, entry in profile.entries.items():
        error = median_error(fewstep.run(entry.plan, model, x), ends)
        before, best = best_untuned(model, x, ends, n, frame)
        published = median_error(fewstep.run(_published(profile, n), model, x), ends)
        yield {
            "calls": n, "tuned": entry.tuned, "ratio": error / before, "harm": error / published, "error": error,
            "untuned": before, "best": best, "judged": str(entry.gain), "published": entry.published,
            "teacher": entry.teacher_distance, "seconds": seconds,
        }  # fmt: skip


def _published(profile: Profile, n: int) -> Plan:
    """The plan that a tuned one was judged against."""
    task = Task(profile.frame, profile.sigma_max, profile.sigma_min, (n,), profile.end)
    return {str(setting): plan for setting, plan in task.plans(task.beaten, n).items()}[profile.entries[n].published]


def exact(name: str, frame: str, calls: Sequence[int]) -> Iterator[Row]:
    """The rows of an exact problem."""
    problem, (sigma_max, sigma_min) = EXACT[name], RANGES[frame]
    model = problem.model(frame)
    noise = problem.start(frame, sigma_max, _SAMPLES, 1)
    fresh = problem.start(frame, sigma_max, _FRESH, 2)
    ends = problem.exact(fresh, frame, [sigma_max, 0.0])[-1]
    range_: dict[str, Any] = {"frame": frame, "sigma_max": sigma_max, "sigma_min": sigma_min}
    since = time.process_time()
    profile = fewstep.tune(model, noise, calls, teacher_last="regular", **range_)
    return _rows((profile, time.process_time() - since), model, fresh, ends, frame)


def _pictures(name: str, count: int, seed: int) -> Tensor:
    noise = torch.randn(count, 1, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(seed))
    return fewstep.frame(name).level(RANGES[name][0]).sigma * noise


def _tuned_network(name: str, guidance: float, calls: Sequence[int], classes: Sequence[int]) -> Tuned:
    def model(x: Tensor, sigma: Tensor, y: list[int]) -> Tensor:
        return denoiser(name, y, guidance)(x, sigma)

    sigma_max, sigma_min = RANGES[name]
    since = time.process_time()
    profile = fewstep.tune(
        model, _pictures(name, _TUNED_ON, 0), calls, frame=name, sigma_max=sigma_max, sigma_min=sigma_min, batch=32,
        extra_args=lambda rows: {"y": [classes[i % len(classes)] for i in rows.tolist()]},
    )  # fmt: skip
    return profile, time.process_time() - since


def _on_fresh(
    tuned: Tuned, name: str, guidance: float, classes: Sequence[int], count: int = _PICTURES
) -> Iterator[Row]:
    """The rows of a profile on fresh pictures, by a teacher of 320 calls."""

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return denoiser(name, [classes[i % len(classes)] for i in range(len(x))], guidance)(x, sigma)

    fresh = _pictures(name, count, 1)
    ends = fewstep.run(teacher_plan(NoiseRange(fewstep.frame(name), *RANGES[name]), 320), model, fresh)
    return _rows(tuned, model, fresh, ends, name)


def network(name: str, guidance: float, calls: Sequence[int]) -> Iterator[Row]:
    """The rows of a demo network; the classes follow one another in every set."""
    return _on_fresh(_tuned_network(name, guidance, calls, range(10)), name, guidance, range(10))


def transfer(name: str, calls: Sequence[int]) -> Iterator[tuple[str, Iterator[Row]]]:
    """(what differs, rows) for a profile of guidance 4 and the first five classes; the networks have one resolution."""
    tuned = _tuned_network(name, 4.0, calls, range(5))
    yield "the same, other seeds", _on_fresh(tuned, name, 4.0, range(5), 16)
    yield "the other five classes", _on_fresh(tuned, name, 4.0, range(5, 10), 16)
    yield "guidance 2", _on_fresh(tuned, name, 2.0, range(5), 16)
    yield "guidance 6", _on_fresh(tuned, name, 6.0, range(5), 16)


def kept(group: str, name: str, rows: Iterable[Row]) -> list[Row]:
    """Prints rows as they come, and keeps them."""
    found = []
    for row in rows:
        found.append({"problem": name, **row})
        print(f"{group}, {name}:", *(f"{key} {row[key]:.3g}" for key in ("calls", "ratio", "harm")), row["best"])
    print(f"  tuned in {found[0]['seconds']:.0f} s", flush=True)
    return found


#: part -> its default calls, and its frames
PARTS: Mapping[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "exact": (CALLS, ("ve", "flow")),
    "network": (_NETWORK_CALLS, ("vp", "flow")),
    "transfer": (_NETWORK_CALLS, ("vp", "flow")),
}


def _measured(
    part: str, frame: str, calls: Sequence[int], guidance: Sequence[float]
) -> Iterator[tuple[str, Iterator[Row]]]:
    """(what is measured, its rows)."""
    if part == "exact":
        yield from ((name, exact(name, frame, calls)) for name in EXACT)
    elif part == "network":
        yield from ((f"guidance {each:g}", network(frame, each, calls)) for each in guidance)
    else:
        yield from transfer(frame, calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--frames", nargs="*", choices=RANGES, default=list(RANGES))
    parser.add_argument("--calls", nargs="*", type=int)
    parser.add_argument("--guidance", nargs="*", type=float, default=GUIDANCE, help="of the networks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for part in given.parts:
        calls, frames = PARTS[part]
        calls = tuple(given.calls or calls)
        for frame in (each for each in frames if each in given.frames):
            group, found = f"{part} {frame}", list[Row]()
            for name, rows in _measured(part, frame, calls, given.guidance):
                found += kept(group, name, rows)
                put("tune", group, found)  # after each: a part takes an hour
            for n in calls:
                values = [row["ratio"] for row in found if row["calls"] == n]
                print(
                    f"{group}, {n} calls: geometric mean {geometric_mean(values):.3f}, worst {max(values):.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
