"""The page's part on the papers' claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .page_parts import measured_on, table


def text(found: dict[str, Any], _: Path) -> str:
    """From the results; it has no plots."""
    rows = [row for group in found.values() for row in group["rows"]]
    count = {word: sum(row["shown"] == word for row in rows) for word in ("yes", "partly", "no")}
    body = table(
        ["claim", "source", "shown", "what we measured"],
        ([row["claim"], row["source"], f"**{row['shown']}**", row["measured"]] for row in rows),
    )
    return f"""## The papers' claims, measured again

On exact mixtures and, where it was cheap, on the VP demo network; the papers' own networks and data are not here, so a
"no" says what this measurement shows and no more. {count["yes"]} are shown, {count["partly"]} partly,
{count["no"]} not. Ratios are geometric means, in brackets the least and the largest of the problems (different seeds).
Calls, solvers and levels are in each row. `make bench-claims`.

{body}

{measured_on(next(iter(found.values()))["made"])}"""
