"""A comparison as a table of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .ranking import LEFT_OUT, MEASURED

if TYPE_CHECKING:
    from .comparison import Comparison

_HEAD = ("setting", "error", "90 % interval", "slope", "s/sample", "")


def text(comparison: Comparison) -> str:
    """A line for each row that was run, and for each series that was left out; the reference; the sentence."""
    lines = [_HEAD]
    left_out: dict[tuple[str, str], list[int]] = {}
    for row, line in zip(comparison.rows, comparison.table, strict=True):
        if line["status"] == LEFT_OUT:
            left_out.setdefault((row.series, row.reason), []).append(row.calls)
            continue
        low, high = line["low"], line["high"]
        words = [line["place"], "" if line["status"] == MEASURED else line["status"], line["reason"], *line["notes"]]
        lines.append(
            (
                line["setting"],
                _number(line["error"]),
                "" if low is None and high is None else f"{_number(low)}..{_number(high)}",
                "" if line["slope"] is None else f"{line['slope']:.1f}",
                _number(line["seconds"]),
                "; ".join(word for word in words if word),
            )
        )
    for (series, reason), calls in left_out.items():
        lines.append((f"{series} {','.join(map(str, calls))}", "", "", "", "", f"left out: {reason}"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD) - 1)]
    out = []
    for first, *rest, last in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        out.append("  ".join([*cells, last]).rstrip())
    reference = comparison.reference
    out.append(
        f"reference: {reference.name}, {reference.calls} calls; {reference.other} with {reference.other_calls} ends "
        f"{_number(reference.uncertainty)} away (median of {comparison.samples}); seconds: {comparison.machine}"
    )
    return "\n".join([*out, comparison.sentence])


def _number(value: float | None) -> str:
    return "inf" if value is None or not math.isfinite(value) else f"{value:.3g}"
