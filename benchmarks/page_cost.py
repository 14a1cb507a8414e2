"""The page's part on cost: per call of the model, and before the first one."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..commands.plan_figure import INK, QUIET
from .page_parts import COLOURS, failures, measured_on, save, table

#: groups of results, in the order of the page
_SHAPES = ("[1, 4, 64, 64]", "[1, 16, 128, 128]", "[4, 16, 128, 128]", "[1, 16, 21, 60, 104]")
#: the one that the plot shows
_SHOWN = "[1, 16, 128, 128]"
#: the project's bounds: passes over the floor, time over that of ComfyUI's dpmpp_2m, milliseconds of an import
_PASSES, _TIME, _IMPORT = 2.4, 0.6, 50.0


def text(found: dict[str, Any], images: Path) -> str:
    """From the results; its plot goes to `images`."""
    calls = {shape: found[f"calls {shape}"]["rows"] for shape in _SHAPES if f"calls {shape}" in found}
    parts = [
        """## Cost per call, without the model

A *pass* is one latent read or written. The *floor* of a solver reads the predictions that its formula combines, the
state, and its noise where it has any, once each, and writes the state once; in time it is as many passes of one
`torch.add`, timed in the same round. Passes, operations (that make a latent) and read-backs (waits for a number from
the device) are counted by a torch dispatch mode (`benchmarks/meter.py`), between calls of the model in the middle of a
run of 20; *memory* is the most latents alive at once, the state and the model's answer among them. Timed are whole runs
with a model that costs nothing and noise that is there already, in processor time of one thread: median over rounds,
quartiles in brackets. diffusers' schedulers turn the network's answer into the prediction that they remember, which the
others leave to the model's wrapper. `make bench-cost`."""
    ]
    if _SHOWN in calls:
        _plot(calls[_SHOWN], images / "bench-cost.png")
        parts.append("![Time per call over the floor](img/bench-cost.png)")
    if calls:
        parts += [_targets(calls, found.get("imports", {}).get("rows", [])), _counts(calls), "### Time", _times(calls)]
        parts += failures([row for rows in calls.values() for row in rows])
    if "plans" in found:
        parts += ["### Before the first call", _plans(found["plans"]["rows"])]
    if "imports" in found:
        parts.append(_imports(found["imports"]["rows"]))
    parts.append(measured_on(found))
    return "\n\n".join(parts)


def _whole(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "time" in row]


def _name(row: dict[str, Any]) -> tuple[str, str]:
    return row["library"], row["solver"]


def _targets(calls: dict[str, list[dict[str, Any]]], imports: list[dict[str, Any]]) -> str:
    """What was to be reached, and the worst that was measured of ours."""
    ours = [row for rows in calls.values() for row in _whole(rows) if row["library"] == "fewstep"]
    passes = max(ours, key=lambda row: row["passes"] / row["floor"])
    most = passes["passes"] / passes["floor"]
    missed = ": missed" if most > _PASSES + 1e-9 else ""  # a quotient of whole numbers
    lines = [
        ["passes over the floor", f"at most {_PASSES}", f"{most:.2f} (`{passes['solver']}`){missed}"],
        ["read-backs", "0", f"{max(row['read_backs'] for row in ours):g}"],
    ]
    compared = [row for row in ours if "of_base" in row]
    for title, rows in (
        ("`dpmpp_2m` over ComfyUI's, in time", [row for row in compared if row["solver"] == "dpmpp_2m"]),
        ("the slowest of ours over ComfyUI's `dpmpp_2m`", compared),
    ):
        if rows:
            worst = max(rows, key=lambda row: row["of_base"][0])
            said = f"{worst['of_base'][0]:.2f} (`{worst['solver']}` at {worst['shape']})"
            missed = ": missed" if worst["of_base"][0] > _TIME else ""
            lines.append([title, f"at most {_TIME}", said + missed])
    lines += [
        [row["what"], f"under {_IMPORT:g} ms", f"{row['ms'][0]:.0f} ms"]
        for row in imports
        if row["what"] in ("`import fewstep`", "loading the pack in ComfyUI") and "ms" in row
    ]
    return table(["", "target", "worst measured"], lines)


