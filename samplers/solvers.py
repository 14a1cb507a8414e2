"""The solver table: every method, its options and what is promised of it.

Menus, the command line, the docs tables and the parametrised tests are made from this table and from nothing else. Its
rows are in `solver_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from .level import Frame, read_levels
from .level import frame as make_frame
from .names import nearest
from .options import check_options
from .plan import Plan
from .solver_options import Situation, resolved
from .solver_row import Solver, Where
from .solver_rows import rows
from .times import TimeMap

__all__ = ["Solver", "Where", "check", "plan", "solver", "solvers"]


@cache
def _table() -> dict[str, Solver]:
    return {row.id: row for row in rows()}


@cache
def _aliases() -> dict[str, str]:
    return {alias: row.id for row in _table().values() for alias in row.aliases}


def solvers() -> dict[str, Solver]:
    """{id: Solver} of every solver, in menu order. Needs neither torch nor numpy."""
    return dict(_table())


def solver(id: str | Solver) -> Solver:
    """The row of an id or alias; ValueError with the nearest match otherwise."""
    if isinstance(id, Solver):
        return id
    if not isinstance(id, str):
        raise ValueError(f"a solver is given by its id, got {id!r}; fewstep.solvers() lists them")
    known = _aliases().get(id, id)
    if known not in _table():
        raise ValueError(nearest("solver", id, [*_table(), *_aliases()]))
    return _table()[known]


_HINTS = {
    "eta": "it is deterministic, no noise is added; leave eta out",
    "s_noise": "it is deterministic, no noise is added; leave s_noise out",
    "order": "the order is part of the solver's id (for example dpmpp_2m, dpmpp_3m)",
}


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
    if row.adaptive:
        raise ValueError(
            f"{row.id} chooses its steps while it runs, so it has no plan; use fewstep.sample(..., solver={row.id!r}) "
            "or fewstep.adaptive, or a solver of fixed steps such as dpmpp_2m"
        )
    checked = check(row, where, options)
    levels = read_levels(sigmas, where)
    form = "velocity" if where.name == "flow" and "form" in checked else checked.get("form", row.form)
    eta = checked.get("eta", 0.0)
    settled = resolved(checked, Situation(where, form, len(levels) - 1, levels[-1].sigma == 0.0, eta))
    return Plan(
        solver=row.id,
        frame=where,
        levels=levels,
        calls=tuple(row.build(where, levels, **settled)),
        order=row.orders[settled.get("variant", "paper")],
        options=settled,
        reference=row.reference,
        notes=(row.notes[where.name],) if where.name in row.notes else (),
    )


def check(row: Solver, where: Frame, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their defaults. ValueError for an option or a frame that the solver does not have."""
    if where.name not in row.frames:
        note = f"; {row.notes[where.name]}" if where.name in row.notes else ""
        raise ValueError(f"{row.id} is defined on {', '.join(row.frames)}, not on {where.name}{note}")
    return check_options(options, row.options, row.id, _HINTS)
