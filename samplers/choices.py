"""One choice per option name over the whole solver table: what a door shows before any solver is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .options import Option
from .solvers import Solver, solvers
from .statistics import check_name

#: choice whose meaning depends on the solver: its own default
OWN = "default"


#: the order in which the doors show them; append-only, because saved work refers to places
ORDER = (
    "variant",
    "nodes",
    "split",
    "last",
    "final",
    "start",
    "form",
    "eta",
    "s_noise",
    "rtol",
    "atol",
    "controller",
    "h_init",
    "safety",
    "max_calls",
    "statistics",
)

#: what a choice once began as: saved work may hold it beside solvers that have no such option
_FORMER = {"rtol": 0.05}


@dataclass(frozen=True)
class Choice:
    """An option as all solvers that have it see it: the union of their values.

    text     it is a text: the name of a file in the data folder, since no path comes in through a door

    default  what says nothing, and so fits every solver: their common default; where they differ OWN, or -1 if a number
    """

    name: str
    default: str | float
    help: str
    choices: tuple[str, ...]
    low: float
    high: float
    text: bool = False


@cache
def choices() -> tuple[Choice, ...]:
    """A Choice for each option that some solver has."""
    found: dict[str, list[Option]] = {}
    for row in solvers().values():
        for option in row.options:
            found.setdefault(option.name, []).append(option)
    return tuple(_union(name, found[name]) for name in (*ORDER, *(name for name in found if name not in ORDER)))


def _union(name: str, options: list[Option]) -> Choice:
    values = dict.fromkeys(choice for option in options for choice in option.choices)
    defaults = {option.default for option in options}
    default: str | float = options[0].default
    help = " / ".join(dict.fromkeys(option.help for option in options))
    low, high = min(each.low for each in options), max(each.high for each in options)
    if len(defaults) > 1 and values:
        default, values = OWN, {OWN: None, **values}
    elif len(defaults) > 1:
        if low < 0.0:
            raise ValueError(f"option {name!r} may be -1, which would mean the solver's own default")
        default = low = -1.0
        help += "; -1: the solver's own"
    return Choice(name, default, help, tuple(values), low, high, any(option.text for option in options))


def moved(row: Solver, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `row` among the values of choices that were moved from their default.

    Raises ValueError, which begins with the choice's name, for one that the solver does not have and for a bad value.
    """
    defaults = {each.name: each.default for each in choices()}
    given = {name: value for name, value in values.items() if value != defaults.get(name)}
    offered = {option.name: option for option in row.options}
    given = {name: value for name, value in given.items() if name in offered or value != _FORMER.get(name)}
    for name, value in given.items():
        if name not in offered and name in defaults:
            others = [other.id for other in solvers().values() if any(option.name == name for option in other.options)]
            raise ValueError(
                f"{name}: {row.id} has no such option; set it back to {defaults[name]!r}, "
                f"or choose a solver that has it: {', '.join(others)}"
            )
        if name in offered:
            try:
                if offered[name].text:
                    check_name(value)
                offered[name].check(value, row.id)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{name}: {error}") from error
    return given
