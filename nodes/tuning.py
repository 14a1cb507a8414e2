"""What a person tells Fewstep Tune, read and checked, and what the node says of the cost before it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..samplers.options import Option, check_options
from ..samplers.task import Task, split
from .inputs import about, read_text

if TYPE_CHECKING:
    from ..samplers.noise_range import NoiseRange
    from ..samplers.profile import Profile

OPTIONS = (
    Option("end", Task.end, "zero, or the model's lowest level", ("zero", "sigma_min")),
    Option("teacher_calls", Task.teacher_calls, "of the run that is taken for the truth", low=6, high=10000),
    Option("teacher_last", Task.teacher_last, "how that run makes its last step", ("auto", "regular", "denoise")),
    Option("rounds", Task.rounds, "of a fit at most", low=0, high=1000),
    Option("points", Task.points, "predictions that an update combines at most", low=2, high=8),
    Option("overwrite", "off", "whether another tuning's profile of this name is replaced", ("off", "on")),
)
#: Chinese input methods write the first two
_COMMAS = re.compile(r"[，、,;\s]+")
_MOST_PLANS = 32


def read_calls(text: Any) -> tuple[int, ...]:
    """Numbers of calls from "5, 6, 8, 10", increasing, each once. ValueError says what cannot be read."""
    if not isinstance(text, str):
        raise ValueError(f"calls: got {text!r}, expected a text such as '5, 6, 8, 10'")
    words = [word for word in _COMMAS.split(text) if word]
    for word in words:
        if not re.fullmatch(r"[0-9]{1,6}", word):
            raise ValueError(f"calls: cannot read {word[:40]!r}; write whole numbers, such as '5, 6, 8, 10'")
    numbers = tuple(sorted({int(word) for word in words}))
    if not 1 <= len(numbers) <= _MOST_PLANS:
        raise ValueError(f"calls: got {len(numbers)} numbers, expected 1 to {_MOST_PLANS}, such as '5, 6, 8, 10'")
    return numbers


@dataclass(frozen=True)
class Request:
    """What is to be tuned. overwrite: whether a profile of another tuning may be replaced."""

    task: Task
    overwrite: bool


def read_request(calls: Any, options: Any, where: NoiseRange) -> Request:
    """The task of the widgets on a model's range. ValueError names the widget."""
    numbers = read_calls(calls)
    text = read_text(options, OPTIONS)
    with about("options"):
        given = check_options(text, OPTIONS, "tuning")
        for name in ("teacher_calls", "rounds", "points"):
            if given[name] != int(given[name]):
                raise ValueError(f"{name} is {given[name]}, expected a whole number")
            given[name] = int(given[name])
    overwrite = given.pop("overwrite") == "on"
    with about("calls"):
        return Request(Task(where.frame, where.sigma_max, where.sigma_min, numbers, **given), overwrite)


def conditions(cfg: float, shape: tuple[int, ...], samples: int, seed: int) -> str:
    """What a profile keeps of how it was tuned; a tuning goes on only where this is the same."""
    size = "x".join(map(str, shape))
    return f"cfg {cfg:g}, latents of {size}, {samples} samples of seed {seed}"


def left(task: Task, done: Profile | None) -> Task | None:
    """The task without the plans that are there already; None where all are."""
    numbers = tuple(n for n in task.calls if done is None or n not in done.entries)
    return replace(task, calls=numbers) if numbers else None


def cost_text(task: Task, samples: int, batch: int, seconds: float | None = None) -> str:
    """What tuning will ask of the model at most; seconds: of a call with a batch."""
    cost = task.cost(samples)
    fit, choose, judge = split(samples)
    calls = -(-cost.total // batch)
    lines = [
        f"Plans of {', '.join(map(str, task.calls))} calls, from {samples} samples: {fit} to fit, {choose} to choose, "
        f"{judge} to judge.",
        f"At most {calls:,} model calls with {batch} picture{'s' * (batch > 1)} each: {cost.teacher // batch:,} for "
        f"the teacher of {task.teacher_calls} calls and its check, {cost.published // batch:,} to find the best "
        f"published plan, {cost.fit // batch:,} for the fits, {cost.judge // batch:,} to judge. Fits mostly end after "
        "a third.",
    ]
    if seconds is not None:
        lines.append(f"A call takes {seconds:.3g} s here, all of them {duration(calls * seconds)}.")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def gains(profile: Profile, calls: tuple[int, ...]) -> str:
    """What became of each plan, and on what it was judged."""
    lines = [f"Judged on samples that no plan was fitted to or chosen by; {profile.conditions}."]
    for n in calls:
        if n in profile.entries:
            entry = profile.entries[n]
            lines += [f"{entry}", *(f"  {note}" for note in entry.plan.notes if "kept as published" not in note)]
    return "\n".join(lines)
