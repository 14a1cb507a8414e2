"""The page's part on auto under guidance, on the demo networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .page_parts import measured_on, table


def text(found: dict[str, Any], _: Path) -> str:
    """From the results; it has no plots."""
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
            measured_on(found["auto"]["made"]),
        ]
    )
