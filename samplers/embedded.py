"""The error of each step of a run, estimated from what the run knows anyway: no model call more.

An estimate is the difference to the embedded lower order (`lower_order.py`), carried to the end of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from .level import Level
from .lower_order import Estimate, estimates
from .names import listed
from .plan import FROM_DATA, Plan
from .run import Step

Tensor = torch.Tensor


@dataclass(frozen=True)
class StepError:
    """A call and the error that is made by its update.

    call             its number, from 1
    sigma, to_sigma  host sigmas where the model is asked and where the update ends
    begin            host sigma where its step begins
    order            local order of the update
    stage            whether it is inside a step, which its last call answers for
    error            median over the samples of the estimate; None where there is no lower order
    share            of the sum over the calls
    """

    call: int
    sigma: float
    to_sigma: float
    begin: float
    order: int
    stage: bool
    error: float | None
    share: float | None


class Report:
    """The error of each step of a run; made by `report`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._estimates = estimates(plan)
        self._uses = _uses(self._estimates)
        self._runs: list[Tensor] = []
        self._begin()

    def _begin(self) -> None:
        self._known: dict[tuple[int, str], Tensor] = {}
        self._norms: list[Tensor | None] = []
        self._next = 0

    def __call__(self, step: Step) -> None:
        """Takes a step of the run; computes on its device and reads nothing back.

        Raises ValueError for a step of another plan, or out of turn.
        """
        if not isinstance(step, Step):
            raise ValueError(f"a report takes the steps of fewstep.run or fewstep.steps, got a {type(step).__name__}")
        if step.i == 0:
            self._begin()
        if step.i != self._next:
            raise ValueError(f"got call {step.i}, expected {self._next}: a report sees the calls of a run in order")
        if step.level != self.plan.calls[step.i].level:
            raise ValueError(
                f"call {step.i} is at sigma {step.level.host:g}, but at {self.plan.calls[step.i].level.host:g} in the "
                "plan of this report; make a report of the plan that is run"
            )
        self._next += 1
        with torch.no_grad():
            wide = torch.float64 if step.x.dtype == torch.float64 else torch.float32
            for form in self._uses[step.i]:
                self._known[step.i, form] = _prediction(form, step, wide)
            self._norms.append(self._norm(step.i))
            self._known = {key: p for key, p in self._known.items() if self._uses[key[0]][key[1]] > step.i}
            if self._next == len(self.plan):
                self._end(step, wide)

    def _norm(self, i: int) -> Tensor | None:
        """RMS per number of each sample, [B]."""
        estimate = self._estimates[i]
        if estimate is None:
            return None
        (first, factor), *rest = estimate.factors
        total = self._known[first, estimate.form] * factor
        for j, factor in rest:
            total.add_(self._known[j, estimate.form], alpha=factor)
        return _rms(total)

    def _end(self, step: Step, wide: torch.dtype) -> None:
        size = _rms(step.denoised.to(wide))
        end = self.plan.levels[-1]
        rows = [
            size * math.nan if norm is None else norm * carried(call.target, end, size)
            for norm, call in zip(self._norms, self.plan.calls, strict=True)
        ]
        self._runs.append(torch.stack(rows))
        self._begin()

    @property
    def samples(self) -> Tensor:
        """The estimates [calls, S], NaN where there is none, of the samples of all runs that ended; on the CPU."""
        if not self._runs:
            raise ValueError(
                f"no run has ended: the report saw {self._next} of {len(self.plan)} calls; give it to fewstep.run as "
                "callback, or each step of fewstep.steps"
            )
        return torch.cat([each.to("cpu", torch.float64) for each in self._runs], 1)

    @property
    def steps(self) -> list[StepError]:
        """One for each call of the plan."""
        medians = self.samples.median(1).values.tolist()
        known = zip(medians, self._estimates, strict=True)
        return [*_rows(self.plan, [error if each else None for error, each in known])]

    @property
    def sentence(self) -> str:
        """Where the error is made, and which steps take calls but contribute little."""
        return told(self.steps)

    def record(self) -> dict[str, Any]:
        """The report as JSON values; null where there is no estimate, or it is not finite."""
        return {"solver": self.plan.solver, "calls": [asdict(each) for each in self.steps], "sentence": self.sentence}

    def __str__(self) -> str:
        head = (
            f"{self.plan.solver} on {self.plan.frame.name}, {len(self.plan)} model calls: error of the lower order in "
            f"each step, as at the end (median of {self.samples.shape[1]})"
        )
        return "\n".join([head, *lines(self.steps), self.sentence])


