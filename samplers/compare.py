"""Settings compared on a user's own model: their error against a converged run from the same noise, and their cost.

reference   a run of many calls gives the end of every sample; another solver, on other levels and with half as
            many calls, says how sure that is
settings    each is run once on all samples: errors, seconds, and where along the run its error is made
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time as clock
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from statistics import median
from typing import Any

import torch

from .comparison import WITHIN, Comparison, Reference, Row
from .embedded import StepError, report
from .fingerprint import fingerprint
from .level import Frame
from .level import frame as make_frame
from .names import listed
from .noise_range import NoiseRange
from .plan import Plan
from .profile import time_record
from .report import record
from .run import Model, check_frame
from .samples import ExtraArgs, Result, Samples, Work, check_noise
from .settings import Candidate, candidates
from .teacher import check_plan, convergence, taught, teacher_plan
from .times import TimeMap

Tensor = torch.Tensor
Settings = str | Plan | Candidate | Iterable[str | Plan | Candidate]


@dataclass(frozen=True)
class Progress:
    """What a comparison says after each batch.

    stage       reference, check or settings
    done        evaluations so far (samples times model calls);  most: in all
    comparison  so far; None before the reference is known. Given as `resume`, what it holds is not made again
    message     what was found last
    """

    stage: str
    done: int
    most: int
    comparison: Comparison | None
    message: str = ""


def compare(
    model: Model,
    noise: Tensor,
    settings: Settings,
    *,
    frame: str | Frame,
    sigma_max: float,
    sigma_min: float,
    end: str = "zero",
    time: TimeMap | str | None = None,
    extra_args: ExtraArgs = None,
    guidance: float = 0.0,
    reference_calls: int = 200,
    reference_last: str = "auto",
    within: float | None = None,
    keep: int = 1,
    batch: int | None = None,
    conditions: str = "",
    resume: Comparison | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Comparison:
    """Runs each setting from the same noise and measures how far it ends from where the ODE does.

    model            model(x, sigma[B], **extra_args) -> denoised, for batches of any size
    noise            [S, ...] start states, scaled to sigma_max; a plan that begins lower starts from them scaled down
    settings         strings "SOLVERS SCHEDULES CALLS [NAME=VALUE ...]" of lists with commas, which are multiplied,
                     "profile:NAME CALLS", or plans (see `settings.candidates`)
    frame, time      of the states (`fewstep.frame`);  sigma_max, sigma_min: host sigmas
    end              where runs end: zero or sigma_min
    extra_args       of the model, or a function of the samples' indices that gives them
    guidance         strength of guidance, which `auto` goes by; 0: not known
    reference_calls  of the run that is taken for the truth; it is checked by another solver with half as many
    reference_last   how the reference makes the step to sigma 0: its solver's option `last`
    within           RMS per number that is near enough; by default 0.02 of the standard deviation of the reference's
                     ends (median over the samples), which is hard to see
    keep             how many samples of each setting are kept for `Comparison.grid`
    batch            samples in a model call at most; by default all
    conditions       the model's name, prompts and guidance, kept as given: `resume` must have the same
    resume           a comparison that was stopped: its reference and rows are not made again
    callback         called with a `Progress` after each batch; an exception in it stops the comparison

    An error is a median over the samples, with its paired-bootstrap 90 % interval. Settings whose ratio to the best at
    their number of calls may be 1 by that interval are called equal, and errors below the reference's own uncertainty
    are not ranked. Samples that end in NaN or inf count as failed, with an infinite error. Solvers that add noise or
    choose their number of calls are refused.

    Only a batch is on the device; the reference's ends, the errors and the kept samples are on the CPU.

    Raises ValueError for arguments that do not fit, all faulty settings in one message, before any model call, and for
    `resume` from other noise, another range, reference or model; FloatingPointError when the reference is not finite.
    """
    work = comparing(
        model, noise, settings, frame=frame, sigma_max=sigma_max, sigma_min=sigma_min, end=end, time=time,
        extra_args=extra_args, guidance=guidance, reference_calls=reference_calls, reference_last=reference_last,
        within=within, keep=keep, batch=batch, conditions=conditions, resume=resume,
    )  # fmt: skip
    while True:
        try:
            progress = next(work)
        except StopIteration as over:
            found: Comparison = over.value
            return found
        if callback is not None:
            callback(progress)


def comparing(
    model: Model,
    noise: Tensor,
    settings: Settings,
    *,
    frame: str | Frame,
    sigma_max: float,
    sigma_min: float,
    end: str = "zero",
    time: TimeMap | str | None = None,
    extra_args: ExtraArgs = None,
    guidance: float = 0.0,
    reference_calls: int = 200,
    reference_last: str = "auto",
    within: float | None = None,
    keep: int = 1,
    batch: int | None = None,
    conditions: str = "",
    resume: Comparison | None = None,
) -> Generator[Progress, None, Comparison]:
    """`compare` as a generator: yields a `Progress` after each batch, and returns the comparison.

    What is wrong with the arguments is raised here, before the generator starts.
    """
    check_noise(noise, batch)
    for name, value, low in (("reference_calls", reference_calls, 2), ("keep", keep, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name} is {value!r}, expected a whole number from {low}")
    if within is not None and not within > 0.0:
        raise ValueError(f"within is {within!r}, expected a distance above 0, or None")
    where = NoiseRange(make_frame(frame, time), float(sigma_max), float(sigma_min), end)
    check_frame(model, where.frame)
    asked = candidates(settings, where, guidance)
    plans = (
        teacher_plan(where, reference_calls, reference_last),
        check_plan(where, reference_calls // 2, reference_last),
    )
    samples = Samples.of(model, noise, batch or len(noise), extra_args)
    begun = _Begun(where, guidance, *plans, within, _key(noise), min(keep, len(noise)), conditions)
    if resume is not None:
        begun.check(resume)
    return _comparing(begun, asked, samples, resume)


@dataclass(frozen=True)
class _Begun:
    """What is asked of a comparison."""

    where: NoiseRange
    guidance: float
    teacher: Plan
    other: Plan
    within: float | None
    key: str
    keep: int
    conditions: str

    @property
    def reference(self) -> Reference:
        """The reference, before it is known how sure it is."""
        (name, other), (calls, half) = map(_named, (self.teacher, self.other)), map(len, (self.teacher, self.other))
        return Reference(name, calls, other, half, 0.0)

    def check(self, resume: Comparison) -> None:
        """ValueError if that belongs to another comparison."""
        mine = self.reference
        pairs: dict[str, tuple[Any, Any]] = {
            "a hash of its noise": (resume.key, self.key),
            "frame": (resume.range.frame.name, self.where.frame.name),
            "time map": (_time(resume.range.frame), _time(self.where.frame)),
            "guidance": (resume.guidance, self.guidance),
            "conditions": (resume.conditions, self.conditions),
            "reference": (str(resume.reference), str(mine)),
        }
        pairs |= {
            name: (getattr(resume.range, name), getattr(self.where, name)) for name in ("sigma_max", "sigma_min", "end")
        }
        for name, (old, new) in pairs.items():
            if old != new:
                texts = [f"{value!r:.80}" for value in (old, new)]
                raise ValueError(
                    f"the comparison to go on with has {name} {texts[0]}, but now it is {texts[1]}; "
                    "leave resume out to begin again"
                )


def _time(frame: Frame) -> object:
    """What two equal time maps have in common: two tables of the same numbers are two objects."""
    try:
        return json.dumps(time_record(frame.time))
    except ValueError:  # a map of the caller's own
        return frame.time


def _named(plan: Plan) -> str:
    return plan.solver + "".join(f" {name}={plan.options[name]}" for name in ("last",) if name in plan.options)


def _key(noise: Tensor) -> str:
    found = hashlib.sha256(repr((tuple(noise.shape), str(noise.dtype))).encode())
    # as bytes, since numpy has no bfloat16
    found.update(noise.detach().to("cpu").contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


class _Log:
    """What has been spent and found."""

    def __init__(self, most: int) -> None:
        self.most, self.done = most, 0
        self.comparison: Comparison | None = None
        self.message = ""

    def progress(self, stage: str) -> Progress:
        return Progress(stage, self.done, self.most, self.comparison, self.message)

    def drive(self, stage: str, work: Work[Result]) -> Generator[Progress, None, Result]:
        while True:
            try:
                self.done += next(work)
            except StopIteration as over:
                result: Result = over.value
                return result
            yield self.progress(stage)


def _comparing(
    begun: _Begun, asked: list[Candidate], samples: Samples, resume: Comparison | None
) -> Generator[Progress, None, Comparison]:
    known: dict[str, Row] = {}
    if resume is not None:
        begun = replace(begun, keep=resume.keep)
        made = {row.name: row for row in resume.rows}
        # by its plan too: a profile may have been tuned again, and defaults may be others in another version
        known = {
            each.name: made[each.name]
            for each in asked
            if each.plan is not None and each.name in made and made[each.name].plan_key == _plan_key(each.plan)
        }
    left = [each for each in asked if each.name not in known and each.plan is not None]
    calls = sum(each.calls for each in left)
    warm = resume is not None and bool(left)
    if resume is None:
        calls += len(begun.teacher) + len(begun.other)
    log = _Log(len(samples) * calls + (min(samples.batch, len(samples)) if warm else 0))
    answers = yield from log.drive("reference", _uncounted(fingerprint(samples, begun.where)))
    if resume is not None and not resume.fingerprint.same(answers):
        raise ValueError(
            "the comparison to go on with was made with another model, or another prompt or guidance: its answers "
            f"differ by {100.0 * resume.fingerprint.distance(answers):.0f} %; leave resume out to begin again"
        )
    if resume is None:
        samples = yield from log.drive("reference", taught(samples, begun.teacher))
        converged = yield from log.drive("check", convergence(samples, begun.other))
        assert samples.ends is not None
        if not math.isfinite(converged.distance):
            raise FloatingPointError(
                f"the run that checks the reference ({begun.other.solver}, {len(begun.other)} calls) ended in NaN or "
                "inf; often float16 overflow in the model: try bfloat16 or float32, or a lower guidance scale"
            )
        within = begun.within
        if within is None:
            within = WITHIN * samples.ends.flatten(1).double().std(1, correction=0).median().item()
        versions = {"fewstep": import_module("..", __package__).__version__, "torch": str(torch.__version__)}
        log.comparison = Comparison(
            begun.where, begun.guidance, replace(begun.reference, uncertainty=converged.distance), samples.ends, within,
            begun.key, answers, _machine(samples.device), begun.keep, begun.conditions, versions=versions,
        )  # fmt: skip
        log.message = f"the reference is sure to {converged.distance:.2g}"
        yield log.progress("check")  # from here on it can be gone on with
    else:
        samples = replace(samples, ends=resume.ends)
        machines = dict.fromkeys([resume.machine, _machine(samples.device)] if left else [resume.machine])
        within = begun.within or resume.within
        log.comparison = replace(resume, within=within, rows=(), machine=listed(machines, "then"))
    if warm:
        yield from log.drive("settings", _warmed(samples, begun.where.sigma_max))
    rows: list[Row] = []
    for each in asked:
        row = known.get(each.name)
        if row is None:
            row = yield from log.drive("settings", _measured(each, samples, begun))
            log.message = f"{row.name}: {row.reason or 'measured'}"
        rows.append(row)
        later = [known[other.name] for other in asked[len(rows) :] if other.name in known]
        log.comparison = replace(log.comparison, rows=(*rows, *later))
        yield log.progress("settings")
    return log.comparison


def _uncounted(work: Work[Result]) -> Work[Result]:
    """The work of a few calls, which progress leaves out."""
    while True:
        try:
            next(work)
        except StopIteration as over:
            result: Result = over.value
            return result
        yield 0


def _warmed(samples: Samples, host: float) -> Work[None]:
    """One model call that is not timed: the first in a process is slower."""
    part = next(iter(samples.parts()))
    x = samples.x[part].to(samples.device)
    with torch.no_grad():
        samples.asking(x, x.new_full((len(x),), host), **samples.arguments(part))
    yield len(x)


def _measured(candidate: Candidate, samples: Samples, begun: _Begun) -> Work[Row]:
    """A setting's row."""
    setting, plan = candidate.setting, candidate.plan
    row = Row(
        candidate.name, str(setting), setting.solver, setting.schedule, candidate.calls,
        {**setting.schedule_options, **setting.options}, candidate.notes, candidate.reason,
    )  # fmt: skip
    if plan is None:
        return row
    row = replace(row, plan_key=_plan_key(plan))
    top = begun.where.frame.level(begun.where.sigma_max)
    if plan.levels[0] != top:
        samples = replace(samples, x=samples.x * (plan.levels[0].sigma / top.sigma))
    told, seconds, ends = report(plan), [], []
    for i, part in enumerate(samples.parts()):
        began = clock.perf_counter()
        # the first batch is enough to see where the error is made
        ends.append(samples.run_part(plan, part, None if i else told))
        seconds.append((clock.perf_counter() - began) / len(ends[-1]))
        yield len(ends[-1]) * len(plan)
    found = torch.cat(ends)
    steps: tuple[StepError, ...] = tuple(told.steps)
    shown = found[: begun.keep].clone()
    return replace(row, errors=samples.distances(found), seconds=median(seconds), steps=steps, shown=shown)


def _plan_key(plan: Plan) -> str:
    return hashlib.sha256(json.dumps(record(plan)).encode()).hexdigest()[:16]


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {platform.machine()}, {torch.get_num_threads()} thread(s)"
