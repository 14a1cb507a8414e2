"""The plans that tuning chooses from: a published multistep method with its levels and weights set free.

A plan of n calls is a point theta of a family. Its entries are, in this order,

    lambda of the n - 1 inner levels
    for step i, the deviations delta_j, j = 1..k_i, of the weights of its k_i older predictions from the published ones,
        w_j = published_j + W delta_j,    w_0 = published_0 - W sum_j delta_j,    W = sum_j published_j

so theta with every delta 0 is the published method on these levels. The scale of the state and the sum W of the weights
are never touched: they are what keeps constants (constant x0 and n are solved exactly), so a tuned plan passes the
checks of every plan. docs/decisions/0014-tuning.md has what that costs, which is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from .level import Frame
from .plan import Call, Plan
from .solvers import plan as published_plan

#: id of the plans that are made here, where a published plan has its solver's
TUNED = "tuned"
#: Neighbouring levels stay at least this far apart in lambda.
_GAP = 0.01


@dataclass(frozen=True)
class Family:
    """The plans around one published method.

    top, low, end  host sigmas: of the start, the lowest that an inner level may have, and of the end
    solver         a multistep method of one call per step, with its options; it keeps one kind of prediction
    points         how many predictions an update combines, the newest included
    """

    frame: Frame
    top: float
    low: float
    end: float
    calls: int
    solver: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    points: int = 4

    @cached_property
    def _free(self) -> tuple[int, ...]:
        """Free weights of each step."""
        return tuple(min(self.points, i + 1) - 1 for i in range(self.calls))

    @property
    def size(self) -> int:
        """Entries of theta."""
        return self.calls - 1 + sum(self._free)

    @property
    def levels_size(self) -> int:
        """How many of them, from the first on, are levels."""
        return self.calls - 1

    @cached_property
    def first_updates(self) -> tuple[int, ...]:
        """For each entry of theta the first call whose update depends on it; that call itself is asked as before."""
        weights = [i for i, count in enumerate(self._free) for _ in range(count)]
        return (*range(self.calls - 1), *weights)

    def start(self, sigmas: Sequence[float]) -> list[float]:
        """The published method on n + 1 levels."""
        return self.project([*(self.frame.level(host).lam for host in sigmas[1:-1]), *[0.0] * sum(self._free)])

    def project(self, theta: Sequence[float]) -> list[float]:
        """theta with its levels moved apart and into the range, where they are not."""
        inner = list(theta[: self.levels_size])
        floor = self.frame.level(self.top).lam
        for i, lam in enumerate(inner):
            inner[i] = floor = max(lam, floor + _GAP)
        ceiling = self.frame.level(self.low).lam + (_GAP if self.end < self.low else 0.0)
        for i in reversed(range(len(inner))):
            inner[i] = ceiling = min(inner[i], ceiling - _GAP)
        return [*inner, *theta[self.levels_size :]]

    def sigmas(self, theta: Sequence[float]) -> list[float]:
        """The n + 1 host sigmas."""
        inner = (self.frame.level_at_lam(lam).host for lam in theta[: self.levels_size])
        return [self.top, *inner, self.end]

    def plan(self, theta: Sequence[float]) -> Plan:
        """The plan of theta. Raises ValueError where levels meet."""
        base = self._published(tuple(self.sigmas(theta)))
        calls, at = [], self.levels_size
        for call, count in zip(base.calls, self._free, strict=True):
            calls.append(_moved(call, theta[at : at + count]))
            at += count
        return replace(base, calls=tuple(calls))

    @cached_property
    def _known(self) -> dict[tuple[float, ...], Plan]:
        return {}

    def _published(self, sigmas: tuple[float, ...]) -> Plan:
        """The published plan, as a tuned plan whose deviations are 0."""
        if sigmas not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            made = published_plan(self.solver, sigmas, self.frame, **self.options)
            if not all(call.closes and not call.noise and call.keeps == made.calls[0].keeps for call in made):
                raise ValueError(f"{made.solver} is not a multistep method of one kind of prediction: it cannot be tuned")
            self._known[sigmas] = replace(
                made,
                solver=TUNED,
                order=1,
                options={"base": made.solver, "points": self.points},
                reference=f"fitted to a model, from {made.solver}: {made.reference}",
                notes=(),
            )
        return self._known[sigmas]


def _moved(call: Call, deltas: Sequence[float]) -> Call:
    """The call with deviations on its older weights; its weights are as many as there may be deviations."""
    older = list(call.weights[1:]) + [0.0] * (len(deltas) + 1 - len(call.weights))
    whole = math.fsum(call.weights)
    for j, delta in enumerate(deltas):
        older[j] += whole * delta
    # the newest takes what is left, so that the sum stays
    return replace(call, weights=(whole - math.fsum(older), *older), exact_degree=0)


