"""The page's part on the demo networks: distances to what the same network leads to with many calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .page_parts import lines_plot, measured_on, number, table

_TEST = "test set"
#: statistic -> its words
_SHOWN = {"median": "distance, median", "rms": "distance, RMS", "frechet": "Fréchet"}


def text(found: dict[str, Any], images: Path) -> str:
    """From the results; its plots go to `images`."""
    groups = {name: group for name, group in found.items() if not name.endswith(_TEST)}
    tests = {name: group for name, group in found.items() if name.endswith(_TEST)}
    parts = [
        """## Sample quality on the demo networks

How far few calls are from the converged samples of the same network, with the same noise, the same last step and, but
for `auto`, on one grid (Karras for the VP network, beta for the flow network). Distance: RMS per pixel of a picture
(black to white is 2), median and root mean square over the pictures; Fréchet: between the two sets, in 64 features of
a small classifier (`benchmarks/classifier.py`). Both sets have the same noise, so their Fréchet distance can be far
below what two independent sets have by chance, which is the floor given (two disjoint halves). ± is the standard error
of a bootstrap over pictures. SDE runs (eta 1) follow one Brownian path whatever the number of calls.
`make bench-quality`."""
    ]
    for network in dict.fromkeys(name.partition(",")[0] for name in groups):
        panels = {
            name: lines
            for name, group in groups.items()
            if name.startswith(f"{network},") and (lines := _lines(group["rows"]))
        }
        if panels:
            image = f"bench-quality-{network}.png"
            lines_plot(panels, images / image, ("model calls", "median RMS distance"))
            parts.append(f"![Distance to the converged samples of the {network} network](img/{image})")
    for name, group in groups.items():
        parts += [f"### {name}", _about(group["rows"]), _table(group["rows"])]
    if tests:
        parts += [
            """### Fréchet distance to the test set

Not monotone in the number of calls: a small network's converged samples can be further from the data than coarse
ones, and gaps between solvers vanish into the error bars. Mean and standard deviation over the seeds; "minus auto" by
a bootstrap that draws the same pictures of both.""",
            *(f"{name}, {group['rows'][0]['pictures']} pictures a seed.\n\n{_test(group['rows'])}"
              for name, group in tests.items()),
        ]  # fmt: skip
    parts.append(measured_on(found))
    return "\n\n".join(parts)


def _about(rows: list[dict[str, Any]]) -> str:
    ends = rows[0]
    return (
        f"{ends['pictures']} pictures; converged: {ends['calls']} calls, {number(ends['half_median'])} from "
        f"{ends['half_calls']} calls. Spread of a pixel over the pictures: {number(ends['pixels_std'])}. "
        f"Floor of the Fréchet distance, two sets of {ends['floor_count']}: {number(ends['floor_frechet'])} "
        f"± {number(ends['floor_frechet_se'], 1)}."
    )


def _table(rows: list[dict[str, Any]]) -> str:
    measured = rows[1:]
    calls = sorted({row["calls"] for row in measured})
    at = {(row["solver"], row["calls"]): row for row in measured}
    lines = []
    for solver in dict.fromkeys(row["solver"] for row in measured):
        for what, words in _SHOWN.items():
            cells = [at.get((solver, n)) for n in calls]
            values = (
                f"{number(cell[what])} ± {number(cell[f'{what}_se'], 1)}" if cell else "not measured" for cell in cells
            )
            lines.append([f"`{solver}`", words, *values])
    chosen = "; ".join(f"{row['chosen']} at {row['calls']}" for row in measured if row["chosen"])
    body = table(["solver", "", *(f"{n} calls" for n in calls)], lines)
    return f"{body}\n\n`auto` takes {chosen}." if chosen else body


def _test(rows: list[dict[str, Any]]) -> str:
    lines = [
        [
            f"`{row['solver']}`", row["calls"], f"{number(row['frechet'], 3)} ± {number(row['seeds_std'], 1)}",
            f"{row['minus_auto']:+.3f} ± {number(row['minus_auto_se'], 1)}" if "minus_auto" in row else "",
        ]
        for row in rows
    ]  # fmt: skip
    return table(["solver", "calls", "Fréchet distance", "minus auto"], lines)


def _lines(rows: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows[1:]:
        x, y = lines.setdefault(row["solver"], ([], []))
        x.append(row["calls"])
        y.append(row["median"])
    return lines
