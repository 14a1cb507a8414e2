"""Embedded pairs: steps in lambda as long as a tolerance allows.

A step is tried with an embedded pair (`methods/embedded.py`) at `order` model calls. The error of a sample is

    E = RMS over its numbers of (x_high - x_low)/delta
    delta = max(atol, rtol max(|x_low|, |x_low of the step before|))

and the largest E of the batch decides: the batch shares its steps, and a step counts only if every sample passes. So
a sample may depend on its batch mates, within the tolerance, and is never held to less than it would be alone. (The
official code decides so too; k-diffusion takes the mean over the batch, where easy samples hide a hard one.)

The run goes on with x_high. After a rejection the answer at the start of the step is used again: another attempt costs
order - 1 calls. Each attempt reads back once, since the next step depends on it; the result is looked at once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence

import torch

from .adaptive_run import OVERFLOW, Run, Turn
from .level import Level
from .methods.embedded import Pair, pair
from .run import Memory

Tensor = torch.Tensor


# --- controllers -----------------------------------------------------------------------------------------------------


def _papers(error: float, order: int, safety: float) -> tuple[float, bool]:
    """arXiv 2206.00927, section 3.4, and the official dpm_solver_pytorch.py, lines 956-1010."""
    return (safety * error ** (-1.0 / order) if error else math.inf), error <= 1.0


def _k_diffusion(error: float, order: int, safety: float) -> tuple[float, bool]:
    """k-diffusion's sampling.py, lines 304-330, with its default gains: a limited factor, and errors up to 1.5-1.9."""
    factor = 1.0 + math.atan((error + 1e-8) ** (-1.0 / order) - 1.0)
    return factor, factor >= 0.81


#: name -> (error, order, safety) -> (factor on the step, whether it is accepted)
CONTROLLERS: dict[str, Callable[[float, int, float], tuple[float, bool]]] = {
    "papers": _papers,
    "k_diffusion": _k_diffusion,
}

#: in lambda; models are asked in float32, which cannot tell levels apart that are nearer
_SHORTEST = 1e-6
#: a step that would leave less than this share of itself goes to the end
_REST = 1e-3


# --- running ---------------------------------------------------------------------------------------------------------


class PairRun(Run):
    """A run in steps of lambda, each by an embedded pair of the row's order."""

    #: The published atol 0.0078 at the published rtol 0.05. With a fixed atol the error of latents of size 1 would stop
    #: falling at rtol 0.0078.
    atol_per_rtol = 0.0078 / 0.05

    def turns(self, levels: Sequence[Level]) -> Generator[Turn, None, None]:
        """Between the levels of finite lambda as the tolerance allows; each interval beyond them in one step."""
        finite = [level for level in levels if math.isfinite(level.lam)]
        if levels[0].alpha == 0.0:
            yield from self.end(levels[1], self.row.order)
        if len(finite) > 1:
            yield from self._between(finite[-1])
        if self.at != levels[-1]:
            yield from self.end(levels[-1], self.row.order)

    def _between(self, stop: Level) -> Generator[Turn, None, None]:
        """From here to `stop` in as many steps as the tolerance takes."""
        start, order = self.at, self.row.order
        control, safety = CONTROLLERS[self.options["controller"]], self.options["safety"]
        h, previous = float(self.options["h_init"]), self.x
        while self.at != stop:
            rest = stop.lam - self.at.lam
            target = stop if rest <= h * (1.0 + _REST) else self.frame.level_at_lam(self.at.lam + h)
            tried = pair(self.row.id, self.frame, self.at, target, self.row.form, order)
            memory = Memory()
            high, denoised = self.carry_out(tried.plan, memory)
            low, errors = self._errors(tried, memory, high, previous)
            del memory
            factor, accepted = control(max(errors, default=0.0), order, safety)
            if accepted:
                self.progress = (target.lam - start.lam) / (stop.lam - start.lam)
            yield self.tried(target, errors, accepted, denoised)
            h = factor * (target.lam - self.at.lam)
            if accepted:
                self.x, self.at, previous = high, target, low
            else:
                self.asked.known = denoised  # the next attempt starts where this one did
                if h < _SHORTEST:
                    raise self.no_step(f"{target.lam - self.at.lam:.1e} in lambda", max(errors))

    def _errors(self, tried: Pair, memory: Memory, high: Tensor, previous: Tensor) -> tuple[Tensor, tuple[float, ...]]:
        """(x_low, E of each sample). Raises FloatingPointError for NaN and inf."""
        fine = torch.promote_types(high.dtype, torch.float32)
        with torch.no_grad():
            difference = self.x.to(fine) * tried.on_anchor
            for weight, (prediction, factor) in zip(tried.on_predictions, memory, strict=True):
                difference.add_(prediction.to(fine), alpha=weight * factor)
            low = high.to(fine) - difference
            delta = torch.maximum(low.abs(), previous.to(fine).abs()).mul_(self.options["rtol"])
            # not 0, so that an error of 0 is 0 everywhere
            delta.clamp_(min=max(self.options["atol"], torch.finfo(fine).tiny))
            scaled = (difference / delta).reshape(len(high), math.prod(high.shape[1:]))
            errors = tuple(scaled.square_().mean(dim=1).sqrt_().tolist())
            if not all(map(math.isfinite, errors)) and not bool(torch.isfinite(low).all()):
                raise FloatingPointError(
                    f"{self.row.id} met NaN or inf between sigma {tried.plan.levels[0].host:g} and "
                    f"{tried.plan.levels[1].host:g}, by model call {self.asked.calls}; {OVERFLOW}"
                )
        return low, errors
