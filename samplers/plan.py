"""Plans: a solver as data. A plan is a list of calls; each call asks the model once and updates the state.

    state <- scale * anchor + sum_j weights[j] * prediction_j + noise * z    (j = 0 is the newest remembered prediction)

The anchor is the state at the start of the step. A call that `closes` its step makes its state the next anchor;
stages of a Runge-Kutta step do not close. z is standard normal, of its own for each pair of levels; what noise a stage
was given is carried along by the ratio of the scales, so that the noises of a step belong to one path. All numbers are
float64 Python floats, made before the first model call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from .level import Frame, Level

#: (p, q) with  quantity = p*x + q*D  at a level, for a state x = alpha x0 + sigma n and the data prediction D.
FROM_DATA: dict[str, Callable[[Level], tuple[float, float]]] = {
    "data": lambda level: (0.0, 1.0),
    "noise": lambda level: (1.0 / level.sigma, -level.alpha / level.sigma),
    "velocity": lambda level: (1.0 / level.sigma, -(level.alpha + level.sigma) / level.sigma),
}


@dataclass(frozen=True)
class Call:
    """One model call and the update after it.

    level         where the model is asked
    target        the level of the state after the update
    keeps         what is remembered of the answer: noise, data or velocity; empty when nothing is
    scale         factor on the anchor
    weights       factors on the remembered predictions, newest first
    closes        whether the update ends a step
    form, clock   the straight form that is integrated, and the variable in which its prediction is extrapolated
    exact_degree  the update is exact when that prediction is a polynomial of at most this degree in that clock,
                  for the exact start of the step (stages included); -1: for constant x0 and n only
    noise         standard deviation of the noise that is added, between `level` and `target`
    spread        of further noise, for the spread of x0 that a prediction leaves out, and that a constant x0 has not
    """

    level: Level
    target: Level
    keeps: str
    scale: float
    weights: tuple[float, ...]
    closes: bool
    form: str
    clock: str
    exact_degree: int
    noise: float = 0.0
    spread: float = 0.0

    @property
    def added(self) -> float:
        """Standard deviation of all the noise that is added."""
        return math.hypot(self.noise, self.spread)


@dataclass(frozen=True)
class Plan:
    """A fixed-step method on given levels. `len(plan)` is the number of model calls; checks itself when built."""

    solver: str
    frame: Frame
    levels: tuple[Level, ...]
    calls: tuple[Call, ...]
    order: int
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    reference: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
        _check(self)

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def opens(self, i: int) -> bool:
        """Whether call i (or the end, i = len(plan)) begins a step: the state there is a level's, not a stage's."""
        return 0 <= i <= len(self) and (i == 0 or self.calls[i - 1].closes)

    @property
    def memory(self) -> int:
        """How many predictions a run remembers at most, the newest included."""
        return max((len(update.weights) for update in self.updates), default=0)

    @property
    def stochastic(self) -> bool:
        """Whether a run draws noise."""
        return any(update.noise for update in self.updates)

    @cached_property
    def call_orders(self) -> tuple[int, ...]:
        """The order of each update: that of the method where it combines enough predictions (midpoint weights, say, are
        of second order though they are exact for constants only), lower at the start, at a first-order end, for stages
        and where levels suit no higher one."""
        found, inside = [], 0
        for call in self.calls:
            inside += 1  # calls of this step so far; a zero weight at the end of the list is left out of it
            found.append(min(self.order, max(call.exact_degree + 1, len(call.weights), inside)))
            inside = 0 if call.closes else inside
        return tuple(found)

    @cached_property
    def updates(self) -> tuple[Update, ...]:
        """The one-register updates that a run carries out (see `fold`)."""
        return fold(self.calls, float(self.options.get("s_noise", 1.0)))

    def __reduce__(self) -> tuple[Any, ...]:
        # a mapping proxy cannot be pickled or copied; a plan that is read back checks itself again
        fields = (self.solver, self.frame, self.levels, self.calls, self.order, dict(self.options))
        return Plan, (*fields, self.reference, self.notes)

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        lines = [
            f"{self.solver} on {self.frame.name}, {len(self)} model calls, order {self.order} ({options})",
            "state = scale * (state at the start of the step) + weights * (predictions, newest first)",
        ]
        for i, call in enumerate(self.calls):
            size = max(abs(call.scale), *map(abs, call.weights), 0.0)
            scale, *weights = (0.0 if abs(value) < 1e-14 * size else value for value in (call.scale, *call.weights))
            lines.append(
                f"{i + 1:4d}  ask at {call.level.host:<10.5g} -> {call.target.host:<10.5g} "
                f"{call.form} in {call.clock}, order {self.call_orders[i]}{'' if call.closes else ', stage'}: "
                f"{scale:.5g}; "
                + " ".join(f"{weight:+.5g}" for weight in weights)
                + (f"; noise {call.added:.5g}" if call.added else "")
            )
        return "\n".join([*lines, *self.notes])


def _check(plan: Plan) -> None:
    """Raises ValueError unless every number is finite, the calls join up, and constants are kept.

    For constant x0 and n, x = alpha x0 + sigma n is the solution in every form, so the part of x0 and the part of n
    of every update must come out as the target's alpha and sigma. With noise the part of n and the noise together have
    the variance sigma^2 in the data form; the noise form keeps it only as h -> 0, and is held to alpha alone.
    """
    calls, levels = plan.calls, plan.levels
    at, anchor = levels[0], levels[0]
    kept: list[tuple[float, float]] = []  # (part of x0, part of n) of the remembered predictions, oldest first
    carried, before = 0.0, 1.0  # noise that the open step has, and the scale of its last update
    for i, call in enumerate(calls):
        if call.level != at:
            raise ValueError(f"{plan.solver}: call {i} asks at {call.level.host:g}, but the state is at {at.host:g}")
        if call.keeps:
            kept.append(_CONSTANTS[call.keeps])
        if len(call.weights) > len(kept):
            raise ValueError(
                f"{plan.solver}: call {i} uses {len(call.weights)} predictions, but only {len(kept)} are known"
            )
        signal, noise = call.scale * anchor.alpha, call.scale * anchor.sigma
        size = (1.0 + abs(call.scale)) * (anchor.alpha + anchor.sigma)
        newest = len(kept) - 1
        for age, weight in enumerate(call.weights):
            of_x0, of_n = kept[newest - age]
            signal += weight * of_x0
            noise += weight * of_n
            size += abs(weight)
        at = call.target
        carried = math.hypot(carried * call.scale / before, call.noise) if carried or call.noise else 0.0
        noise = math.hypot(noise, carried) if carried else noise
        error = abs(signal - at.alpha)
        if not (carried and call.keeps == "noise"):
            error = max(error, abs(noise - at.sigma))
        # rounding is near 1e-15 on published schedules (tests/test_plan_algebra.py asks for 1e-13 there); levels that
        # differ by a factor of 1e9 cost digits, and a wrong weight is off by far more
        if not error <= 1e-9 * size:
            raise ValueError(
                f"{plan.solver}: call {i} from sigma {anchor.host:g} to {at.host:g} does not keep constants "
                f"(off by {error:.1e} of {size:.1e}); its weights are wrong"
            )
        before = call.scale
        if call.closes:
            anchor, carried, before = at, 0.0, 1.0
    if not calls or not calls[-1].closes or at != levels[-1]:
        raise ValueError(f"{plan.solver}: the plan ends at sigma {at.host:g}, expected {levels[-1].host:g}")


#: (part of x0, part of n) of each kind of prediction when x0 and n are constant
_CONSTANTS = {"data": (1.0, 0.0), "noise": (0.0, 1.0), "velocity": (-1.0, 1.0)}


@dataclass(frozen=True)
class Update:
    """state <- scale * state + sum_j weights[j] * prediction_j + noise * z: a call with its anchor eliminated."""

    scale: float
    weights: tuple[float, ...]
    noise: float = 0.0


def fold(calls: Sequence[Call], s_noise: float = 1.0) -> tuple[Update, ...]:
    """One-register form: inside a step the anchor is a combination of the state and the predictions since.

    That saves holding the anchor, one latent, and costs nothing (docs/decisions/0003-one-register.md).
    """
    out = []
    state: tuple[float, tuple[float, ...]] = (
        1.0,
        (),
    )  # the state as scale * anchor + sum over the predictions, newest first
    for call in calls:
        pushed = (0.0, *state[1]) if call.keeps else state[1]
        ratio, noise = call.scale / state[0], s_noise * call.added
        if any(pushed):
            length = max(len(pushed), len(call.weights))
            now = call.weights + (0.0,) * (length - len(call.weights))
            before = pushed + (0.0,) * (length - len(pushed))
            out.append(Update(ratio, _trim(tuple(a - ratio * b for a, b in zip(now, before, strict=True))), noise))
        else:
            out.append(Update(ratio, call.weights, noise))
        state = (1.0, ()) if call.closes else (call.scale, call.weights)
    return tuple(out)


def _trim(weights: tuple[float, ...]) -> tuple[float, ...]:
    while weights and weights[-1] == 0.0:
        weights = weights[:-1]
    return weights
