"""The README's few lines on benchmarks: a plot and a table, between two marks."""

from __future__ import annotations

from typing import Any

from .page_exact import others
from .page_parts import table

MARKS = ("<!-- made by `make bench-page` -->", "<!-- end -->")
_CALLS = (5, 8, 10, 15, 20)
_CLASSES = ("VP to 0", "flow 1 to 0")


def text(exact: dict[str, Any]) -> str:
    """From the results of the exact problems."""
    rivals, lines = others(exact[f"{_CLASSES[0]}: solvers"]["rows"]), []
    for name in _CLASSES:
        for part in ("auto", "tuned"):
            ratios = {row["calls"]: row["others_ratio"] for row in exact[f"{name}: {part}"]["rows"]}
            title = {"auto": "`auto`", "tuned": "tuned plans"}[part]
            lines.append([f"{name}: {title}", *(f"{ratios[n]:.2f}" for n in _CALLS)])
    return "\n".join(
        [
            "![Error over model calls: auto, tuned plans, and the best of each library](docs/img/bench-exact.png)",
            "",
            "Error on eight problems with exact solutions that made no rule of `auto`, over that of the best solver of",
            f"{rivals}, each on the levels that suit it best; below 1 is better.",
            "Medians over samples; root mean squares, which the samples between two modes decide, are in",
            "[benchmarks](docs/benchmarks.md). Tuned plans are fitted to a problem and measured on noise that tuning",
            "never saw:",
            "",
            table(["", *(f"{n} calls" for n in _CALLS)], lines),
        ]
    )


def put(readme: str, made: str) -> str:
    """The README with these lines between the marks. ValueError where it has none."""
    first, last = MARKS
    if first not in readme or last not in readme:
        raise ValueError(f"README.md has no lines {first} and {last} to write between")
    return f"{readme[: readme.index(first)]}{first}\n{made}\n{readme[readme.index(last) :]}"
