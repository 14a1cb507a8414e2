"""Guidance on exact mixtures: towards the first half of their modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import fewstep
import torch

from .claim_errors import END, JUDGE, solved
from .problems import Mixture, median_error

Tensor = torch.Tensor


class Conditional(Mixture):
    """The first half of a mixture's modes."""

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        means, widths, weights = Mixture(self.seed, self.dim, self.modes, self.widths).parts
        count = (self.modes + 1) // 2
        return means[:count], widths[:count], weights[:count] / weights[:count].sum()


@dataclass(frozen=True)
class Guided(Mixture):
    """A mixture with guidance to the first half of its modes: D + guidance (D of them - D)."""

    guidance: float = 1.0

    @cached_property
    def _given(self) -> Conditional:
        return Conditional(self.seed, self.dim, self.modes, self.widths)

    def denoise(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        free = super().denoise(x, alpha, sigma)
        return free + self.guidance * (self._given.denoise(x, alpha, sigma) - free)


@cache
def guided_errors(guidance: float, solver: str, levels: str, n: int) -> list[float]:
    """Median error of each problem of the set judge, with guidance."""
    sigmas, out = fewstep.schedule(levels, n, frame="ve", end=END), []
    plan = fewstep.plan(solver, sigmas, "ve")
    for problem in JUDGE:
        mixture = Guided(problem.seed, problem.dim, problem.modes, problem.widths, guidance)
        # schedules differ in the last digits of their ends
        x, exact = solved(mixture, round(sigmas[0], 9), round(sigmas[-1], 9))
        out.append(median_error(fewstep.run(plan, mixture.model("ve"), x), exact))
    return out
