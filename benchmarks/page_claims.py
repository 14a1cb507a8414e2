"""The page's part on the papers' claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .claim_row import PAPERS
from .claims import CLAIMS
from .page_parts import measured_on, number, table


def text(found: dict[str, Any], _: Path) -> str:
    """From the results; it has no plots."""
    rows = [row for name in CLAIMS if name in found for row in found[name]["rows"]]
    count = {word: sum(row["shown"] == word for row in rows) for word in ("yes", "partly", "no")}
    of_papers = "\n\n".join(_of_paper(paper, [row for row in rows if row["paper"] == paper]) for paper in PAPERS)
    return f"""## The papers' claims, measured again

On exact mixtures and, where it was cheap, on the VP demo network; the papers' own networks and data are not here, so a
"no" says what this measurement shows and no more. {count["yes"]} rows are shown, {count["partly"]} partly,
{count["no"]} not. Numbers stand after the number of calls that they belong to: a geometric mean, in brackets the least
and the largest. `make bench-claims`.

{of_papers}

{measured_on(found)}"""


def _of_paper(paper: str, rows: Sequence[Mapping[str, Any]]) -> str:
    body = table(
        ["shown", "claim", "what our measurement shows", "numbers"],
        (
            [f"**{row['shown']}**", f"{row['claim']}<br>({row['part']})", row["conclusion"], numbers_of(row)]
            for row in rows
        ),
    )
    return f"### {paper}\n\n{body}"


def numbers_of(row: Mapping[str, Any]) -> str:
    """What the numbers are, then a line for each method."""
    lines = (
        f"{line}: " + ", ".join(f"**{column}** {_spread(value)}" for column, value in columns.items())
        for line, columns in row["numbers"].items()
    )
    return "<br>".join([f"{row['quantity']}:", *lines])


def _spread(values: Sequence[float]) -> str:
    """A number alone, or a mean with the least and the largest."""
    mean, *ends = map(number, values)
    return f"{mean} ({' to '.join(ends)})" if ends else mean
