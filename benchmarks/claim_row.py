"""A row of the table of claims: what a paper says, what was measured of it, and whether that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean
from typing import Any

from .words import listed

Row = dict[str, Any]
#: [mean, least, largest], or [value] where there is one alone
Spread = list[float]

DPM_SOLVER = "DPM-Solver, arXiv 2206.00927"
DPMPP = "DPM-Solver++, arXiv 2211.01095"
DEIS = "DEIS, arXiv 2204.13902"
#: in the order of the page
PAPERS = (DPM_SOLVER, DPMPP, DEIS)

#: verdict -> the first words of a conclusion
_WORDS = {
    "yes": "It holds in every case measured",
    "partly": "It holds in part",
    "no": "Our measurement does not show it: it holds in no case",
}


def verdict(cases: Iterable[bool]) -> str:
    """Yes where the claim holds in every case, no where it holds in none, partly in between.

    ValueError without a case.
    """
    found = list(cases)
    if not found:
        raise ValueError("no case was measured that could show the claim, or not")
    return "yes" if all(found) else "partly" if any(found) else "no"


def spread(values: Sequence[float]) -> Spread:
    """Geometric mean, least and largest; the one value where there is one alone."""
    return list(values) if len(values) == 1 else [geometric_mean(values), min(values), max(values)]


def ratio(mine: Sequence[float], other: Sequence[float]) -> Spread:
    """Spread of mine over other, pair by pair."""
    return spread([a / b for a, b in zip(mine, other, strict=True)])


def less(mine: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the geometric mean is."""
    return geometric_mean(mine) < geometric_mean(other)


@dataclass
class Measured:
    """What was measured, line by line: {line: {column: spread}}, and in which cases the claim holds.

    A column is a number of calls, or what stands in its place.
    """

    numbers: dict[str, dict[str, Spread]] = field(default_factory=dict)
    holds: dict[str, dict[str, bool]] = field(default_factory=dict)

    def add(self, line: str, column: object, value: Spread, holds: bool | None = None) -> None:
        """A number; holds=None for one to compare with, which decides nothing."""
        self.numbers.setdefault(line, {})[str(column)] = value
        if holds is not None:
            self.holds.setdefault(line, {})[str(column)] = holds

    def row(self, paper: str, part: str, claim: str, quantity: str, note: str = "") -> Row:
        """The row.

        part      of the paper, or the text beside it, that has the claim
        quantity  what the numbers are, and of what they are means and extremes
        note      a sentence that is true whatever was measured
        """
        shown = verdict(holds for columns in self.holds.values() for holds in columns.values())
        text = _WORDS[shown] + (f": {_cases(self.holds)}." if shown == "partly" else ".")
        return {
            "paper": paper, "part": part, "claim": claim, "shown": shown, "conclusion": f"{text} {note}".rstrip(),
            "quantity": quantity, "numbers": self.numbers,
        }  # fmt: skip


def _cases(holds: Mapping[str, Mapping[str, bool]]) -> str:
    """In words: where it holds, and where it does not."""
    everywhere = [line for line, columns in holds.items() if all(columns.values())]
    nowhere = [line for line, columns in holds.items() if not any(columns.values())]
    parts = [f"for {listed(everywhere)}"] if everywhere else []
    for line, columns in holds.items():
        if line not in everywhere and line not in nowhere:
            at = [column for column, each in columns.items() if each]
            parts.append(f"for {line} at {listed(at)} calls alone")
    return "; ".join(parts) + (f"; not for {listed(nowhere)}" if nowhere else "")
