"""A plan as a picture: levels in sigma and in lambda, where the model is called, the degree of each update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..samplers.level import Level
from ..samplers.plan import Plan

#: colour of each form that an update integrates
COLOURS = {"data": "#2f6db3", "noise": "#c8552b", "velocity": "#2e8b57"}
INK, QUIET, BAND = "#33333a", "#8a8a94", "#eef0f5"


def draw(plans: Sequence[Plan], schedules: Sequence[str], path: Path) -> None:
    """One column for each plan, three panels below each other; the ending of `path` decides the format."""
    figure = Figure(figsize=(max(7.5, 4.8 * len(plans)), 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(plans), squeeze=False, sharex="col", gridspec_kw={"height_ratios": (3, 3, 1.7)})
    for column, (plan, schedule) in enumerate(zip(plans, schedules, strict=True)):
        _column(axes[:, column], plan, schedule)
    handles = _legend(plans)
    columns = 3 if len(plans) == 1 else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


def _column(panels: Any, plan: Plan, schedule: str) -> None:
    sigma, lam, degree = panels
    title = f"{plan.solver} on {schedule}\n{plan.frame.name}, {len(plan)} model calls, order {plan.order}"
    sigma.set_title(title, color=INK, fontsize=11)
    for axis in panels:
        for start, end in list(_steps(plan))[::2]:
            axis.axvspan(start, end, color=BAND, linewidth=0, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(QUIET)
        axis.tick_params(colors=INK, labelsize=9)
    sigma.set_ylabel("sigma" if plan.frame.name != "vp" else "sigma / alpha", color=INK)
    _curve(sigma, plan, [level.host for level in _asked(plan)])
    lam.set_ylabel("lambda = log(alpha / sigma)", color=INK)
    _curve(lam, plan, [level.lam for level in _asked(plan)])
    _degrees(degree, plan)
    degree.xaxis.get_major_locator().set_params(integer=True)


def _asked(plan: Plan) -> list[Level]:
    """Where the state is before each call, and at the end."""
    return [*(call.level for call in plan), plan.levels[-1]]


def _steps(plan: Plan) -> Iterator[tuple[int, int]]:
    """(first call, first call of the next step) of each step."""
    start = 0
    for i, call in enumerate(plan, 1):
        if call.closes:
            yield start, i
            start = i


def _curve(axis: Any, plan: Plan, values: Sequence[float]) -> None:
    """Values against the number of calls made; infinite ones become arrow heads at the border."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]  # flow with one call: -inf to +inf
    low, high = min(finite), max(finite)
    pad = 0.08 * (high - low or 1.0)
    axis.set_ylim(low - 2 * pad, high + 2 * pad)
    shown = [min(max(value, low - 1.3 * pad), high + 1.3 * pad) for value in values]
    axis.plot(range(len(shown)), shown, color=QUIET, linewidth=1.2, zorder=1)
    size = 7.0 if len(plan) <= 30 else 3.5
    first = {start for start, _ in _steps(plan)}
    for i, (value, at) in enumerate(zip(values, shown, strict=True)):
        colour = COLOURS[plan.calls[i].form] if i < len(plan) else "white"
        marker = "o" if math.isfinite(value) else ("^" if value > 0 else "v")
        # a stage inside a step is a ring; the last level is no call
        face = colour if i in first else "white"
        edge = colour if i < len(plan) else INK
        axis.plot(i, at, marker, color=face, markeredgecolor=edge, markersize=size, markeredgewidth=1.6, zorder=3)
        if not math.isfinite(value):
            away, side = (-9, "right") if i else (9, "left")
            words = {"ha": side, "va": "center", "color": INK, "fontsize": 9, "textcoords": "offset points"}
            axis.annotate("+inf" if value > 0 else "-inf", (i, at), (away, 0), **words)


def _degrees(axis: Any, plan: Plan) -> None:
    """The degree of polynomial that each update integrates exactly, as a bar over the interval that it crosses."""
    for i, call in enumerate(plan):
        axis.hlines(call.exact_degree, i + 0.06, i + 0.94, color=COLOURS[call.form], linewidth=5)
    top = max(call.exact_degree for call in plan)
    axis.set_ylim(-0.5, max(top, 2) + 0.6)
    axis.set_yticks(range(max(top, 2) + 1))
    axis.set_ylabel("exact degree", color=INK)
    clocks = dict.fromkeys(call.clock for call in plan)
    axis.set_xlabel(f"model calls made (clock: {', '.join(clocks)})", color=INK)


def _legend(plans: Sequence[Plan]) -> list[Line2D | Patch]:
    forms = dict.fromkeys(call.form for plan in plans for call in plan)
    ring: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 7, "markeredgewidth": 1.6}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=QUIET, markeredgecolor=QUIET, label="call that begins a step", **ring)
    ]
    if any(not call.closes for plan in plans for call in plan):
        handles.append(Line2D([], [], color="white", markeredgecolor=QUIET, label="call inside a step", **ring))
    handles.append(Line2D([], [], color="white", markeredgecolor=INK, label="last level, no call", **ring))
    handles.append(Patch(facecolor=BAND, edgecolor=QUIET, label="every other step"))
    handles += [Patch(facecolor=COLOURS[form], label=f"{form} form") for form in forms]
    return handles
