"""What the plot on a node shows, as JSON values: from the node's widgets before a run, from its plan after one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..samplers.plan import Plan
from ..samplers.report import outline
from ..samplers.solvers import solver
from .host_sampler import Choice
from .inputs import chosen_solver
from .levels import make_levels
from .ranges import ASSUMED, AUTO, Range, find

MOST_CALLS = 1000
#: the plot of a schedule alone is drawn with DDIM, which knows no history
_PLAIN = "ddim"
_KNOWN = {
    "sampler_name",
    "solver_options",
    "cfg_pp",
    "scheduler",
    "steps",
    "denoise",
    "options",
    "start_at_step",
    "end_at_step",
    "range",
}


def from_widgets(given: Any) -> dict[str, Any]:
    """The plot of a node's widgets.

    given  {"sampler_name" or null, "solver_options": {}, "cfg_pp", "scheduler", "steps", "denoise", "options": text,
           "start_at_step", "end_at_step", "range": id}, all optional

    Raises ValueError, naming the input, for whatever the node itself would refuse, and for more than 1000 calls.
    """
    if not isinstance(given, Mapping) or not set(given) <= _KNOWN:
        raise ValueError(f"expected an object with some of {', '.join(sorted(_KNOWN))}, got {str(given)[:200]}")
    name = given.get("sampler_name")
    options = given.get("solver_options", {})
    if not isinstance(options, Mapping):
        raise ValueError(f"solver_options: got {options!r}, expected an object")
    row, chosen = chosen_solver(_PLAIN if name is None else name, options)
    steps = _whole("steps", given.get("steps", 10), 1, MOST_CALLS)
    begin = _whole("start_at_step", given.get("start_at_step", 0), 0, 10**6)
    end = _whole("end_at_step", given.get("end_at_step", 10**6), 0, 10**6)
    denoise = _share(given.get("denoise", 1.0))
    where = find(given.get("range", AUTO), None if name is None else row)
    levels, of_text = make_levels(
        given.get("scheduler", "beta"), steps, denoise, given.get("options", ""), where.frame,
        None if name is None else row,
    )  # fmt: skip
    if not levels:
        return _nothing(where, "denoise is 0: no model call")
    if name is None:
        return schedule_plot(levels, where)
    plan = Choice(row, chosen | of_text, bool(given.get("cfg_pp", False))).plan(levels, where.frame)
    return plot(plan, where, begin, min(end, len(plan)))


def plot(plan: Plan, where: Range, begin: int = 0, end: int | None = None) -> dict[str, Any]:
    """The plot of a plan; calls outside begin..end - 1 belong to another node. Above 1000 calls nothing is drawn."""
    if len(plan) > MOST_CALLS:
        return _nothing(where, f"{len(plan)} model calls: only up to {MOST_CALLS} are drawn") | {"total": len(plan)}
    return outline(plan) | {
        "total": len(plan),
        "begin": begin,
        "end": len(plan) if end is None else end,
        "range": where.facts(),
        "ranges": _ranges(where),
    }


def _nothing(where: Range, why: str) -> dict[str, Any]:
    return {"total": 0, "empty": why, "range": where.facts(), "ranges": _ranges(where)}


def schedule_plot(levels: list[float], where: Range) -> dict[str, Any]:
    """The plot of a schedule alone: where the model is called, with no solver named."""
    return plot(Choice(solver(_PLAIN)).plan(levels, where.frame), where) | {"solver": None, "order": None}


def _ranges(where: Range) -> list[list[str]]:
    """[id, label] of every range that can be chosen."""
    own = [] if where.assumed else [[where.id, where.label]]
    return [*own, *([each.id, each.label] for each in ASSUMED.values())]


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and low <= value <= high and value == int(value)):
        raise ValueError(f"{name}: got {value!r}, expected a whole number in {low}..{high}")
    return int(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise ValueError(f"denoise: got {value!r}, expected a number in 0..1")
    return float(value)
