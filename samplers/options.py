"""Options of solvers and schedules: the record from which checks, menus, tooltips and docs are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .names import nearest


@dataclass(frozen=True)
class Option:
    """One option: `choices` of strings, a numeric range `low`..`high`, or a text that `reads` makes something of.

    reads  (given) -> value, ValueError otherwise; it may take more than texts where the caller is a program
    """

    name: str
    default: str | float
    help: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    reads: Callable[[Any], Any] | None = field(default=None, repr=False)

    @property
    def text(self) -> bool:
        """Whether it is a text: neither a choice nor a number."""
        return self.reads is not None

    def check(self, value: Any, owner: str) -> Any:
        """The value, normalised; ValueError says what was given and what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise ValueError(f"{owner}: " + nearest(f"value for option {self.name!r}", value, self.choices))
            return value
        if self.reads is not None:
            try:
                return value if isinstance(value, str) and value == self.default else self.reads(value)
            except ValueError as error:
                raise ValueError(f"{owner}: option {self.name!r}: {error}") from error
        if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
            raise ValueError(f"{owner}: option {self.name!r} is {value!r}, expected a number")
        number = float(value)
        if not self.low <= number <= self.high:
            raise ValueError(
                f"{owner}: option {self.name!r} is {value!r}, expected a number in {self.low:g}..{self.high:g}"
            )
        return number


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


def read_options(pairs: Sequence[str], offered: Iterable[Option], flag: str = "--option") -> dict[str, Any]:
    """{name: value} of NAME=VALUE texts. Only numbers are converted here; the row checks names and values.

    Raises ValueError for a text of another shape and for a name given twice.
    """
    numeric = {option.name for option in offered if not (option.choices or option.reads)}
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise ValueError(f"{flag} is {pair!r}, expected NAME=VALUE; 'fewstep list ID' shows the options of a row")
        if name in out:
            raise ValueError(f"{flag} {name} is given twice, as {out[name]!r} and {value!r}; keep one")
        out[name] = _number(value) if name in numeric else value
    return out


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # the option's own check says what it expects