def _counts(calls: dict[str, list[dict[str, Any]]]) -> str:
    shape, rows = next(iter(calls.items()))
    head = ["library", "solver", "passes", "over the floor", "operations", "read-backs", "memory"]
    lines = [
        [
            row["library"], f"`{row['solver']}`", f"{row['passes']:g}", f"{row['passes'] / row['floor']:.2f}",
            f"{row['operations']:g}", f"{row['read_backs']:.2g}", f"{row['peak']:g}",
        ]
        for row in _whole(rows)
    ]  # fmt: skip
    return f"### Counted per call, at {shape}\n\n{table(head, lines)}"


def _spread(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f}-{high:.2f})" if high < 10.0 else f"{middle:.1f} ({low:.1f}-{high:.1f})"


def _times(calls: dict[str, list[dict[str, Any]]]) -> str:
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for shape, rows in calls.items():
        for row in _whole(rows):
            base = f"; {row['of_base'][0]:.2f}" if "of_base" in row else ""
            cells.setdefault(_name(row), {})[shape] = _spread(row["time"]) + base
    lines = [[key[0], f"`{key[1]}`", *(each.get(shape, "") for shape in calls)] for key, each in cells.items()]
    about = "Time per call over the floor's; after the semicolon over that of ComfyUI's `sample_dpmpp_2m`."
    return f"{about}\n\n{table(['library', 'solver', *calls], lines)}"


def _plans(rows: list[dict[str, Any]]) -> str:
    head = ["a plan of", "fastest", "median", "slowest"]
    lines = []
    for n in sorted({row["calls"] for row in rows}):
        own = [row for row in rows if row["calls"] == n and "ms" in row]
        slowest = max(own, key=lambda row: row["ms"])
        lines.append(
            [
                f"{n} calls", f"{min(row['ms'] for row in own):.2f} ms",
                f"{statistics.median(row['ms'] for row in own):.2f} ms",
                f"{slowest['ms']:.2f} ms (`{slowest['solver']}` on {slowest['frame']})",
            ]
        )  # fmt: skip
    about = "All solvers of fixed steps in all frames, those left out that need a model's statistics."
    return "\n\n".join([about, table(head, lines), *failures(rows)])


def _imports(rows: list[dict[str, Any]]) -> str:
    lines = [[row["what"], "{:.0f} ms ({:.0f}-{:.0f})".format(*row["ms"])] for row in rows if "ms" in row]
    about = (
        "In fresh processes, in processor time; quartiles in brackets. `import fewstep` leaves torch to the first use; "
        "what follows it is with torch loaded. In ComfyUI it is over an empty pack, loaded just before."
    )
    said = [f"- {row['what']}: {row['failed']}" for row in rows if "failed" in row]
    return "\n\n".join([about, table(["", "time"], lines), *(["\n".join(said)] if said else [])])


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of time over the floor, grouped by library."""
    shown = _whole(rows)[::-1]
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    figure = Figure(figsize=(8.6, 0.2 * len(shown) + 1.0), layout="constrained")
    axis = figure.subplots()
    colours = [COLOURS[libraries.index(row["library"])] for row in shown]
    axis.barh(range(len(shown)), [row["time"][0] for row in shown], color=colours, height=0.75)
    axis.set_yticks(range(len(shown)), [f"{row['library']} {row['solver']}" for row in shown], fontsize=8, color=INK)
    axis.axvline(1.0, color=QUIET, linewidth=1.0)
    axis.set_xlabel(f"time per call over the floor, at {_SHOWN}", color=INK, fontsize=9)
    axis.margins(y=0.01)
    axis.grid(True, axis="x", color="#e4e4ea", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(QUIET)
    axis.tick_params(axis="x", colors=INK, labelsize=8)
    save(figure, path)
