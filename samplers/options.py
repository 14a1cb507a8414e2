"""Options of solvers and schedules: the record from which checks, menus, tooltips and docs are made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .names import nearest


@dataclass(frozen=True)
class Option:
    """One option: `choices` of strings, or a numeric range `low`..`high` (the default's type decides int or float).

    A default of None means "taken from the model or the schedule"; such an option is numeric.
    """

    name: str
    default: str | float | None
    help: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf

    def check(self, value: Any, owner: str) -> Any:
        """The value, normalised; ValueError says what was given and what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise ValueError(f"{owner}: " + nearest(f"value for option {self.name!r}", value, self.choices))
            return value
        if value is None and self.default is None:
            return None
        whole = isinstance(self.default, int)
        wanted = "a whole number" if whole else "a number"
        if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
            raise ValueError(f"{owner}: option {self.name!r} is {value!r}, expected {wanted}")
        number = float(value)
        if whole and not number.is_integer():
            raise ValueError(f"{owner}: option {self.name!r} is {value!r}, expected {wanted}")
        if not self.low <= number <= self.high:
            raise ValueError(
                f"{owner}: option {self.name!r} is {value!r}, expected {wanted} in {self.low:g}..{self.high:g}"
            )
        return int(number) if whole else number


def check_options(
    given: Mapping[str, Any], offered: Iterable[Option], owner: str, hints: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Every offered option with its value, given or default. Unknown names raise ValueError with the nearest match.

    `hints` maps a name that is often tried to the reason why it is not offered here.
    """
    table = {option.name: option for option in offered}
    for name in given:
        if name in hints and name not in table:
            raise ValueError(f"{owner} has no option {name!r}: {hints[name]}")
        if name not in table:
            raise ValueError(
                f"{owner}: " + nearest("option", name, table) if table else f"{owner} takes no options, got {name!r}"
            )
    return {
        name: option.check(given[name], owner) if name in given else option.default for name, option in table.items()
    }
