"""The plans that tuning chooses from: a multistep method with its levels and weights set free.

A plan of n calls is a point theta of a family. Its entries are, in this order,

    lambda of the n - 1 inner levels
    for step i, the deviations delta_j, j = 1..k_i, of the weights of its k_i older predictions from the method's own,
        w_j = own_j + W delta_j,    w_0 = own_0 - W sum_j delta_j,    W = sum_j own_j

so theta with every delta 0 is the method on these levels. The scale of the state and the sum W of the weights are
never touched: they are what keeps constants (constant x0 and n are solved exactly), so a tuned plan passes the checks
of every plan. What that costs is in docs/decisions/0014-tuning.md: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

from .level import Frame
from .methods.adams import Adams
from .plan import Call, Plan
from .quadrature import CLOCKS, moments, scale, weights

#: id of the plans that are made here, where a published plan has its solver's
TUNED = "tuned"
#: Neighbouring levels stay at least this far apart in lambda.
_GAP = 0.01


@dataclass(frozen=True)
class Family:
    """The plans around one multistep method.

    top, low, end  host sigmas: of the start, the lowest that an inner level may have, and of the end
    method         what theta deviates from, of one call per step
    points         how many predictions an update combines, the newest included
    """

    frame: Frame
    top: float
    low: float
    end: float
    calls: int
    method: Adams
    points: int = 3

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
        """The plan of theta. Raises ValueError where levels meet or a weight is not finite."""
        own = _own_calls(self.frame, tuple(self.sigmas(theta)), self.method)
        calls, at = [], self.levels_size
        for call, count in zip(own, self._free, strict=True):
            calls.append(_moved(call, theta[at : at + count]))
            at += count
        method = self.method
        return Plan(
            solver=TUNED,
            frame=self.frame,
            levels=(calls[0].level, *(call.target for call in calls)),
            calls=tuple(calls),
            order=1,
            options={"form": method.form, "clock": method.clock, "points": self.points},
            reference=f"fitted to a model, from {method.points} points of the {method.form} form in {method.clock}",
        )


@lru_cache(maxsize=256)
def _own_calls(frame: Frame, sigmas: tuple[float, ...], method: Adams) -> tuple[Call, ...]:
    """The method's calls. Unlike `multistep` it never drops to fewer points, so that a fit sees no jumps.

    The step to sigma 0 is in the frame's regular form where the method is in it, and x = D otherwise. A prediction
    made at alpha 0 weighs nothing in the clock lambda, in which it is infinitely far away.
    """
    levels = [frame.level(host) for host in sigmas]
    calls = []
    for i, (s, t) in enumerate(pairwise(levels)):
        form, clock, points = method.form, method.clock, min(method.points, i + 1)
        if t.sigma == 0.0 and frame.regular[0] == form:
            clock = frame.regular[1]
        elif t.sigma == 0.0:
            points = 1
        u = [CLOCKS[clock](frame, level) for level in (*levels[i - points + 1 : i + 1], t)]
        thetas = [(value - u[-2]) / (u[-1] - u[-2]) for value in reversed(u[:-1])] if points > 1 else [0.0]
        own = weights(moments(form, clock, frame, s, t, points), thetas)
        calls.append(Call(s, t, form, scale(form, s, t), tuple(own), True, form, clock, points - 1))
    return tuple(calls)


def _moved(call: Call, deltas: Sequence[float]) -> Call:
    """The call with deviations on its older weights; its weights are as many as there may be deviations."""
    older = [*call.weights[1:], *[0.0] * (len(deltas) + 1 - len(call.weights))]
    whole = math.fsum(call.weights)
    moved = [weight + whole * delta for weight, delta in zip(older, deltas, strict=True)]
    # the newest takes what is left, so that the sum stays
    return replace(call, weights=(whole - math.fsum(moved), *moved), exact_degree=0)
