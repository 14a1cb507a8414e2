"""Embedded pairs: one step by two methods that share their model calls, and the difference of the two.

    12   DDIM inside singlestep order 2 with its inner node at 1/2
    23   singlestep order 2 with its inner node at 1/3 inside order 3 with 1/3 and 2/3

The weights are the papers' (DPM-Solver-12 and -23: arXiv 2206.00927, section 3.4; data form: arXiv 2211.01095).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..level import Frame, Level
from ..plan import Call, Plan
from ..writer import Writer
from .blocks import PAPER_NODES, write_exponential, write_regular, write_single


@dataclass(frozen=True)
class Pair:
    """One step of a pair between two levels of finite lambda: the plan of the higher method, the calls of the lower.

    higher - lower = on_anchor * (state at the start) + sum_j on_predictions[j] * (prediction j, newest first)
    """

    plan: Plan
    lower: tuple[Call, ...]

    @cached_property
    def on_anchor(self) -> float:
        return self.plan.calls[-1].scale - self.lower[-1].scale

    @cached_property
    def on_predictions(self) -> tuple[float, ...]:
        # a difference of weights, not of states: in half precision nothing is lost, and it vanishes with the step
        newer = len(self.plan) - len(self.lower)
        higher, lower = self.plan.calls[-1].weights, (0.0,) * newer + self.lower[-1].weights
        padded = [(*each, *(0.0,) * (len(self.plan) - len(each))) for each in (higher, lower)]
        return tuple(a - b for a, b in zip(*padded, strict=True))


def pair(solver: str, frame: Frame, s: Level, t: Level, form: str, order: int) -> Pair:
    """The step from s to t by the pair of orders (order - 1, order); form noise: DPM-Solver, data: DPM-Solver++."""
    nodes = PAPER_NODES[order]
    calls = _block(frame, s, t, form, nodes)
    return Pair(Plan(solver, frame, (s, t), tuple(calls), order), tuple(_block(frame, s, t, form, nodes[:-1])))


def _block(frame: Frame, s: Level, t: Level, form: str, nodes: Sequence[float]) -> list[Call]:
    writer = Writer(frame, (s, t))
    inner = [frame.level_at_lam(s.lam + c * (t.lam - s.lam)) for c in nodes[1:]]
    if inner:
        write_exponential(writer, [s, *inner, t], form, variant="paper")
    else:
        write_single(writer, t, form, "lambda")
    return writer.calls


def end_step(solver: str, frame: Frame, s: Level, t: Level, order: int, last: str) -> Plan:
    """The one step of an interval with an end at infinite lambda, flow sigma 1 or sigma 0.

    A Runge-Kutta block of `order` calls in the form and clock that are regular there; with last="denoise" the step to
    sigma 0 is x = D.
    """
    writer = Writer(frame, (s, t))
    if t.sigma == 0.0 and last == "denoise":
        write_single(writer, t, *frame.regular)
    else:
        write_regular(writer, [*[s] * order, t], nodes="paper")  # the levels in between are the papers' fractions
    return Plan(solver, frame, (s, t), tuple(writer.calls), order)
