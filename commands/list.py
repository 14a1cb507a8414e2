"""`fewstep list`: the solver and schedule tables, and the user's profiles, as text or JSON.

Imports neither torch nor matplotlib, but for profiles.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from ..samplers.auto import AUTO
from ..samplers.names import nearest
from ..samplers.options import Option
from ..samplers.profile_folder import PREFIX, is_profile
from ..samplers.report import finite
from ..samplers.schedules import Schedule, schedule_row, schedules
from ..samplers.solvers import Solver, solver, solvers
from .markdown import page

HELP = "show the solvers and schedules, or the profiles of your models, or one of them in full"

Row = Solver | Schedule
_TABLES: dict[str, Any] = {"solvers": solvers, "schedules": schedules}
_PROFILES = "profiles"
#: columns that hold functions
_CODE = ("build", "formula", "range", "chooses")
_WIDTH = 110


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", metavar="WHAT",
        help=f"solvers, schedules, an id, profiles, or {PREFIX}NAME (default: the solvers and schedules)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--markdown", action="store_true", help="print the page of docs/ (solvers or schedules)")


def run(args: argparse.Namespace) -> int:
    if args.what == _PROFILES or is_profile(args.what):
        return _profiles(args)
    found = _find(args.what)
    if args.json:
        print(json.dumps({name: [record(row) for row in rows] for name, rows in found.items()}, indent=2))
    elif args.markdown:
        print("\n\n".join(page(name, rows) for name, rows in found.items()))
    elif args.what is None or args.what in _TABLES:
        print("\n\n".join(_table(name, rows) for name, rows in found.items()))
    else:
        print("\n\n".join(_details(row) for rows in found.values() for row in rows))
    return 0


def _profiles(args: argparse.Namespace) -> int:
    from ..samplers.profile import load_profile  # torch
    from . import profiles

    if args.markdown:
        raise ValueError("--markdown prints the pages of docs/, solvers and schedules; profiles are yours")
    if args.what == _PROFILES:
        found = profiles.found()
        records = [profiles.record(*each) for each in found.items()]
        text = profiles.table(found)
    else:
        name, profile = args.what.removeprefix(PREFIX), load_profile(args.what)
        records = [profiles.record(name, profile)]
        text = profiles.details(name, profile)
    print(json.dumps({_PROFILES: records}, indent=2, allow_nan=False) if args.json else text)
    return 0


def _find(what: str | None) -> dict[str, list[Row]]:
    """{table: rows}: whole tables, or the rows with that id or alias."""
    tables: dict[str, list[Row]] = {name: list(rows().values()) for name, rows in _TABLES.items()}
    if what is None:
        return tables
    if what in tables:
        return {what: tables[what]}
    if what == AUTO:  # it stands beside the tables
        return {"solvers": [solver(AUTO)], "schedules": [schedule_row(AUTO)]}
    found = {name: [row for row in rows if what in (row.id, *row.aliases)] for name, rows in tables.items()}
    if not any(found.values()):
        known = [name for rows in tables.values() for row in rows for name in (row.id, *row.aliases)]
        raise ValueError(nearest("table, solver or schedule", what, [*tables, _PROFILES, *known]))
    return {name: rows for name, rows in found.items() if rows}


# --- for machines ----------------------------------------------------------------------------------------------------


def record(row: Row) -> dict[str, Any]:
    """A row as JSON values; an open end of a range is null."""
    out = {field.name: getattr(row, field.name) for field in fields(row) if field.name not in _CODE}
    out["options"] = [_option(option) for option in row.options]
    if isinstance(row, Solver):
        out |= {"order": row.order, "variant": row.variant, "orders": dict(row.orders), "notes": dict(row.notes)}
    return out


def _option(option: Option) -> dict[str, Any]:
    if option.choices:
        limits: dict[str, Any] = {"choices": option.choices}
    elif option.text:
        limits = {"text": True}
    else:
        limits = {name: finite(getattr(option, name)) for name in ("low", "high")}
    return {"name": option.name, "default": option.default, **limits, "help": option.help}


# --- for people ------------------------------------------------------------------------------------------------------


def _table(name: str, rows: Iterable[Row]) -> str:
    head = f"{name.upper()}  (of an option's values the first is the default; 'fewstep list ID' explains a row)"
    return "\n".join([head, *(_entry(row) for row in rows)])


def _entry(row: Row) -> str:
    """Three lines: what it is, its options, its source."""
    first = f"  {row.id:<22}{row.label:<22}"
    if isinstance(row, Solver):
        first += f"{row.family:<14}{_orders(row):<24}{_calls(row):<28}"
    lines = [first + " ".join(row.frames)]
    options = "  ".join(_brief(option) for option in row.options)
    aliases = f"also called {', '.join(row.aliases)}; " if row.aliases else ""
    return "\n".join([*lines, *(_indented(text, 24) for text in (options, aliases + row.reference) if text)])


def _orders(row: Solver) -> str:
    others = [f"{name} {order}" for name, order in row.orders.items() if order != row.order]
    return f"order {row.order}" + (f" ({', '.join(others)})" if others else "")


def _calls(row: Solver) -> str:
    return f"{row.calls} call{'s' if row.calls > 1 else ''} per step{', adaptive' if row.adaptive else ''}"


def _brief(option: Option) -> str:
    if option.choices:
        ordered = sorted(option.choices, key=lambda choice: choice != option.default)
        return f"{option.name}={'|'.join(ordered)}"
    if option.text:
        return f"{option.name}=NAME"
    return f"{option.name}={option.default:g} ({option.low:g}..{option.high:g})"


def _indented(text: str, by: int) -> str:
    margin = " " * by
    return textwrap.fill(text, _WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)


def _details(row: Row) -> str:
    facts = {"frames": ", ".join(row.frames), "reference": row.reference}
    if isinstance(row, Solver):
        by_variant = ", ".join(f"{name} {order}" for name, order in row.orders.items())
        order = by_variant if len(row.orders) > 1 else str(row.order)
        facts = {"family": row.family, "order": order, "calls": _calls(row), **facts}
        facts |= {f"note ({where})": text for where, text in row.notes.items()}
    if row.aliases:
        facts["aliases"] = ", ".join(row.aliases)
    lines = [f"{row.id}: {row.label}", _indented(row.about, 2)]
    lines += [f"  {name:<13}{text}" for name, text in facts.items()]
    flag = "--option" if isinstance(row, Solver) else "--schedule-option"
    for option in row.options:
        lines += [f"  {flag} {_brief(option)}", _indented(option.help, 6)]
    return "\n".join(lines)