def lines(steps: Iterable[StepError]) -> Iterator[str]:
    """A line for each call: level, step, order, error, share of the sum."""
    for each in steps:
        error = "-" if each.error is None else f"{each.error:.2e}"
        share = "" if each.share is None else f"{100.0 * each.share:5.1f} %"
        yield (
            f"{each.call:4d}  sigma {each.sigma:<10.5g} -> {each.to_sigma:<10.5g} "
            f"{'stage' if each.stage else f'order {each.order}'}  {error:>9} {share}"
        ).rstrip()


def report(plan: Plan) -> Report:
    """A report of where a run of the plan makes its error. It is the callback of a run, and costs no model call:

        told = fewstep.report(plan)
        x0 = fewstep.run(plan, model, x, callback=told)
        print(told)

    An error is the RMS per number of a sample, of the embedded lower order (see `lower_order.py`), in the scale of
    the final state. On the way there it is carried as on Gaussian data of the size s (RMS) of the model's last answer,

        sqrt(alpha_end^2 s^2 + sigma_end^2) / sqrt(alpha^2 s^2 + sigma^2)

    which is exact for them: on ve an error at sigma far above s shrinks like s/sigma, since the model finds its way
    back, and below it stays. Perturbations of three exact problems end at 0.2 to 1 times that (measured, all frames);
    what dividing by alpha alone predicts is up to 40 times too much at the first steps.

    Report.steps      one StepError for each call: sigma, order, error, share of the sum; None for updates of first
                      order, which have no lower one, and for stages, for which the last call of their step answers
    Report.sentence   where most of the error is, and which steps contribute little
    Report.record()   JSON values
    Report.samples    the estimates of every sample, [calls, S]

    Runs of several batches may be given one after the other. It remembers as many latents as an update combines, and
    reads from the device when it is asked, never while sampling. A callback that moves the state moves it after the
    report has seen it.
    """
    return Report(plan)


#: a call contributes little below this share of what it would have if all contributed alike
_LITTLE = 0.1


def told(steps: Sequence[StepError]) -> str:
    """In words: the step with most of the error, and those that contribute little."""
    known = [each for each in steps if each.share is not None]
    if not known:
        return "no step has a lower order to compare with, so nothing is known of the errors"
    if not any(each.error for each in known):
        return "the errors of all steps are 0"
    worst = max(known, key=lambda each: each.share or 0.0)
    share = worst.share or 0.0
    much = "most of the error" if share > 0.5 else "the most error"
    parts = [
        f"{much}, {100.0 * share:.0f} %, is made in call {worst.call} (sigma {worst.begin:.3g} to {worst.to_sigma:.3g})"
    ]
    # the step to sigma 0 is needed, whatever it contributes
    idle = [each for each in known if (each.share or 0.0) < _LITTLE / len(known) and each.to_sigma > 0.0]
    if idle:
        together = 100.0 * math.fsum(each.share or 0.0 for each in idle)
        who = f"calls {listed(each.call for each in idle)} contribute"
        if len(idle) == 1:
            who = f"call {idle[0].call} contributes"
        parts.append(f"{who} {'less than 0.1' if together < 0.1 else f'{together:.1f}'} %: place levels elsewhere")
    return "; ".join(parts)


def _uses(found: Sequence[Estimate | None]) -> list[dict[str, int]]:
    """For each call the kinds of its prediction that are wanted, and the last call that wants them."""
    uses: list[dict[str, int]] = [{} for _ in found]
    for i, estimate in enumerate(found):
        for j, _ in estimate.factors if estimate else ():
            uses[j][estimate.form] = i  # type: ignore[union-attr]
    return uses


def _prediction(form: str, step: Step, wide: torch.dtype) -> Tensor:
    on_x, on_data = FROM_DATA[form](step.level)
    denoised = step.denoised.to(wide)
    return denoised if form == "data" else step.x.to(wide) * on_x + denoised * on_data


def _rms(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1).sqrt()


def carried(at: Level, end: Level, size: Tensor) -> Tensor | float:
    """What an error at a level has become at the end, as a factor of each sample."""
    if at == end:
        return 1.0
    variance = size.square()
    return ((end.alpha**2 * variance + end.sigma**2) / (at.alpha**2 * variance + at.sigma**2)).sqrt()


def _rows(plan: Plan, errors: Sequence[float | None]) -> Iterable[StepError]:
    finite = [None if error is None or not math.isfinite(error) else error for error in errors]
    total = math.fsum(error for error in finite if error)
    begin = plan.levels[0].host
    for i, (call, error) in enumerate(zip(plan.calls, finite, strict=True)):
        share = None if error is None else error / total if total else 0.0
        where = (call.level.host, call.target.host, begin)
        yield StepError(i + 1, *where, plan.call_orders[i], not call.closes, error, share)
        begin = call.target.host if call.closes else begin
