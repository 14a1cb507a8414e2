"""The demo networks as denoisers: class conditions and guidance through `fewstep.wrap`, for the commands and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..samplers.compare import compare
from ..samplers.comparison import Comparison
from ..samplers.guidance import Denoiser
from ..samplers.identity import identity
from ..samplers.level import frame as make_frame
from ..samplers.measurement import measure_statistics
from ..samplers.models import wrap
from ..samplers.names import nearest
from ..samplers.plan import Plan
from ..samplers.profile import Profile
from ..samplers.run import Step, run
from ..samplers.samples import driven
from ..samplers.statistics import Statistics
from ..samplers.task import Task
from ..samplers.times import sigma_range
from ..samplers.tune import Progress, tuning
from .networks import CLASSES, IMAGE_SIZE, NETWORKS, NULL_CLASS, load

_load = cache(load)  # the commands and tests ask for the same network again and again


def class_ids(text: str | None) -> list[int]:
    """Class numbers from "0,5" or "trouser,bag"; all ten for None. ValueError for anything else."""
    if text is None:
        return list(range(len(CLASSES)))
    known = {name.lower(): i for i, name in enumerate(CLASSES)} | {str(i): i for i in range(len(CLASSES))}
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(nearest("class", name, known))
    return [known[name] for name in names]


def denoiser(model: str, classes: Sequence[int], guidance: float = 1.0, *, net: nn.Module | None = None) -> Denoiser:
    """The denoiser of a demo network (vp or flow), asked in the frame of its name, with a class for each picture.

    guidance  1 is none; otherwise classifier-free, two evaluations in one pass (arXiv 2207.12598)
    net       instead of the trained network
    """
    if model not in NETWORKS:
        raise ValueError(nearest("model", model, NETWORKS))
    y = torch.tensor(list(classes))
    return wrap(
        _load(model) if net is None else net,
        NETWORKS[model].predicts,
        frame=NETWORKS[model].frame,
        cond={"y": y},
        uncond={"y": torch.full_like(y, NULL_CLASS)},
        cond_scale=guidance,
    )


def noise(plan: Plan, count: int, seed: int) -> Tensor:
    """Starting states [count, 1, 32, 32] at the plan's first level, where 7 % (vp) or nothing (flow) is signal."""
    return plan.levels[0].sigma * _normal(count, seed)


def _normal(count: int, seed: int) -> Tensor:
    """Standard normal [count, 1, 32, 32]."""
    return torch.randn(count, 1, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(seed))


def draw(
    plan: Plan,
    model: Denoiser,
    x: Tensor,
    bar: tqdm[None] | None = None,
    watch: Callable[[Step], object] | None = None,
) -> Tensor:
    """Carries out a plan, moves `bar` on at each call, and stops at the first NaN (FloatingPointError).

    watch  sees each step, as a report of the run does
    """

    def turn(step: Step) -> None:
        if watch is not None:
            watch(step)
        if bar is not None:
            bar.update()

    with torch.inference_mode(), _one_thread():
        return run(plan, model, x, callback=turn, check=True)


def statistics(
    model: str, count: int, calls: int, guidance: float, seed: int, callback: Callable[[int, int], object] | None = None
) -> Statistics:
    """What `measure_statistics` finds on `count` samples of a demo network, its classes in turn."""
    if model not in NETWORKS:
        raise ValueError(nearest("model", model, NETWORKS))
    start = _normal(count, seed)
    asked = denoiser(model, [i % len(CLASSES) for i in range(count)], guidance)
    with torch.inference_mode(), _one_thread():
        return measure_statistics(asked, start, frame=NETWORKS[model].frame, calls=calls, callback=callback)


def compared(
    model: str, settings: Sequence[str], count: int, classes: Sequence[int], guidance: float, seed: int, **options: Any
) -> Comparison:
    """`fewstep.compare` on `count` samples of a demo network, the classes in turn; options are its own."""
    if model not in NETWORKS:
        raise ValueError(nearest("model", model, NETWORKS))
    where = make_frame(NETWORKS[model].frame)
    low, high = sigma_range(where.time)
    y = [classes[i % len(classes)] for i in range(count)]
    asked = _with_classes(model, classes, guidance)
    with torch.inference_mode(), _one_thread():
        return compare(
            asked, where.level(high).sigma * _normal(count, seed), settings, frame=where, sigma_max=high, sigma_min=low,
            extra_args=_rows, guidance=max(guidance, 1.0),
            conditions=f"{model}, guidance {guidance:g}, classes {','.join(map(str, y))}", **options,
        )  # fmt: skip


def _with_classes(model: str, classes: Sequence[int], guidance: float) -> Denoiser:
    """A demo network whose samples are known by their rows in all of the noise: they have the classes in turn."""

    def asked(x: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
        return denoiser(model, [classes[i % len(classes)] for i in rows.tolist()], guidance)(x, sigma)

    return asked


def _rows(rows: Tensor) -> dict[str, Tensor]:
    return {"rows": rows}


def identity_of(model: str) -> str:
    """By which a profile knows a demo network."""
    return identity(_load(model))


#: samples in a model call of tuning: as fast for each as more of them, and the bar moves a few times a second
_BATCH = 16


def tune(
    model: str,
    task: Task,
    classes: Sequence[int],
    guidance: float,
    count: int,
    seed: int,
    *,
    conditions: str,
    resume: Profile | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Profile:
    """A profile of a demo network, from `count` samples of the classes in turn; see `fewstep.tune`."""
    start = task.frame.level(task.sigma_max).sigma * _normal(count, seed)
    asked = _with_classes(model, classes, guidance)
    with torch.inference_mode(), _one_thread():
        work = tuning(
            task, asked, start, extra_args=_rows, batch=_BATCH, identity=identity_of(model), conditions=conditions,
            resume=resume,
        )  # fmt: skip
        return driven(work, callback)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The networks are so small that threads mostly wait: on busy cores two were six times slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
