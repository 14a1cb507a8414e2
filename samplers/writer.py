"""Writes the calls of a plan: the linear algebra that joins forms, kinds of prediction, and steps that are redone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .level import Frame, Level
from .plan import FROM_DATA, Call


class _Move(NamedTuple):
    """scale * (start of the step) + on_state * (state that the newest call sees) + sum_j weights[j] * prediction_j."""

    scale: float
    on_state: float
    weights: tuple[float, ...]
    form: str
    clock: str
    exact_degree: int


class Writer:
    """Writes the calls of a plan, converting between noise, data and velocity predictions where a step needs it.

    A step may want another kind of prediction than was remembered: the last step to sigma 0 of a data-form method, or
    the noise at flow sigma 1. Every such quantity is p*x_j + q*D_j with x_j the state that call j saw, and x_j is a
    combination of the current anchor and the remembered predictions, because every update is linear.

    For the same reason a step can be redone once the model has answered at its end, as correctors do: the difference
    between the two ends is a combination of predictions, and joins the next update (`redo`). It costs no call.
    """

    def __init__(self, frame: Frame, levels: Sequence[Level], eta: float = 0.0) -> None:
        self.frame, self.levels, self.eta = frame, levels, eta
        self.calls: list[Call] = []
        self.at = self._anchor_level = levels[0]
        self._seen: list[Level] = []  # level of each remembered prediction
        self._kept: list[str] = []
        self._opened = 0  # index of the first call of the open step
        self._made: _Move | None = None  # the last step as such, without what its update redid
        self._again: _Move | None = None  # what takes its place, in predictions of the form's kind

    def step(
        self,
        target: Level,
        scale: float,
        weights: Sequence[float],
        *,
        of: str,
        keeps: str,
        clock: str,
        exact_degree: int,
        closes: bool = True,
        noise: float = 0.0,
        spread: float = 0.0,
    ) -> None:
        """Ask the model here, remember `keeps` of its answer, and move to `target`.

        state = scale * anchor + sum_j weights[j] * (prediction of kind `of` at the j-th newest call) + noise * z, and
        `spread` * z besides
        """
        i = len(self.calls)
        self._seen.append(self.at)
        self._kept.append(keeps)
        move = self._converted(i, _Move(scale, 0.0, tuple(weights), of, clock, exact_degree))
        on_anchor, final, degree = move.scale + move.on_state, move.weights, exact_degree
        if self._again is not None:
            on_anchor, final, degree = self._corrected(i, move, self._again)
            self._again = None
        self.calls.append(Call(self.at, target, keeps, on_anchor, final, closes, of, clock, degree, noise, spread))
        self._made = move
        self.at = target
        if closes:
            self._opened = i + 1
            self._anchor_level = target

    def redo(self, scale: float, weights: Sequence[float], *, of: str, clock: str, exact_degree: int) -> None:
        """The next step starts not from the state here, but from where the last step should have gone:

            scale * (start of that step) + sum_j weights[j] * (prediction of kind `of`; j = 0 at the call to come)

        The last step had one call. If it drew noise, `scale` is the one that it had, so that its noise stays.
        """
        self._again = _Move(scale, 0.0, tuple(weights), of, clock, exact_degree)

    def strength(self, form: str, s: Level, t: Level) -> float:
        """eta of a step: 0 in the velocity form, from alpha 0 (noise would drown the start) and to sigma 0."""
        finite = math.isfinite(s.lam) and math.isfinite(t.lam)
        return self.eta if finite and form != "velocity" else 0.0

    def convertible(self, points: int, of: str) -> bool:
        """Whether the newest `points` predictions, that of the next call included, can be had as `of`.

        A state from before noise was added is no combination of later states and predictions.
        """
        older = self._kept[len(self._kept) - points + 1 :] if points > 1 else []
        return all(kept == of for kept in older) or not any(call.added for call in self.calls)

    def _corrected(self, i: int, move: _Move, again: _Move) -> tuple[float, tuple[float, ...], int]:
        """(scale, weights, exact degree) of `move` from the end of `again`, which takes the place of the last step."""
        assert self._made is not None
        made, again = self._made, self._converted(i, again)
        # state here = made.scale * start + made.on_state * x_{i-1} + made.weights * predictions: solved for the start
        share = again.scale / made.scale
        anchor, parts = self._state(i - 1) if made.on_state else (0.0, {})
        on_state = share * (1.0 - made.on_state * anchor) + again.on_state
        total = {i - age: weight for age, weight in enumerate(again.weights)}
        for age, weight in enumerate(made.weights):
            _add(total, i - 1 - age, -share * weight)
        for k, part in parts.items():
            _add(total, k, -share * made.on_state * part)
        total = {k: move.scale * value for k, value in total.items()}
        for age, weight in enumerate(move.weights):
            _add(total, i - age, weight)
        # from an exact state the correction vanishes where both steps are exact for the same polynomials
        alike = all((each.form, each.clock) == (move.form, move.clock) for each in (made, again))
        degree = min(move.exact_degree, made.exact_degree, again.exact_degree) if alike else -1
        return move.scale * on_state + move.on_state, _by_age(i, total), degree

    def _converted(self, i: int, move: _Move) -> _Move:
        """The move in predictions of the kinds that are remembered, call i's being the newest."""
        if all(self._kept[i - age] == move.form for age in range(len(move.weights))):
            return move
        on_state, total = 0.0, dict[int, float]()
        for age, weight in enumerate(move.weights):
            j = i - age
            on_x, on_kept = _conversion(self._kept[j], move.form, self._seen[j])
            _add(total, j, weight * on_kept)
            if on_x:
                anchor, parts = self._state(j)
                on_state += weight * on_x * anchor
                for k, part in parts.items():
                    _add(total, k, weight * on_x * part)
        return move._replace(on_state=on_state, weights=_by_age(i, total))

    def _state(self, j: int) -> tuple[float, dict[int, float]]:
        """The state that call j saw: (factor of the current anchor, {call: factor of its prediction})."""
        anchor, block = 1.0, self._opened
        parts: dict[int, float] = {}
        # walk back from the current anchor to the anchor of j's own step
        while block > j:
            closing = self.calls[block - 1]
            inverse = 1.0 / closing.scale
            anchor *= inverse
            parts = {k: inverse * part for k, part in parts.items()}
            for age, weight in enumerate(closing.weights):
                k = block - 1 - age
                _add(parts, k, -inverse * weight)
            block -= 1
            while block and not self.calls[block - 1].closes:
                block -= 1
        if j > block:  # a stage: one more update, from that anchor
            stage = self.calls[j - 1]
            parts = {k: stage.scale * part for k, part in parts.items()}
            anchor *= stage.scale
            for age, weight in enumerate(stage.weights):
                _add(parts, j - 1 - age, weight)
        return anchor, parts


def _conversion(kept: str, of: str, level: Level) -> tuple[float, float]:
    """(p, q) with  prediction of kind `of` = p*x + q*(prediction of kind `kept`)  at a level."""
    if kept == of:
        return 0.0, 1.0
    p, q = FROM_DATA[of](level)
    p0, q0 = FROM_DATA[kept](level)
    # D = (kept - p0 x)/q0
    return p - q * p0 / q0, q / q0


def _add(total: dict[int, float], key: int, value: float) -> None:
    total[key] = total.get(key, 0.0) + value


def _by_age(i: int, total: dict[int, float]) -> tuple[float, ...]:
    """The weights by call index as a tuple, call i's first, without zeros at its end."""
    weights = [total.get(i - age, 0.0) for age in range(i - min(total, default=i) + 1)]
    while weights and weights[-1] == 0.0:
        weights.pop()
    return tuple(weights)
