"""Settings compared on a user's own model: their error against a converged run from the same noise, and their cost.

reference   a run of many calls gives the end of every sample; another solver, on other levels and with half as
            many calls, says how sure that is
settings    each is run once on all samples: errors, seconds, and where along the run its error is made
"""

from __future__ import annotations

import math
import platform
import time as clock
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from statistics import median

import torch

from .adaptive_run import OVERFLOW
from .comparison import WITHIN, Comparison, Row
from .comparison_task import ComparisonTask, noise_key, plan_key
from .embedded import StepError, report
from .fingerprint import Fingerprint, fingerprint
from .level import Frame
from .level import frame as make_frame
from .names import listed
from .noise_range import NoiseRange
from .plan import Plan
from .run import Model, check_frame
from .samples import ExtraArgs, Result, Samples, Work, check_noise, driven, told
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
    return driven(work, callback)


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
    task = ComparisonTask(where, guidance, *plans, within, noise_key(noise), min(keep, len(noise)), conditions)
    if resume is not None:
        task.check(resume)
    return _comparing(task, asked, samples, resume)


class _Log:
    """What has been spent and found."""

    def __init__(self, most: int) -> None:
        self.most, self.done = most, 0
        self.comparison: Comparison | None = None
        self.message = ""

    def progress(self, stage: str) -> Progress:
        return Progress(stage, self.done, self.most, self.comparison, self.message)

    def drive(self, stage: str, work: Work[Result]) -> Generator[Progress, None, Result]:
        def tell(made: int) -> Progress:
            self.done += made
            return self.progress(stage)

        return told(work, tell)


def _comparing(
    task: ComparisonTask, asked: list[Candidate], samples: Samples, resume: Comparison | None
) -> Generator[Progress, None, Comparison]:
    known: dict[str, Row] = {}
    if resume is not None:
        task = replace(task, keep=resume.keep)
        made = {row.name: row for row in resume.rows}
        # by its plan too: a profile may have been tuned again, and defaults may be others in another version
        known = {
            each.name: made[each.name]
            for each in asked
            if each.plan is not None and each.name in made and made[each.name].plan_key == plan_key(each.plan)
        }
    left = [each for each in asked if each.name not in known and each.plan is not None]
    calls = sum(each.calls for each in left)
    warm = resume is not None and bool(left)
    if resume is None:
        calls += len(task.teacher) + len(task.other)
    log = _Log(len(samples) * calls + (min(samples.batch, len(samples)) if warm else 0))
    answers = yield from told(fingerprint(samples, task.where), lambda _: log.progress("reference"))
    if resume is not None and not resume.fingerprint.same(answers):
        raise ValueError(
            "the comparison to go on with was made with another model, or another prompt or guidance: its answers "
            f"differ by {100.0 * resume.fingerprint.distance(answers):.0f} %; leave resume out to begin again"
        )
    if resume is None:
        samples = yield from _referenced(task, samples, answers, log)
    else:
        samples = replace(samples, ends=resume.ends)
        machines = dict.fromkeys([resume.machine, _machine(samples.device)] if left else [resume.machine])
        within = task.within or resume.within
        log.comparison = replace(resume, within=within, rows=(), machine=listed(machines, "then"))
    assert log.comparison is not None
    if warm:
        yield from log.drive("settings", _warmed(samples, task.where.sigma_max))
    rows: list[Row] = []
    for each in asked:
        row = known.get(each.name)
        if row is None:
            row = yield from log.drive("settings", _measured(each, samples, task))
            log.message = f"{row.name}: {row.reason or 'measured'}"
        rows.append(row)
        later = [known[other.name] for other in asked[len(rows) :] if other.name in known]
        log.comparison = replace(log.comparison, rows=(*rows, *later))
        yield log.progress("settings")
    return log.comparison


def _referenced(
    task: ComparisonTask, samples: Samples, answers: Fingerprint, log: _Log
) -> Generator[Progress, None, Samples]:
    """The samples with their ends, and the comparison without rows in the log."""
    samples = yield from log.drive("reference", taught(samples, task.teacher))
    converged = yield from log.drive("check", convergence(samples, task.other))
    assert samples.ends is not None
    if not math.isfinite(converged.distance):
        raise FloatingPointError(
            f"the run that checks the reference ({task.other.solver}, {len(task.other)} calls) ended in NaN or inf; "
            + OVERFLOW
        )
    within = task.within
    if within is None:
        within = WITHIN * samples.ends.flatten(1).double().std(1, correction=0).median().item()
    versions = {"fewstep": import_module("..", __package__).__version__, "torch": str(torch.__version__)}
    log.comparison = Comparison(
        task.where, task.guidance, replace(task.reference, uncertainty=converged.distance), samples.ends, within,
        task.key, answers, _machine(samples.device), task.keep, task.conditions, versions=versions,
    )  # fmt: skip
    log.message = f"the reference is sure to {converged.distance:.2g}"
    yield log.progress("check")  # from here on it can be gone on with
    return samples


def _warmed(samples: Samples, host: float) -> Work[None]:
    """One model call that is not timed: the first in a process is slower."""
    part = next(iter(samples.parts()))
    x = samples.x[part].to(samples.device)
    with torch.no_grad():
        samples.asking(x, x.new_full((len(x),), host), **samples.arguments(part))
    yield len(x)


def _measured(candidate: Candidate, samples: Samples, task: ComparisonTask) -> Work[Row]:
    """A setting's row."""
    setting, plan = candidate.setting, candidate.plan
    row = Row(
        candidate.name, str(setting), setting.solver, setting.schedule, candidate.calls,
        {**setting.schedule_options, **setting.options}, candidate.notes, candidate.reason,
    )  # fmt: skip
    if plan is None:
        return row
    row = replace(row, plan_key=plan_key(plan))
    top = task.where.frame.level(task.where.sigma_max)
    if plan.levels[0] != top:
        samples = replace(samples, x=samples.x * (plan.levels[0].sigma / top.sigma))
    step_report, seconds, ends = report(plan), [], []
    for i, part in enumerate(samples.parts()):
        began = clock.perf_counter()
        # the first batch is enough to see where the error is made
        ends.append(samples.run_part(plan, part, None if i else step_report))
        seconds.append((clock.perf_counter() - began) / len(ends[-1]))
        yield len(ends[-1]) * len(plan)
    found = torch.cat(ends)
    steps: tuple[StepError, ...] = tuple(step_report.steps)
    shown = found[: task.keep].clone()
    return replace(row, errors=samples.distances(found), seconds=median(seconds), steps=steps, shown=shown)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {platform.machine()}, {torch.get_num_threads()} thread(s)"
