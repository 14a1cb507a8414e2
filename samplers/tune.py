"""Tuning: plans fitted to one user's model, judged on noise that they were not fitted to.

    teacher    a run of many calls gives the end of every sample; a run of half as many says whether it has converged
    published  the best solver and schedule of a short list, by the samples for choosing
    fit        from the best starting points, Gauss-Newton on levels and weights (`samplers/fit.py`); those that come
               out best of a heat go on (`task.HEATS`)
    judge      the tuned plan is taken if Student's 90 % interval of tuned/published, a geometric mean over the samples
               for judging, lies below 0.95; otherwise the published plan is kept

The samples are three disjoint parts of the noise (`task.split`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace

import torch

from .family import Family
from .fingerprint import fingerprint
from .fit import Fit, advance, begin
from .judgement import mean_gain
from .level import Frame
from .level import frame as make_frame
from .plan import Plan
from .profile import Entry, Profile
from .run import Model
from .samples import ExtraArgs, Result, Samples, Work, check_noise, driven, told
from .task import HEATS, Cost, Setting, Task, split
from .teacher import Converged, convergence, taught
from .times import TimeMap

Tensor = torch.Tensor
#: a tuned plan is worth it if the gain is proven to be more than this: it is tied to its guidance and kind of prompt
WORTH = 0.95


@dataclass(frozen=True)
class Progress:
    """What tuning says after each batch.

    stage    teacher, published, fit or judge
    calls    of the plan that is being made; 0 before the first
    done     evaluations so far (samples times model calls)
    most     what they can become (`Cost.total`)
    profile  holds the plans that are done; given as `resume`, they are not made again
    message  what was found last
    """

    stage: str
    calls: int
    done: int
    most: int
    profile: Profile
    message: str = ""


def tune(
    model: Model,
    noise: Tensor,
    calls: int | Iterable[int],
    *,
    frame: str | Frame = "ve",
    sigma_max: float,
    sigma_min: float,
    end: str = "zero",
    time: TimeMap | str | None = None,
    extra_args: ExtraArgs = None,
    teacher_calls: int = Task.teacher_calls,
    teacher_last: str = Task.teacher_last,
    rounds: int = Task.rounds,
    points: int = Task.points,
    rivals: Iterable[Setting] = (),
    batch: int | None = None,
    identity: str = "",
    conditions: str = "",
    resume: Profile | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Profile:
    """Fits a plan to a model for each number of calls, and keeps it where it is better on noise of its own.

    model       model(x, sigma[B], **extra_args) -> denoised, for batches of any size
    noise       [S, ...] start states, already scaled to sigma_max; at least 12, for latents of few numbers more
    extra_args  of the model, or a function of the samples' indices that gives them, for conditions of their own
    batch       samples in a model call at most; by default all of a set
    identity    the model's name or hash; conditions: what kind of prompts and guidance. Both are kept as given
    resume      a profile that the same tuning was stopped at: its plans are kept
    callback    called with a `Progress` after each batch; an exception in it stops the tuning

    frame, time, and from sigma_max to rivals: see `Task`, whose `cost` says what this will ask of the model. Nothing
    but a batch is on the device; states of the samples are on the CPU, a few latents for each.

    Raises ValueError for arguments that do not fit, FloatingPointError when the teacher ends in NaN or inf.
    """
    numbers = (calls,) if isinstance(calls, int) else tuple(calls)
    where = make_frame(frame, time)
    high, low = float(sigma_max), float(sigma_min)  # tensors, too
    task = Task(where, high, low, numbers, end, teacher_calls, teacher_last, rounds, points, tuple(rivals))
    work = tuning(
        task, model, noise, extra_args=extra_args, batch=batch, identity=identity, conditions=conditions, resume=resume
    )
    return driven(work, callback)


def tuning(
    task: Task,
    model: Model,
    noise: Tensor,
    *,
    extra_args: ExtraArgs = None,
    batch: int | None = None,
    identity: str = "",
    conditions: str = "",
    resume: Profile | None = None,
) -> Generator[Progress, None, Profile]:
    """`tune` as a generator: yields a `Progress` after each batch, and returns the profile."""
    check_noise(noise, batch)
    count, choose, _ = split(len(noise))
    log = _Log(task.cost(len(noise)), Profile.begun(task, identity, conditions, resume))
    everything = Samples.of(model, noise, batch or len(noise), extra_args)
    left = [n for n in task.calls if n not in log.profile.entries]
    if not left:
        return log.profile
    found = yield from log.drive("teacher", 0, fingerprint(everything, task.range))
    begun = log.profile.fingerprint
    if begun is not None and not begun.same(found):
        raise ValueError(
            "the profile to go on with was made for another model, or for other conditions or sizes: the answers "
            f"differ by {100.0 * begun.distance(found):.0f} %; begin another profile"
        )
    log.profile = replace(log.profile, fingerprint=begun or found)
    everything = yield from log.drive("teacher", 0, taught(everything, task.teacher(task.teacher_calls)))
    fitting = everything.taken(0, count)
    choosing = everything.taken(count, count + choose)
    judging = everything.taken(count + choose, len(noise))
    coarse = task.teacher(task.teacher_calls // 2)
    converged = yield from log.drive("teacher", 0, convergence(judging, coarse))
    log.say(f"the teacher's ends differ by {converged.distance:.2g} from those at {converged.calls} calls")
    for n in left:
        setting, published = yield from log.drive("published", n, _best_published(task, n, choosing))
        log.say(f"best published plan of {n} calls: {setting}")
        fitted = yield from _fitted(task, n, fitting, choosing, log)
        entry = yield from log.drive("judge", n, _judged(setting, published, fitted, judging, converged))
        log.profile = log.profile.with_entry(entry)
        log.say(str(entry))
        yield log.progress("judge", n)
    return log.profile


class _Log:
    """What has been spent and found."""

    def __init__(self, cost: Cost, profile: Profile) -> None:
        self.most, self.profile = cost.total, profile
        self.done = 0
        self.message = ""

    def say(self, message: str) -> None:
        self.message = message

    def progress(self, stage: str, calls: int) -> Progress:
        return Progress(stage, calls, self.done, self.most, self.profile, self.message)

    def drive(self, stage: str, calls: int, work: Work[Result]) -> Generator[Progress, None, Result]:
        def tell(made: int) -> Progress:
            self.done += made
            return self.progress(stage, calls)

        return told(work, tell)


def _best_published(task: Task, n: int, choosing: Samples) -> Work[tuple[Setting, Plan]]:
    """The best of the published settings by the median error on the samples for choosing."""
    best, least = None, float("inf")
    for setting, plan in task.plans(task.beaten, n).items():
        error = (yield from choosing.errors(plan)).median().item()
        if best is None or error < least:
            best, least = (setting, plan), error
    assert best is not None  # a task has rivals
    return best


def _fitted(
    task: Task, n: int, fitting: Samples, choosing: Samples, log: _Log
) -> Generator[Progress, None, Fit]:
    """The best fit: several are begun, and after each heat those that came out best go on."""
    fits = yield from _begun(task, n, fitting, choosing, log)
    made = 0
    for going, rounds in task.heats():
        fits = sorted(fits, key=lambda each: each.chosen)[:going]
        for _ in range(rounds):
            made += 1
            for i, fit in enumerate(fits):
                if not fit.over:
                    fits[i] = yield from log.drive("fit", n, advance(fit, fitting, choosing))
                    log.say(f"{n} calls, round {made}: mean error {fits[i].chosen:.3g} on the samples for choosing")
    return min(fits, key=lambda each: each.chosen)


def _begun(
    task: Task, n: int, fitting: Samples, choosing: Samples, log: _Log
) -> Generator[Progress, None, list[Fit]]:
    """Fits from the best starting points. Of those that differ in nothing but their points, which a fit frees, one."""
    ranked = []
    for family, sigmas in task.begun(n):
        plan = family.plan(family.start(sigmas))
        error = (yield from log.drive("published", n, choosing.errors(plan))).median().item()
        ranked.append((error, family, sigmas))
    ranked.sort(key=lambda each: each[0])
    places: dict[object, tuple[Family, list[float]]] = {}
    for _, family, sigmas in ranked:
        places.setdefault((family.method.form, tuple(sigmas)), (family, sigmas))
    fits = []
    for family, sigmas in list(places.values())[: HEATS[0][0]]:
        fits.append((yield from log.drive("fit", n, begin(family, sigmas, fitting, choosing))))
    return fits


def _judged(setting: Setting, published: Plan, fit: Fit, judging: Samples, converged: Converged) -> Work[Entry]:
    """The tuned plan if it is proven to be worth it, the published one otherwise."""
    plan = fit.family.plan(fit.best)
    tuned = yield from judging.errors(plan)
    untuned = yield from judging.errors(published)
    found = mean_gain(tuned.numpy(), untuned.numpy())
    taken = found.proven(WORTH)
    error, before = tuned.median().item(), untuned.median().item()
    notes = []
    kept = error if taken else before
    if not taken:
        notes.append(f"kept as published: on noise of its own the tuned plan was not better by a proven 5 %, {found}")
    if not converged.enough_for(kept):
        notes.append(
            f"the teacher has not converged: its ends move by {converged.distance:.2g} from {converged.calls} calls to "
            f"twice as many, beside an error of {kept:.2g}; give teacher_calls more, or trust the gain less"
        )
    chosen = plan if taken else published
    chosen = replace(chosen, notes=(*chosen.notes, *notes))
    return Entry(chosen, taken, str(setting), error, before, found, converged.distance)
