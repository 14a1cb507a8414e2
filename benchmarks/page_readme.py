"""The README's few lines on benchmarks: a plot and a table, between two marks."""

from __future__ import annotations

from typing import Any

from .page_parts import mean, table

MARKS = ("<!-- made by `make bench-page` -->", "<!-- end -->")
_CALLS = (5, 8, 10, 15)
#: class of the exact problems -> frame of tuning
_CLASSES = {"VE to 0": "ve", "flow 1 to 0": "flow"}


def text(exact: dict[str, Any], tune: dict[str, Any]) -> str:
    """From the results of the exact problems and of tuning."""
    lines = []
    for name, frame in _CLASSES.items():
        auto = {row["calls"]: row["others_ratio"] for row in exact[f"{name}: auto"]["rows"]}
        lines.append([f"{name}: `auto` / best of diffusers and k-diffusion", *(f"{auto[n]:.2f}" for n in _CALLS)])
        tuned = tune[f"exact {frame}"]["rows"]
        ratios = [mean(row["ratio"] for row in tuned if row["calls"] == n) for n in _CALLS]
        lines.append([f"{name}: tuned / best untuned of all of ours", *(f"{ratio:.2f}" for ratio in ratios)])
    return "\n".join(
        [
            "![Error over model calls: auto, and the best of each library](docs/img/bench-exact.png)",
            "",
            "Error on problems with exact solutions, over that of the best rival on the levels that suit it best;",
            "geometric means (eight problems that made no rule of `auto`; nine for tuning, on noise it never saw):",
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
