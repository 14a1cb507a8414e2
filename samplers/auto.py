"""auto: the solver and the levels that suit a frame and a number of calls, by a table of rules.

The rules are what `benchmarks/exact.py` found on exact problems, and what the two demo networks showed
(docs/decisions/0016-auto.md); they hold published methods and nothing of their own. A rule is chosen by
the frame, by the number of model calls, by the strength of guidance, and by whether noise is asked for.

Where a strength of guidance is known the model is a trained network. That matters even without guidance: networks are
inaccurate at low noise, where exact models reward high orders and many levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .level import Frame
from .options import Option

AUTO = "auto"
#: Guidance from here on is strong: the prediction bends so much along the way that lower orders err less.
STRONG = 2.5

#: of both rows, the solver's and the schedule's
GUIDANCE = Option(
    "guidance",
    0.0,
    "what auto goes by: the strength of guidance of a trained network, 1 without guidance; 0: an exact model, or not "
    "known. The hosts and the command line give their own",
    low=0.0,
    high=1000.0,
)

Options = Mapping[str, Any]


def informed(offered: Iterable[Option], options: Options, guidance: float) -> dict[str, Any]:
    """The options of a row, with the strength of guidance where the row goes by it and none was given.

    guidance  that of a door, whose models are networks: 1 is none, and less counts as 1
    """
    if GUIDANCE not in offered:
        return dict(options)
    return {GUIDANCE.name: min(max(float(guidance), 1.0), GUIDANCE.high), **options}


@dataclass(frozen=True)
class Pick:
    """A row of a table with its options, and the words that say so."""

    id: str
    options: Options = field(default_factory=dict)

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.id} ({options})" if options else self.id


@dataclass(frozen=True)
class Rule:
    """What to take from `calls` model calls on."""

    calls: int
    pick: Pick | Callable[[Frame], Pick]


def _softer(where: Frame) -> Pick:
    """Uniform levels with half the shift of the model's own time, which puts more of them at low noise."""
    time = where.time
    middle = time.sigma(0.5 * (time.t_min + time.t_max))  # shift/(shift + 1) where the time is a shifted one
    return Pick("flow_shift", {"shift": round(0.5 * middle / (1.0 - middle), 6)})


_THIRD = Pick("dpm_solver_3m", {"start": "2s", "last": "denoise", "variant": "paper"})
_DAMPED = Pick("dpm_solver_3m", {"start": "2s", "last": "regular", "variant": "official"})
_SECOND = Pick("dpm_solver_2m", {"last": "regular"})
_FLOW_AB3 = Pick("flow_ab3", {"start": "2s"})
_FLOW_AB4 = Pick("flow_ab4", {"start": "2s"})
_KARRAS, _BETA = Pick("karras"), Pick("beta")

#: situation -> rules for the solver, most calls first
_SOLVERS: Mapping[str, tuple[Rule, ...]] = {
    "noise to 0": (
        Rule(18, Pick("unipc_3", {"variant": "bh1", "last": "regular"})),
        Rule(10, _DAMPED),
        Rule(7, _THIRD),
        Rule(6, _SECOND),
        Rule(1, Pick("ipndm", {"last": "regular"})),
    ),
    "noise to sigma_min": (Rule(18, Pick("unipc_3", {"variant": "bh1"})), Rule(8, _DAMPED), Rule(1, _THIRD)),
    "noise, network": (
        Rule(10, _THIRD),
        Rule(6, _DAMPED),
        Rule(1, Pick("dpm_solver_3m", {"start": "euler", "last": "regular", "variant": "paper"})),
    ),
    "noise, strong guidance": (Rule(14, _THIRD), Rule(1, _SECOND)),
    "noise, eta": (Rule(18, Pick("deis_tab_sde")), Rule(1, Pick("dpmpp_2m_sde"))),
    "flow": (Rule(14, _FLOW_AB4), Rule(7, _FLOW_AB3), Rule(1, Pick("unipc_2"))),
    "flow, network": (Rule(15, _FLOW_AB3), Rule(8, Pick("unipc_2")), Rule(1, _FLOW_AB3)),
    "flow, strong guidance": (Rule(10, Pick("unipc_2")), Rule(1, Pick("dpm_solver_2m"))),
    "flow, eta": (Rule(18, Pick("deis_tab_sde")), Rule(1, Pick("dpmpp_2m_sde"))),
    "flow, strong guidance, eta": (
        Rule(18, Pick("deis_tab_sde")),
        Rule(7, Pick("dpmpp_2m_sde")),
        Rule(1, Pick("ddim")),
    ),
}
#: the same for the levels
_SCHEDULES: Mapping[str, tuple[Rule, ...]] = {
    "noise to 0": (
        Rule(18, Pick("exponential")),
        Rule(7, _KARRAS),
        Rule(6, Pick("polyexponential", {"rho": 0.7})),
        Rule(1, Pick("exponential")),
    ),
    "noise to sigma_min": (Rule(18, Pick("exponential")), Rule(1, _KARRAS)),
    "noise, network": (Rule(7, _KARRAS), Rule(1, _BETA)),
    "noise, strong guidance": (Rule(7, _KARRAS), Rule(1, _BETA)),
    "flow": (Rule(18, _BETA), Rule(10, Pick("sgm_uniform")), Rule(1, _softer)),
    "flow, network": (Rule(1, _BETA),),
    "flow, strong guidance": (Rule(1, _BETA),),
}


def _situation(where: Frame, to_zero: bool, guidance: float) -> str:
    kind = "flow" if where.name == "flow" else "noise"
    if guidance:
        return f"{kind}, strong guidance" if guidance >= STRONG else f"{kind}, network"
    return kind if kind == "flow" else "noise to 0" if to_zero else "noise to sigma_min"


def _first(rules: tuple[Rule, ...], calls: int, where: Frame) -> Pick:
    found = next(rule.pick for rule in rules if calls >= rule.calls)
    return found if isinstance(found, Pick) else found(where)


def choose_solver(where: Frame, calls: int, to_zero: bool = True, *, guidance: float = 0.0, eta: float = 0.0) -> Pick:
    """The solver for so many model calls in a frame.

    to_zero   whether the last level is sigma 0
    guidance  strength of the guidance of a trained network, 1 if it has none; 0: the model is exact, or not known
    eta       0 for the ODE; above, a solver that adds noise of that strength
    """
    if eta:
        kind = "noise" if where.name != "flow" else "flow, strong guidance" if guidance >= STRONG else "flow"
        pick = _first(_SOLVERS[f"{kind}, eta"], calls, where)
        return Pick(pick.id, {**pick.options, "eta": eta})
    return _first(_SOLVERS[_situation(where, to_zero, guidance)], calls, where)


def choose_schedule(where: Frame, calls: int, to_zero: bool = True, *, guidance: float = 0.0) -> Pick:
    """The schedule for so many model calls in a frame; see `choose_solver`."""
    return _first(_SCHEDULES[_situation(where, to_zero, guidance)], calls, where)
