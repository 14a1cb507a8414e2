"""What the plot on a node shows, as JSON values: from the node's widgets before a run, from its plan after one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..samplers.plan import Plan
from ..samplers.report import outline
from ..samplers.schedules import schedule_row
from . import inputs
from .host_sampler import BARE, Choice
from .inputs import about, chosen_solver
from .levels import Levels, make_levels
from .parts import Part, choose
from .ranges import ASSUMED, AUTO, Range, find

MOST_CALLS = 1000
#: what a request may hold, and what is taken where it is silent: the defaults of the widgets, and no guidance
_DEFAULTS: dict[str, Any] = {
    "sampler_name": None,
    "solver_options": {},
    "cfg_pp": False,
    "scheduler": inputs.scheduler()[1]["default"],
    "steps": inputs.steps()[1]["default"],
    "cfg": 1.0,
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
           "cfg", "add_noise", "start_at_step", "end_at_step", "return_with_leftover_noise", "range": id}, all optional

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
    guidance = _number("cfg", asked["cfg"])
    levels = make_levels(
        asked["scheduler"],
        steps,
        _number("denoise", asked["denoise"], 1.0),
        asked["options"],
        where.frame,
        None if name is None else row,
        guidance,
    )
    if name is None:
        return schedule_plot(levels, where) if levels.sigmas else _nothing(where, "denoise is 0: no model call")
    begin, end = (_whole(each, asked[each], 0, 10**6) for each in ("start_at_step", "end_at_step"))
    part = Part(begin, end, asked["add_noise"] != "disable", asked["return_with_leftover_noise"] == "enable")
    # no model and no latent is known here: a part that could go on with a history is drawn as if it did
    # a sampler node has its options from its own widgets; the text is that of the scheduler that it meets
    choice = Choice(row, levels.of_solver | chosen, bool(asked["cfg_pp"]), guidance)
    work = choose(choice, levels.sigmas, where.frame, part)
    if work is None:
        return _nothing(where, "no model call")
    return plot(work.shown, where, *work.span, chosen=[*choice.words(work.shown), *levels.words])


def plot(
    plan: Plan, where: Range, begin: int = 0, end: int | None = None, *, chosen: Sequence[str] = ()
) -> dict[str, Any]:
    """The plot of a plan; calls outside begin..end - 1 belong to another node. Above 1000 calls nothing is drawn.

    chosen  what `auto` took, in words
    """
    if len(plan) > MOST_CALLS:
        return _nothing(where, f"{len(plan)} model calls: only up to {MOST_CALLS} are drawn") | {"total": len(plan)}
    return outline(plan) | {
        "total": len(plan),
        "begin": begin,
        "end": len(plan) if end is None else end,
        "chosen": list(chosen),
        "range": where.facts(),
        "ranges": _ranges(where),
    }


def _nothing(where: Range, why: str) -> dict[str, Any]:
    return {"total": 0, "empty": why, "range": where.facts(), "ranges": _ranges(where)}


def schedule_plot(levels: Levels, where: Range) -> dict[str, Any]:
    """The plot of a schedule alone: where the model is called, with no solver named."""
    shown = plot(BARE.plan(levels.sigmas, where.frame), where, chosen=levels.words)
    return shown | {"solver": None, "order": None}


def _ranges(where: Range) -> list[list[str]]:
    """[id, label] of every range that can be chosen."""
    own = [] if where.assumed else [[where.id, where.label]]
    return [*own, *([each.id, each.label] for each in ASSUMED.values())]


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and low <= value <= high and value == int(value)):
        raise ValueError(f"{name}: got {value!r}, expected a whole number in {low}..{high}")
    return int(value)


def _number(name: str, value: Any, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= high:
        expected = "of at least 0" if high == math.inf else f"in 0..{high:g}"
        raise ValueError(f"{name}: got {value!r}, expected a number {expected}")
    return float(value)
