"""What the plot on a node shows, as JSON values: from the node's widgets before a run, from its plan after one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..samplers.plan import Plan
from ..samplers.report import outline
from ..samplers.schedules import schedule_row
from . import inputs
from .host_sampler import BARE, Choice
from .inputs import about, chosen_solver
from .levels import make_levels
from .parts import Part, choose
from .ranges import ASSUMED, AUTO, Range, find

MOST_CALLS = 1000
#: what a request may hold, and what is taken where it is silent: the defaults of the widgets
_DEFAULTS: dict[str, Any] = {
    "sampler_name": None,
    "solver_options": {},
    "cfg_pp": False,
    "scheduler": inputs.scheduler()[1]["default"],
    "steps": inputs.steps()[1]["default"],
    "denoise": 1.0,
    "options": "",
    "add_noise": "enable",
    "start_at_step": 0,
    "end_at_step": 10**6,
    "return_with_leftover_noise": "disable",
    "range": AUTO,
}


def from_widgets(given: Any) -> dict[str, Any]:
    """The plot of a node's widgets.

    given  {"sampler_name" or null, "solver_options": {}, "cfg_pp", "scheduler", "steps", "denoise", "options": text,
           "add_noise", "start_at_step", "end_at_step", "return_with_leftover_noise", "range": id}, all optional

    Raises ValueError, naming the input, for whatever the node itself would refuse, and for more than 1000 calls.
    """
    if not isinstance(given, Mapping) or not set(given) <= _DEFAULTS.keys():
        raise ValueError(f"expected an object with some of {', '.join(sorted(_DEFAULTS))}, got {str(given)[:200]}")
    asked = _DEFAULTS | dict(given)
    name, options = asked["sampler_name"], asked["solver_options"]
    if not isinstance(options, Mapping):
        raise ValueError(f"solver_options: got {options!r}, expected an object")
    row, chosen = chosen_solver(BARE.row.id if name is None else name, options)
    with about("scheduler"):
        frames = set(row.frames) & set(schedule_row(asked["scheduler"]).frames)
    where = find(asked["range"], frames)
    if name is not None and row.adaptive:
        return _nothing(where, f"{row.label} chooses its steps while it runs: there is no plan to draw")
    steps = _whole("steps", asked["steps"], 1, MOST_CALLS)
    levels, of_text = make_levels(
        asked["scheduler"],
        steps,
        _share(asked["denoise"]),
        asked["options"],
        where.frame,
        None if name is None else row,
    )
    if name is None:
        return schedule_plot(levels, where) if levels else _nothing(where, "denoise is 0: no model call")
    begin, end = (_whole(each, asked[each], 0, 10**6) for each in ("start_at_step", "end_at_step"))
    part = Part(begin, end, asked["add_noise"] != "disable", asked["return_with_leftover_noise"] == "enable")
    # no model and no latent is known here: a part that could go on with a history is drawn as if it did
    work = choose(Choice(row, chosen | of_text, bool(asked["cfg_pp"])), levels, where.frame, part)
    if work is None:
        return _nothing(where, "no model call")
    return plot(work.shown, where, *work.span)


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
    return plot(BARE.plan(levels, where.frame), where) | {"solver": None, "order": None}


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
