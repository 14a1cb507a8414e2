"""The page's part on stochastic solvers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .page_parts import failures, lines_plot, measured_on, table
from .sde import CALLS, CLASSES, DIRECTIONS, MEAN, SAMPLES, SETS, WIDTH

#: standard deviations by which the mean of a sampler that converges is not off
_OFF = 0.01
#: what the plot shows, at eta 1
_SHOWN = (
    ("fewstep", "deis_tab_sde"), ("fewstep", "dpmpp_2m_sde"), ("fewstep", "dpmpp_3m_sde"), ("fewstep", "ddim"),
    ("k-diffusion", "sample_dpmpp_sde"), ("diffusers", "DPMSolverMultistep sde 2"), ("diffusers", "SASolver"),
)  # fmt: skip


def text(found: dict[str, Any], images: Path) -> str:
    """From the results; its plot goes to `images`."""
    parts = [
        f"""## Stochastic solvers: error of the law of the samples

On Gaussian data a sampler is a linear map of its start and its noises, so the mean and the variance of what it draws
are had exactly, by unit vectors in their place (`benchmarks/sde.py`); nothing is sampled. Below is the relative error
of the variance: negative, and samples vary too little. Data N({MEAN}, {WIDTH}^2), the exact model; ours,
k-diffusion's and the hosts' on the same levels (karras on VP, sgm_uniform on flow), diffusers' on its own. A sampler
that spends two calls on a step takes half the steps. What has no eta of its own is in the rows of 1.
`make bench-sde`."""
    ]
    gaussian = {name: found[f"Gaussian, {name}"]["rows"] for name in CLASSES if f"Gaussian, {name}" in found}
    if gaussian:
        lines_plot(
            {name: _lines(rows) for name, rows in gaussian.items()}, images / "bench-sde.png",
            ("model calls", "|relative error of the variance|, eta 1"), CALLS,
        )  # fmt: skip
        parts.append("![Error of the variance over model calls](img/bench-sde.png)")
    for name, rows in gaussian.items():
        parts += [f"### Gaussian data, {name}", _table(rows, _variance), _means(rows), *failures(rows)]
    drawn = [name for name in found if name.startswith("mixture")]
    if drawn:
        parts.append(
            f"""### Mixtures

Wasserstein distance of samples to the data's law, over {DIRECTIONS} fixed directions in which that law is known: mean
over {SETS} sets of {SAMPLES} samples. True samples are as far as the first line says; what is within a few of the
standard errors (in brackets) of it cannot be told from them."""
        )
    for name in drawn:
        rows = found[name]["rows"]
        true = rows[0]
        first = f"True samples: {1e3 * true['distance']:.1f} ({1e3 * true['error']:.1f}); all in thousandths."
        parts += [
            f"#### {name[0].upper()}{name[1:]}", first,
            _table(rows[1:], lambda row: f"{1e3 * row['distance']:.1f} ({1e3 * row['error']:.1f})"),
            *failures(rows),
        ]  # fmt: skip
    parts.append(measured_on(found))
    return "\n\n".join(parts)


def _means(rows: list[dict[str, Any]]) -> str:
    """How far off means are, and whose stay far off with the most calls."""
    known = [row for row in rows if "mean" in row]
    wrong: dict[str, dict[str, float]] = {}
    for row in known:
        if row["calls"] == max(CALLS) and abs(row["mean"]) > _OFF:
            wrong.setdefault(row["library"], {}).setdefault(row["solver"], row["mean"])
    off = {(library, solver) for library, of in wrong.items() for solver in of}
    bias = max(abs(row["mean"]) for row in known if (row["library"], row["solver"]) not in off)
    said = f"The mean is off by at most {bias:.0e} standard deviations"
    if not wrong:
        return f"{said}."
    named = "; ".join(
        f"{library} {', '.join(f'`{solver}` ({mean:+.2f})' for solver, mean in of.items())}"
        for library, of in wrong.items()
    )
    return f"{said}. Of samplers that are not made for these models it stays wrong; at {max(CALLS)} calls: {named}."


def _variance(row: dict[str, Any]) -> str:
    return f"{100.0 * row['variance']:+.1f} %" if abs(row["variance"]) < 10.0 else "over 1000 %"


def _table(rows: list[dict[str, Any]], cell: Any) -> str:
    calls = sorted({row["calls"] for row in rows})
    cells: dict[tuple[str, str, float], dict[int, str]] = {}
    for row in rows:
        key = (row["library"], row["solver"], row["eta"])
        cells.setdefault(key, {})[row["calls"]] = "failed" if "failed" in row else cell(row)
    lines = [
        [key[0], f"`{key[1]}`", f"{key[2]:g}", *(each.get(n, "") for n in calls)]
        for key, each in cells.items()
        if set(each.values()) != {"failed"}
    ]
    return table(["library", "solver", "eta", *(f"{n} calls" for n in calls)], lines)


def _lines(rows: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for library, solver in _SHOWN:
        own = [row for row in rows if (row["library"], row["solver"], row["eta"]) == (library, solver, 1.0)]
        points = [(row["calls"], abs(row["variance"])) for row in own if "variance" in row]
        if points:
            lines[f"{library} {solver}"] = [n for n, _ in points], [error for _, error in points]
    return lines
