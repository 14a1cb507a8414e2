"""The solver table: every method, its options and what is promised of it.

Menus, the command line, the docs tables and the parametrised tests are made from this table and from nothing else. Its
rows are in `solver_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

from .auto import AUTO
from .level import Frame, Level, read_levels
from .level import frame as make_frame
from .names import nearest
from .options import check_options
from .plan import Plan
from .solver_options import Situation, resolved
from .solver_row import Solver, Where
from .solver_rows import auto, rows
from .statistics import Statistics
from .times import TimeMap

__all__ = ["Solver", "Where", "check", "offered_solvers", "plan", "solver", "solvers"]


@cache
def _table() -> dict[str, Solver]:
    return {row.id: row for row in rows()}


@cache
def _aliases() -> dict[str, str]:
    return {alias: row.id for row in _table().values() for alias in row.aliases}


def solvers() -> dict[str, Solver]:
    """{id: Solver} of every solver, in menu order. Needs neither torch nor numpy."""
    return dict(_table())


def offered_solvers() -> dict[str, Solver]:
    """What a menu may offer, by id: `auto`, then every solver."""
    return {AUTO: auto(), **_table()}


def solver(id: str | Solver) -> Solver:
    """The row of an id or alias, or of `auto`; ValueError with the nearest match otherwise."""
    if isinstance(id, Solver):
        return id
    if not isinstance(id, str):
        raise ValueError(f"a solver is given by its id, got {id!r}; fewstep.solvers() lists them")
    if id == AUTO:
        return auto()
    known = _aliases().get(id, id)
    if known not in _table():
        raise ValueError(nearest("solver", id, [AUTO, *_table(), *_aliases()]))
    return _table()[known]


_HINTS = {
    "eta": "it is deterministic, no noise is added; leave eta out",
    "s_noise": "it is deterministic, no noise is added; leave s_noise out",
    "order": "the order is part of the solver's id (for example dpmpp_2m, dpmpp_3m)",
}
_ETA_SETTLED = "the method settles its noise; s_noise is a factor on it"


def plan(
    id: str | Solver,
    sigmas: Sequence[float],
    frame: str | Frame = "ve",
    *,
    time: str | TimeMap | Sequence[float] | None = None,
    **options: Any,
) -> Plan:
    """The plan of a solver on a schedule: n + 1 strictly decreasing levels give exactly n model calls.

    id       a solver id or alias (`fewstep.solvers()`)
    sigmas   n + 1 host sigmas, highest first; the last may be 0 (a tensor is read back once)
    frame    ve: x = x0 + sigma n;  vp: x = alpha x0 + sigma n, the sigmas given are sigma/alpha;
             flow: x = (1 - sigma) x0 + sigma n
    time     the model's own time t(sigma), for tAB-DEIS: a name, a list of the model's sigmas, or a TimeMap
    options  those of the solver's row

    Raises ValueError for unknown ids and options, values out of range, levels that do not decrease, a frame on which
    the solver is not defined, and for adaptive solvers.
    """
    row, where = solver(id), make_frame(frame, time)
    checked = check(row, where, options)
    levels = read_levels(sigmas, where)
    if row.chooses is not None:
        chosen, settings = row.chooses(where, levels, checked)
        made = plan(chosen, sigmas, where, **settings)
        return replace(made, notes=(f"chosen by {row.id} for {len(made)} calls on {where.name}", *made.notes))
    eta = checked.get("eta", 0.0)
    # methods that offer a form, or settle it, are in the velocity form on flow, unless noise is added
    offers_form = "form" in checked or (row.ode is not None and "form" in row.ode[1])
    form = "velocity" if where.name == "flow" and offers_form and not eta else checked.get("form", row.form)
    settled = resolved(checked, Situation(where, form, len(levels) - 1, levels[-1].sigma == 0.0, eta))
    return Plan(
        solver=row.id,
        frame=where,
        levels=levels,
        calls=tuple(row.build(where, levels, **settled)),
        order=row.orders[settled.get("variant", "paper")],
        # a plan records texts and numbers
        options={name: value if isinstance(value, (str, float)) else str(value) for name, value in settled.items()},
        reference=row.reference,
        notes=tuple(_notes(row, where, levels, form if eta else "")),
    )


#: Above this step in lambda the noise form's noise grows out of hand: its variance has e^{2h} - 1 in the place of
#: 1 - e^{-2h} (docs/mathematics.md).
_WIDEST_NOISY_STEP = 0.7


def _notes(row: Solver, where: Frame, levels: Sequence[Level], noisy_form: str) -> Iterator[str]:
    """What a user should know of this solver on these levels."""
    if where.name in row.notes:
        yield row.notes[where.name]
    widest = max((b.lam - a.lam for a, b in pairwise(levels) if math.isfinite(b.lam - a.lam)), default=0.0)
    if noisy_form == "noise" and widest > _WIDEST_NOISY_STEP:
        yield (
            f"warning: a step of {widest:.2g} in lambda; with noise the noise form is unstable above "
            f"{_WIDEST_NOISY_STEP}: take more calls, or a solver in the data form such as dpmpp_2m_sde"
        )


def check(row: Solver, where: Frame, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their defaults. ValueError for an option or a frame that the solver does not have."""
    if where.name not in row.frames:
        note = f"; {row.notes[where.name]}" if where.name in row.notes else ""
        raise ValueError(f"{row.id} is defined on {', '.join(row.frames)}, not on {where.name}{note}")
    hints = {**_HINTS, "eta": _ETA_SETTLED} if row.stochastic else _HINTS
    checked = check_options(options, row.options, row.id, hints)
    if "statistics" in checked:
        checked["statistics"] = _statistics(row, checked["statistics"]).fits(where)
    return checked


def _statistics(row: Solver, given: Statistics | str) -> Statistics:
    if isinstance(given, Statistics):
        return given
    raise ValueError(
        f"{row.id} needs the option statistics: what fewstep.measure_statistics or 'fewstep statistics' measured of "
        "this model, or the name under which it was saved"
    )
