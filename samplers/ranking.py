"""From errors to words: medians with their intervals, what is best at each number of calls, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .judgement import gain, interval
from .names import listed
from .teacher import Converged

if TYPE_CHECKING:
    from .comparison import Reference, Row

MEASURED, UNMEASURABLE, FAILED, LEFT_OUT = "measured", "not measurable", "failed", "left out"


@dataclass(frozen=True)
class Score:
    """The numbers of a row; what they are is said at `Comparison.table`."""

    status: str
    reason: str = ""
    error: float | None = None
    low: float | None = None
    high: float | None = None
    rms: float | None = None
    failed: int = 0
    slope: float | None = None


@dataclass(frozen=True)
class Place:
    """Of the rows with so many calls: the nearest to the reference, and those that cannot be told apart from it."""

    calls: int
    best: str
    equal: tuple[str, ...]
    certain: bool

    @property
    def words(self) -> Mapping[str, str]:
        """row -> best or equal; where nothing can be told apart there is no best."""
        best = "best" if self.certain else "equal" if self.equal else ""
        return {self.best: best, **dict.fromkeys(self.equal, "equal")}


def scores(rows: Sequence[Row], uncertainty: float) -> tuple[Score, ...]:
    """A score for each row."""
    found: list[Score] = []
    fewer: dict[str, tuple[int, float]] = {}
    order = sorted(range(len(rows)), key=lambda i: rows[i].calls)
    made = {i: _score(rows[i], uncertainty) for i in range(len(rows))}
    slopes: dict[int, float] = {}
    for i in order:
        row, score = rows[i], made[i]
        if score.status != MEASURED or not score.error:
            continue
        if row.series in fewer and fewer[row.series][0] < row.calls:
            calls, error = fewer[row.series]
            slopes[i] = math.log(error / score.error) / math.log(row.calls / calls)
        fewer[row.series] = (row.calls, score.error)
    for i in range(len(rows)):
        each = made[i]
        slope = slopes.get(i)
        found.append(Score(each.status, each.reason, each.error, each.low, each.high, each.rms, each.failed, slope))
    return tuple(found)


def _score(row: Row, uncertainty: float) -> Score:
    if row.errors is None:
        return Score(LEFT_OUT, row.reason)
    finite = row.errors[row.errors.isfinite()]
    failed = len(row.errors) - len(finite)
    error = median(row.errors)
    reason = f"{failed} of {len(row.errors)} samples ended in NaN or inf" if failed else ""
    low, high = interval(row.errors.numpy()) if len(row.errors) > 1 else (None, None)
    rms = float(finite.square().mean().sqrt()) if len(finite) else None
    status = FAILED if math.isinf(error) else MEASURED if error >= uncertainty else UNMEASURABLE
    return Score(status, reason, error, low, high, rms, failed)


def median(errors: torch.Tensor) -> float:
    """The middle one, or the mean of the middle two."""
    values = errors.sort().values
    middle = values[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return float(middle.mean())


def places(rows: Sequence[Row], found: Sequence[Score]) -> tuple[Place, ...]:
    """For each number of calls."""
    out = []
    for calls in sorted({row.calls for row in rows}):
        group = [
            (row, score)
            for row, score in zip(rows, found, strict=True)
            if row.calls == calls and score.status in (MEASURED, UNMEASURABLE)
        ]
        if group:
            out.append(_place(calls, group))
    return tuple(out)


def _place(calls: int, group: Sequence[tuple[Row, Score]]) -> Place:
    best, score = min(group, key=lambda each: _error(each[1]))
    assert best.errors is not None
    if len(best.errors) == 1:  # of which no interval is known
        return Place(calls, best.name, (), False)
    equal = [row.name for row, other in group if row is not best and _alike(row, other, best, score)]
    return Place(calls, best.name, tuple(equal), score.status == MEASURED)


def _alike(row: Row, score: Score, best: Row, its: Score) -> bool:
    if score.status == its.status == UNMEASURABLE:
        return True
    assert row.errors is not None
    assert best.errors is not None
    return gain(row.errors.numpy(), best.errors.numpy()).open


def _error(score: Score) -> float:
    return math.inf if score.error is None else score.error


def sentence(
    rows: Sequence[Row],
    found: Sequence[Score],
    ranked: Sequence[Place],
    reference: Reference,
    within: float,
    samples: int,
) -> str:
    """The cheapest setting within a distance, and what cannot be told apart from it at its number of calls."""
    by_name = dict(zip((row.name for row in rows), found, strict=True))
    if not ranked:
        return "Nothing was measured: " + _failures(found) if rows else "Nothing was measured yet."
    near = next((place for place in ranked if _error(by_name[place.best]) <= within), None)
    place = near or min(ranked, key=lambda place: _error(by_name[place.best]))
    score = by_name[place.best]
    error = f"error {_error(score):.2g}"
    if score.low is not None and score.high is not None:
        error += f" ({score.low:.2g}..{score.high:.2g})"
    told = [f"{place.best} is the cheapest within {within:.2g} of the reference: {error}."]
    if near is None:
        told = [f"No setting comes within {within:.2g} of the reference; {place.best} is the nearest: {error}."]
    if place.equal:
        told.append(f"With as many calls {listed(place.equal)} cannot be told apart from it.")
    if samples == 1:
        told.append("With one sample nothing can be told apart: give more.")
    return " ".join([*told, *_doubts(found, reference), *_failed_ones(rows, found)])


def _doubts(found: Sequence[Score], reference: Reference) -> list[str]:
    """What is to be said of the reference."""
    known = [_error(score) for score in found if score.status in (MEASURED, UNMEASURABLE)]
    converged = Converged(reference.uncertainty, reference.other_calls)
    if not known or converged.enough_for(min(known)):
        return []
    told = [
        f"The reference has not converged: {reference.calls} calls of {reference.name} and {reference.other_calls} of "
        f"{reference.other} end {reference.uncertainty:.2g} apart, beside a smallest error of {min(known):.2g}; "
        "give reference_calls more."
    ]
    hidden = sum(score.status == UNMEASURABLE for score in found)
    if hidden:
        told.append(f"{hidden} setting(s) nearer to it than that are not ranked.")
    return told


def _failed_ones(rows: Sequence[Row], found: Sequence[Score]) -> list[str]:
    names = [row.name for row, score in zip(rows, found, strict=True) if score.failed]
    return [f"Samples ended in NaN or inf with {listed(names)}."] if names else []


def _failures(found: Sequence[Score]) -> str:
    return listed(dict.fromkeys(score.reason or score.status for score in found)) + "."
