"""The page's part on tuned plans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .page_parts import mean, measured_on, number, table

_FRAMES = {"ve": "VP to 0", "flow": "flow"}
_NETWORKS = {"vp": "VP network", "flow": "flow network"}


def text(found: dict[str, Any], _: Path) -> str:
    """From the results; it has no plots."""
    parts = [
        """## Tuned plans

`fewstep.tune` on a model, its plans then measured on noise that tuning has not seen. "tuned/untuned" is over the best
of all deterministic solvers of the table on any schedule, chosen on that very noise; "tuned/published" over the
published plan that tuning had to beat and would have kept: above 1 its choice was wrong there. `make bench-tune`."""
    ]
    exact = {frame: found[f"exact {frame}"]["rows"] for frame in ("ve", "flow") if f"exact {frame}" in found}
    if exact:
        parts += [
            "### Exact problems",
            "Geometric mean of tuned/untuned over the problems, the worst in brackets; tuned on 256 samples.",
            _exact(exact),
        ]
    networks, transfers = (
        {frame: found[f"{kind} {frame}"]["rows"] for frame in ("vp", "flow") if f"{kind} {frame}" in found}
        for kind in ("network", "transfer")
    )
    if networks:
        parts += [
            "### Demo networks",
            "Tuned on 96 pictures, measured on 24 others against 320 calls. Time is the processor's for tuning all\n"
            "three, on one thread.",
            _networks(networks),
        ]
    if transfers:
        parts += [
            "### Used elsewhere than tuned for",
            "Tuned at guidance 4 on the first five classes; used as the row says, on 16 pictures: tuned/untuned, and\n"
            "tuned/published in brackets. The networks take 32x32 pixels alone, so there is no other resolution.\n"
            "These rows are older than the others: their fits began from three points alone.",
            _transfers(transfers),
        ]
    parts.append(measured_on(found))
    return "\n\n".join(parts)


def _exact(groups: dict[str, list[dict[str, Any]]]) -> str:
    calls = sorted({row["calls"] for rows in groups.values() for row in rows})
    lines = []
    for frame, rows in groups.items():
        for kind in ("mixtures", "digits"):
            own = [row for row in rows if ("digits" in row["problem"]) == (kind == "digits")]
            count = len({row["problem"] for row in own})
            if own:
                cells = [_spread(row["ratio"] for row in own if row["calls"] == n) for n in calls]
                lines.append([f"{_FRAMES[frame]}, {f'{count} ' if count > 1 else ''}{kind}", *cells])
    return table(["", *(f"{n} calls" for n in calls)], lines)


def _spread(values: Iterable[float]) -> str:
    found = list(values)
    return f"{mean(found):.2f} ({max(found):.2f})" if len(found) > 1 else f"{found[0]:.2f}"


def _networks(groups: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        [
            _NETWORKS[frame], row["problem"], row["calls"],
            "tuned" if row["tuned"] else "published kept", f"{row['ratio']:.2f}", f"{row['harm']:.2f}",
            number(row["error"]), row["judged"], f"{row['seconds']:.0f} s" if "seconds" in row else "", row["best"],
        ]
        for frame, rows in groups.items()
        for row in rows
    ]  # fmt: skip
    head = ["model", "", "calls", "", "tuned/untuned", "tuned/published", "error", "judged", "time", "best untuned"]
    return table(head, lines)


def _transfers(groups: dict[str, list[dict[str, Any]]]) -> str:
    calls = sorted({row["calls"] for rows in groups.values() for row in rows})
    lines = []
    for frame, rows in groups.items():
        cells = {(row["problem"], row["calls"]): f"{row['ratio']:.2f} ({row['harm']:.2f})" for row in rows}
        lines += [
            [_NETWORKS[frame], problem, *(cells.get((problem, n), "") for n in calls)]
            for problem in dict.fromkeys(row["problem"] for row in rows)
        ]
    return table(["model", "", *(f"{n} calls" for n in calls)], lines)
