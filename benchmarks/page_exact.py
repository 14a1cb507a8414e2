"""The page's part on exact problems: auto beside the best, and errors over model calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .exact import CLASSES
from .page_parts import lines_plot, measured_on, number, table

#: how many of a library's solvers the plot shows, by their error at 8 calls
_SHOWN = {"fewstep": 3, "diffusers": 2, "k-diffusion": 2}
_AT = 8


def text(found: dict[str, Any], images: Path) -> str:
    """From the results; its plot goes to `images`."""
    parts = [
        """## Exact problems: error over model calls, and auto

Eight Gaussian mixtures of 8 to 32 dimensions that made no rule (`benchmarks/exact.py` has their seeds), 48 samples of
each, against solutions to 12 digits. Compared are all deterministic solvers of ours with their variants, starts and
last steps on all schedules, diffusers' schedulers on their own levels, and k-diffusion's samplers on all of our
schedules. Levels that begin lower than the class are left out: their start would know more of the picture. A method's
error at a number of calls is the geometric mean over the problems of the median over samples, on the levels that suit
it best; `auto` is one table of rules for all. `make bench-exact`."""
    ]
    classes = [name for name in CLASSES if f"{name}: auto" in found]
    lines_plot({name: _lines(found, name) for name in classes}, images / "bench-exact.png", ("model calls", "error"))
    parts.append("![Error over model calls on exact problems](img/bench-exact.png)")
    for name in classes:
        parts += [f"### {name}", _auto(found[f"{name}: auto"]["rows"]), _solvers(found[f"{name}: solvers"]["rows"])]
        failed = _failed(found[f"{name}: solvers"]["rows"])
        parts += [failed] if failed else []
    parts.append(measured_on(found[f"{classes[-1]}: auto"]["made"]))
    return "\n\n".join(parts)


def _auto(rows: list[dict[str, Any]]) -> str:
    head = ["calls", "auto takes", "error", "auto/best", "by RMS", "auto/best of others", "worst problem", "best"]
    return table(
        head,
        (
            [
                row["calls"], f"`{row['chosen']}`", number(row["median"]), f"{row['ratio']:.2f}",
                f"{row['rms_ratio']:.2f}", f"{row['others_ratio']:.2f}", f"{row['worst']:.1f}", row["best"],
            ]
            for row in rows
        ),
    )  # fmt: skip


def _solvers(rows: list[dict[str, Any]]) -> str:
    """Errors of every solver at each number of calls, in the order at `_AT`."""
    calls = sorted({row["calls"] for row in rows})
    errors = {(row["library"], row["solver"], row["calls"]): row for row in rows if "median" in row}
    keys = dict.fromkeys((library, solver) for library, solver, _ in errors)
    at = {key: errors.get((*key, _AT), {}).get("median", float("inf")) for key in keys}
    ranked = sorted(keys, key=lambda key: at[key])
    lines = []
    for library, solver in ranked:
        cells = [errors.get((library, solver, n)) for n in calls]
        levels = errors.get((library, solver, _AT), {}).get("levels", "")
        lines.append([library, f"`{solver}`", *(number(cell["median"]) if cell else "" for cell in cells), levels])
    body = table(["library", "solver", *calls, f"levels at {_AT}"], lines)
    return f"<details><summary>All solvers, each on its best levels</summary>\n\n{body}\n\n</details>"


def _failed(rows: list[dict[str, Any]]) -> str:
    whole = {(row["library"], row["solver"]) for row in rows if "median" in row}
    reasons = {(row["library"], row["solver"]): row["failed"] for row in rows if "failed" in row}
    lines = [f"- {' '.join(key)}: {why}" for key, why in reasons.items() if key not in whole]
    return "\n".join(["Failed at every number of calls:", "", *lines]) if lines else ""


def _lines(found: dict[str, Any], name: str) -> dict[str, tuple[list[float], list[float]]]:
    auto = found[f"{name}: auto"]["rows"]
    lines = {"fewstep auto": ([row["calls"] for row in auto], [row["median"] for row in auto])}
    rows = [row for row in found[f"{name}: solvers"]["rows"] if "median" in row]
    for library, count in _SHOWN.items():
        own = [row for row in rows if row["library"] == library]
        best = [row["solver"] for row in sorted(own, key=lambda row: row["median"]) if row["calls"] == _AT][:count]
        for solver in best:
            of = sorted((row["calls"], row["median"]) for row in own if row["solver"] == solver)
            lines[f"{library} {solver}"] = [n for n, _ in of], [error for _, error in of]
    return lines
