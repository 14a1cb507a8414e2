"""The page's part on exact problems: auto and tuned plans beside the best, and errors over model calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .exact import CLASSES
from .page_parts import failed_everywhere, lines_plot, measured_on, number, table
from .words import listed

#: the order of the table of all solvers is that of their errors at so many calls
_AT = 8
#: what auto is meant to keep to: over the best of everything, and on each problem over its own best
_AIM, _WORST = 1.10, 3.0
#: what most people use today, in the plot beside the best of each library
_USUAL = ("k-diffusion", "sample_dpmpp_2m")


def text(found: dict[str, Any], images: Path) -> str:
    """From the results; its plot goes to `images`."""
    classes = [name for name in CLASSES if f"{name}: auto" in found]
    given = list(dict.fromkeys(row["library"] for row in found[f"{classes[0]}: solvers"]["rows"]))
    parts = [
        f"""## Exact problems: error over model calls, auto and tuned plans

Eight Gaussian mixtures of 8 to 32 dimensions that made no rule (`benchmarks/exact.py` has their seeds), three seeds of
noise with 48 samples each, against solutions to 12 digits. VP: the levels of Stable Diffusion, from sigma 14.6 to 0 or
to 0.029. Compared are {listed(given)}: all deterministic solvers of ours with their variants, starts and last steps on
all schedules, diffusers' schedulers on their own levels, and the samplers of the others on all of our schedules.
ComfyUI and Forge leave out the last level but one for some of theirs (dpm_2, uni_pc, DPM++ 3M SDE), which is not done
here. Levels that begin lower than the class are left out: their start would know more of the picture. The error of a
method is the geometric mean over the problems of the median over samples (or of their root mean square), each method
on the levels that suit it best at that number of calls and by that measure; in brackets the least and the largest of
the three seeds. "Worst problem" is the largest ratio on one problem to the least error that anything compared has on
it, which for tuned plans are the best and the best of others alone; "seeds within" is how far a seed is from the mean
of the three, at the worst number of calls. `auto` is one table of rules for all; a tuned plan is fitted to each
problem, on noise of its own.
`make bench-exact`.""",
    ]
    lines_plot({name: _lines(found, name) for name in classes}, images / "bench-exact.png", ("model calls", "error"))
    parts.append("![Error over model calls on exact problems](img/bench-exact.png)")
    for name in classes:
        rows = {part: found[f"{name}: {part}"]["rows"] for part in ("auto", "tuned", "solvers")}
        parts += [f"### {name}", _auto(rows["auto"]), _missed(rows["auto"]), _tuned(rows["tuned"])]
        for measure, title in (("median", "medians"), ("rms", "root mean squares")):
            body = _solvers(rows["solvers"], measure)
            parts.append(f"<details><summary>All solvers, {title}</summary>\n\n{body}\n\n</details>")
        parts += failed_everywhere(rows["solvers"], "median")
    parts.append(measured_on(found))
    return "\n\n".join(parts)


def others(rows: list[dict[str, Any]]) -> str:
    """The libraries beside ours of a table of solvers, in words."""
    return listed(sorted({row["library"] for row in rows} - {"fewstep"}, key=str.lower))


def _with_spread(row: dict[str, Any], name: str) -> str:
    low, high = (f"{value:.2f}" for value in row[f"{name}_spread"])
    return f"{row[name]:.2f} ({low}..{high})"


def _auto(rows: list[dict[str, Any]]) -> str:
    head = [
        "calls", "auto takes", "error", "auto/best", "by RMS", "auto/best of others", "by RMS", "worst problem", "best",
        "best of others",
    ]  # fmt: skip
    return table(
        head,
        (
            [
                row["calls"], f"`{row['chosen']}`", number(row["median"]), _with_spread(row, "ratio"),
                _with_spread(row, "rms_ratio"), _with_spread(row, "others_ratio"),
                _with_spread(row, "rms_others_ratio"), f"{row['worst']:.1f}", row["best"], row["others"],
            ]
            for row in rows
        ),
    )  # fmt: skip


def _missed(rows: list[dict[str, Any]]) -> str:
    """Where auto is not as near to the best as it is meant to be."""
    above = [f"{row['ratio']:.2f} at {row['calls']}" for row in rows if row["ratio"] > _AIM]
    worst = [f"{row['worst']:.1f} at {row['calls']}" for row in rows if row["worst"] > _WORST]
    said = [
        f"Meant are at most {_AIM:.2f} by medians and, on the worst problem, {_WORST:g} times its own best.",
        f"Missed: {listed(above)} calls." if above else "",
        f"Worst problem above that: {listed(worst)} calls." if worst else "",
    ]
    return " ".join(each for each in said if each)


def _tuned(rows: list[dict[str, Any]]) -> str:
    head = ["calls", "error of tuned plans", "tuned/best", "by RMS", "tuned/best of others", "by RMS", "worst problem"]
    return table(
        head,
        (
            [
                row["calls"], number(row["median"]), _with_spread(row, "ratio"), _with_spread(row, "rms_ratio"),
                _with_spread(row, "others_ratio"), _with_spread(row, "rms_others_ratio"), f"{row['worst']:.2f}",
            ]
            for row in rows
        ),
    )  # fmt: skip


def _solvers(rows: list[dict[str, Any]], measure: str) -> str:
    """Errors of every solver at each number of calls, in the order at `_AT`, and how far a seed is from their mean."""
    calls = sorted({row["calls"] for row in rows})
    errors = {(row["library"], row["solver"], row["calls"]): row for row in rows if measure in row}
    keys = dict.fromkeys((library, solver) for library, solver, _ in errors)
    at = {key: errors.get((*key, _AT), {}).get(measure, float("inf")) for key in keys}
    named = "levels" if measure == "median" else "rms_levels"
    lines = []
    for library, solver in sorted(keys, key=lambda key: at[key]):
        own = [errors.get((library, solver, n)) for n in calls]
        apart = max(
            abs(value / row[measure] - 1.0) for row in own if row is not None for value in row[f"{measure}_spread"]
        )
        levels = errors.get((library, solver, _AT), {}).get(named, "")
        cells = (number(row[measure]) if row else "" for row in own)
        lines.append([library, f"`{solver}`", *cells, f"{100 * apart:.0f} %", levels])
    return table(["library", "solver", *calls, "seeds within", f"levels at {_AT}"], lines)


def _lines(found: dict[str, Any], name: str) -> dict[str, tuple[list[float], list[float]]]:
    """auto, tuned plans, the best of every other library at each number of calls, and the usual choice."""
    lines = {}
    for part in ("auto", "tuned"):
        own = found[f"{name}: {part}"]["rows"]
        lines[f"fewstep {part}"] = [row["calls"] for row in own], [row["median"] for row in own]
    rows = [row for row in found[f"{name}: solvers"]["rows"] if "median" in row]
    for library in sorted({row["library"] for row in rows} - {"fewstep"}, key=str.lower):
        best: dict[float, float] = {}
        for row in rows:
            if row["library"] == library:
                best[row["calls"]] = min(row["median"], best.get(row["calls"], row["median"]))
        lines[f"best of {library}"] = sorted(best), [best[n] for n in sorted(best)]
    usual = sorted((row["calls"], row["median"]) for row in rows if (row["library"], row["solver"]) == _USUAL)
    if usual:
        lines[" ".join(_USUAL)] = [n for n, _ in usual], [error for _, error in usual]
    return lines
