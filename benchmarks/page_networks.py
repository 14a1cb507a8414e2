"""The page's parts on auto on the demo networks: beside published settings under guidance, and beside the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .network_peers import PICTURES, PLACES, SEEDS
from .page_parts import failed_everywhere, mean, measured_on, number, table


def text(found: dict[str, Any], _: Path) -> str:
    """auto beside published settings; it has no plots."""
    rows = found["auto"]["rows"]
    calls = sorted({row["calls"] for row in rows})
    ratios = {(row["network"], row["guidance"], row["calls"]): row["ratio"] for row in rows}
    places = dict.fromkeys((row["network"], row["guidance"]) for row in rows)
    lines = [
        [f"{network}, guidance {guidance:g}", *(f"{ratios[network, guidance, n]:.2f}" for n in calls)]
        for network, guidance in places
    ]
    return "\n\n".join(
        [
            "## auto on the demo networks",
            "Error of `auto`, told the guidance, over that of the best of a list of published settings at that number\n"
            f"of calls (`benchmarks/networks.py`), by `fewstep.compare`; {rows[0]['pictures']} pictures that made no\n"
            "rule. `make bench-networks`.",
            table(["", *(f"{n} calls" for n in calls)], lines),
            measured_on(found),
        ]
    )


def peers_text(found: dict[str, Any], _: Path) -> str:
    """auto beside the peers on the networks; it has no plots."""
    levels = "; ".join(f"{network}: {', '.join(schedules)}" for network, (_, schedules) in PLACES.items())
    parts = [
        f"""### Beside what others offer

RMS distance of a picture to the converged one (on the VP network to the nearer of two, whose last steps are by the
solver and by the denoiser), median over {PICTURES} pictures for each of {len(SEEDS)} seeds of noise that made no rule.
`auto`'s over that of the best of each library: below 1 `auto` is nearer; geometric mean of the seeds, and in brackets
the least and the largest. diffusers' schedulers are on their own levels, the samplers of the others on the usual
schedules ({levels}), the best on the very pictures. `make bench-network_peers`."""
    ]
    for name, group in found.items():
        parts += [f"#### {name[0].upper()}{name[1:]}", _beside(group["rows"])]
    rows = [row for group in found.values() for row in group["rows"]]
    failed = failed_everywhere(rows, "errors")
    return "\n\n".join([*parts, *failed, measured_on(found)])


def _beside(rows: list[dict[str, Any]]) -> str:
    measured = [row for row in rows if "errors" in row]
    libraries = sorted({row["library"] for row in measured} - {"fewstep"}, key=str.lower)
    lines = []
    for n in sorted({row["calls"] for row in measured}):
        at = [row for row in measured if row["calls"] == n]
        auto = next(row for row in at if row["library"] == "fewstep")
        cells = []
        for library in libraries:
            best = min((row for row in at if row["library"] == library), key=lambda row: mean(row["errors"]))
            ratios = [mine / other for mine, other in zip(auto["errors"], best["errors"], strict=True)]
            spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
            cells.append(f"{mean(ratios):.2f} ({spread}) `{best['solver']}`, {best['levels']}")
        lines.append([n, f"`{auto['levels']}`", number(mean(auto["errors"])), *cells])
    return table(["calls", "auto takes", "its error", *(f"over the best of {each}" for each in libraries)], lines)
