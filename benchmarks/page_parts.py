"""What the parts of docs/benchmarks.md share: tables, plots, and where the numbers were measured."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from ..commands.plan_figure import INK, QUIET

#: colours for up to eight lines, told apart by most colour-blind people (Okabe and Ito)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a8a94")


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def measured_on(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """When, where and with what the groups of a file of results were measured: a line for each answer."""
    lines: dict[str, list[str]] = {}
    for name, group in groups.items():
        made = group["made"]
        versions = ", ".join(f"{each} {made[each]}" for each in made if each not in ("date", "machine", "python"))
        line = f"easured {made['date']} on {made['machine']}; Python {made['python']}, {versions}."
        lines.setdefault(line, []).append(name)
    if len(lines) == 1:
        return f"M{next(iter(lines))}"
    return "\n".join(f"- {'; '.join(names)}: m{line}" for line, names in lines.items())


def number(value: float, digits: int = 2) -> str:
    """Two digits that count."""
    return f"{value:.{digits}g}" if value == 0.0 or 0.01 <= abs(value) < 100 else f"{value:.{digits - 1}e}"


def mean(values: Iterable[float]) -> float:
    """Geometric."""
    found = list(values)
    return math.exp(sum(map(math.log, found)) / len(found))


def failures(rows: Iterable[Mapping[str, Any]], head: str = "Failed:") -> list[str]:
    """A paragraph of what failed and why, one line for each reason of a library; nothing where nothing did."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if "failed" in row:
            of = reasons.setdefault((row.get("library", "fewstep"), row["failed"]), [])
            of.append(row["solver"] + (f" at {row['calls']} calls" if "calls" in row else ""))
    lines = [f"- {key[0]}, {', '.join(dict.fromkeys(solvers))}: {key[1]}" for key, solvers in reasons.items()]
    return ["\n".join([head, "", *lines])] if lines else []


def failed_everywhere(rows: Iterable[Mapping[str, Any]], measured: str) -> list[str]:
    """The same of what has the number `measured` in no row, whatever the number of calls."""
    found = list(rows)
    ran = {(row["library"], row["solver"]) for row in found if measured in row}
    never = [row for row in found if "failed" in row and (row["library"], row["solver"]) not in ran]
    words = ("library", "solver", "failed")
    return failures(({word: row[word] for word in words} for row in never), "Failed at every number of calls:")


def lines_plot(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    path: Path,
    labels: tuple[str, str] = ("model calls", "error"),
    ticked: Sequence[int] = (5, 8, 10, 15, 20, 25, 50),
) -> None:
    """{title: {line: (x, y)}} side by side, log-log; a line has the same colour in all panels, the first are bold."""
    figure = Figure(figsize=(4.6 * len(panels), 4.6), layout="constrained")
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, (x, y) in lines.items():
            i = names.index(name)
            axis.plot(
                x, y, color=COLOURS[i % len(COLOURS)], label=name, marker="os^vDPX*"[i % 8], markersize=4,
                linewidth=2.2 if i == 0 else 1.2, linestyle="-" if i < len(COLOURS) else "--",
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel=labels[0])
        ticks = sorted({each for x, _ in lines.values() for each in x})
        shown = [each for each in ticks if each in ticked]
        axis.set_xticks(shown, [str(each) for each in shown])
        axis.set_xticks([], minor=True)
        axis.set_title(title, color=INK, fontsize=11)
        axis.grid(True, which="major", color="#e4e4ea", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(QUIET)
        axis.tick_params(colors=INK, labelsize=9)
    axes[0].set_ylabel(labels[1], color=INK)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=min(4, len(handles)), frameon=False,
        fontsize=9,
    )  # fmt: skip
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """A PNG of at most 64 colours, which these plots do not need more of: a third of the size."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
