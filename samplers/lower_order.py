"""The embedded lower order of an update: what a plan with one prediction less would have done differently.

An update combines k predictions p_j at nodes t_j of its clock with weights w_j. The embedded lower order combines one
prediction less, with weights v_j of the same moments below degree k - 1, and what it would have done differently is

    sum_j (w_j - v_j) p_j = mu * (divided difference of the p_j),    mu = w_d / prod_{l != d} 1/(t_d - t_l)

for w - v annihilates polynomials below degree k - 1, and so do the weights of a divided difference alone; mu makes v
zero at the prediction d that is dropped. That is the oldest one in a multistep update, so that the nodes next to the
step stay, and the newest one in a singlestep block, which is how its published pairs are embedded (DPM-Solver-12 and
-23, arXiv 2206.00927, section 3.4; Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4, III.5).
It is the local error of the lower order: larger than that of the update itself, and it shows where error is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .level import Level
from .plan import Plan
from .quadrature import CLOCKS, moments, weights


@dataclass(frozen=True)
class Estimate:
    """What the lower order does differently at a call: sum of factor * (prediction of kind `form` at call j)."""

    form: str
    factors: tuple[tuple[int, float], ...]


def estimates(plan: Plan) -> tuple[Estimate | None, ...]:
    """For each call of a plan; None where no lower order is: at stages, and at updates of one prediction."""
    return tuple(_estimate(plan, i) for i in range(len(plan)))


def _estimate(plan: Plan, i: int) -> Estimate | None:
    call = plan.calls[i]
    if not call.closes or len(call.weights) < 2:
        return None
    begin = max(j for j in range(i + 1) if plan.opens(j))
    known = [j for j in range(i, -1, -1) if plan.calls[j].keeps]
    at = [(j, weight) for j, weight in zip(known, call.weights, strict=False)]
    if any(plan.calls[j].keeps != call.form for j, _ in at):
        at = _exact(plan, begin, i, known)
    levels = [plan.calls[j].level for j, _ in at]
    clock = CLOCKS[_finite_clock(call.clock, levels)]
    # a repeated node, as of RK4, is one node with the mean of its predictions
    nodes: dict[float, list[tuple[int, float]]] = {}
    for (j, weight), level in zip(at, levels, strict=True):
        nodes.setdefault(clock(plan.frame, level), []).append((j, weight))
    sums = {node: math.fsum(weight for _, weight in members) for node, members in nodes.items()}
    multistep = begin == i
    while multistep and sums and not sums[next(reversed(sums))]:
        sums.popitem()
    if len(sums) < 2:
        return None
    dropped = next(reversed(sums)) if multistep else next(iter(sums))
    width = max(sums) - min(sums)
    difference = {node: math.prod(width / (node - other) for other in sums if other != node) for node in sums}
    mu = sums[dropped] / difference[dropped]
    factors = []
    for node, total in sums.items():
        members = nodes[node]
        shares = [weight / total if total else 1.0 / len(members) for _, weight in members]
        factors += [(j, mu * difference[node] * share) for (j, _), share in zip(members, shares, strict=True)]
    return Estimate(call.form, tuple(factors))


def _finite_clock(clock: str, levels: Iterable[Level]) -> str:
    """A corrector may reach back to flow sigma 1, where lambda is not finite; sigma always is."""
    return clock if all(math.isfinite(level.lam) for level in levels) else "sigma"


def _exact(plan: Plan, begin: int, i: int, known: Sequence[int]) -> list[tuple[int, float]]:
    """The weights of an update whose predictions are remembered as other kinds, so that it does not show them."""
    call, s = plan.calls[i], plan.calls[begin].level
    points = call.exact_degree + 1 if call.exact_degree > 0 else plan.order
    used = [j for j in known if j >= begin] if begin < i else known[:points]
    name = _finite_clock(call.clock, [plan.calls[j].level for j in used])
    start, *u = (CLOCKS[name](plan.frame, level) for level in (s, call.target, *(plan.calls[j].level for j in used)))
    thetas = [(value - start) / (u[0] - start) for value in u[1:]]
    if len(set(thetas)) < len(thetas):
        return []
    mu = moments(call.form, name, plan.frame, s, call.target, len(used))
    return list(zip(used, weights(mu, thetas), strict=True))
