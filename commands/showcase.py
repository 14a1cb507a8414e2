"""The main job of `make demo`: several solvers at few model calls beside a many-call reference, on both networks."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from ..demo import models, pictures
from ..demo.networks import CLASSES
from ..samplers.plan import Plan
from ..samplers.schedules import schedule
from ..samplers.solvers import plan
from .plan_figure import draw as draw_plans

CALLS = (5, 8, 10, 20)
GUIDANCE = 2.0
SEED = 1
#: model calls of the reference, and of the run that shows whether it has converged
REFERENCE_CALLS = (200, 100)


@dataclass(frozen=True)
class Study:
    """What is compared on one network; the reference has the same schedule."""

    model: str
    schedule: str
    solvers: tuple[str, ...]
    reference: str

    def plan(self, solver: str, calls: int) -> Plan:
        return plan(solver, schedule(self.schedule, calls, frame=self.model), self.model)

    @property
    def runs(self) -> Iterator[tuple[int, str]]:
        """(calls, solver), in the order of the table."""
        return ((calls, solver) for calls in CALLS for solver in self.solvers)


STUDIES = (
    Study("vp", "karras", ("ddim", "dpmpp_2m", "dpm_solver_3m", "deis_tab2"), "dpm_solver_3m"),
    Study("flow", "sgm_uniform", ("flow_ab1", "dpmpp_2m", "flow_ab2", "flow_ab3"), "flow_ab4"),
)
#: (study, solver, calls) of the plans in plan.png
PLANS = ((0, "dpm_solver_3m", 10), (0, "dpm_solver_3s", 11), (1, "flow_ab3", 10))


@dataclass(frozen=True)
class Result:
    """One row of the table; rms is the distance to the reference, in units where black to white is 2."""

    model: str
    schedule: str
    solver: str
    calls: int
    seconds: float
    rms: float


def main(out: Path) -> int:
    """Writes demo.png, plan.png, demo.md and demo.csv to a folder and says what it does."""
    out.mkdir(parents=True, exist_ok=True)
    print(f"{len(CLASSES)} pictures a run, guidance {GUIDANCE:g}, seed {SEED}; all runs start from the same noise")
    total = sum(sum(REFERENCE_CALLS) + sum(calls for calls, _ in study.runs) for study in STUDIES)
    results: list[Result] = []
    pages: list[Image.Image] = []
    with tqdm(total=total, unit="call", mininterval=1.0) as bar:
        for study in STUDIES:
            found, page = _carry_out(study, bar)
            results += found
            pages.append(page)
    pictures.beside(pages).save(out / "demo.png")
    shown = [(STUDIES[study], solver, calls) for study, solver, calls in PLANS]
    draw_plans([s.plan(solver, n) for s, solver, n in shown], [s.schedule for s, _, _ in shown], out / "plan.png")
    table = _table(results)
    print(table)
    (out / "demo.md").write_text(table + "\n", encoding="utf-8")
    _write_csv(results, out / "demo.csv")
    print(f"wrote {', '.join(str(out / name) for name in ('demo.png', 'plan.png', 'demo.md', 'demo.csv'))}")
    return 0


def _carry_out(study: Study, bar: tqdm[None]) -> tuple[list[Result], Image.Image]:
    classes = list(range(len(CLASSES)))
    noise = models.noise(study.plan(study.reference, 1), len(classes), SEED)
    denoiser = models.denoiser(study.model, classes, GUIDANCE)

    def sampled(solver: str, calls: int) -> torch.Tensor:
        bar.set_description(f"{study.model} {solver} {calls}")
        return models.draw(study.plan(solver, calls), denoiser, noise, bar)

    reference, coarser = (sampled(study.reference, calls) for calls in REFERENCE_CALLS)
    results = []
    many, half = REFERENCE_CALLS
    drawn = []
    for calls, solver in study.runs:
        began = time.perf_counter()
        latents = sampled(solver, calls)
        seconds = time.perf_counter() - began
        results.append(Result(study.model, study.schedule, solver, calls, seconds, _rms(latents - reference)))
        drawn.append(latents)
    drift, best = _rms(coarser - reference), min(result.rms for result in results)
    bar.write(f"{study.model}: the reference, {study.reference} at {many} calls, is {drift:.1e} from its run at {half}")
    if drift > 0.5 * best:
        raise ValueError(
            f"the {study.model} reference has not converged: {drift:.1e} between {half} and {many} calls, but the "
            f"nearest run is {best:.1e} away; raise REFERENCE_CALLS in commands/showcase.py"
        )
    return results, _page(study, reference, results, drawn)


def _page(study: Study, reference: torch.Tensor, results: list[Result], drawn: list[torch.Tensor]) -> Image.Image:
    nearest = {calls: min(row.rms for row in results if row.calls == calls) for calls in CALLS}
    rows = [pictures.row(study.reference, reference, "reference", f"{REFERENCE_CALLS[0]} calls")]
    rows += [
        pictures.row(
            row.solver,
            latents,
            f"{row.rms:.3f}",
            f"{row.calls} calls" if row.solver == study.solvers[0] else "",
            strong=row.rms == nearest[row.calls],
        )
        for row, latents in zip(results, drawn, strict=True)
    ]
    title = f"{study.model} network on {study.schedule} levels, and each run's RMS distance to the reference"
    return pictures.grid(title, CLASSES, rows)


def _rms(difference: torch.Tensor) -> float:
    return float(difference.double().square().mean().sqrt())


def _table(results: list[Result]) -> str:
    """A Markdown table, columns padded so that it also reads as text."""
    lines = [f"| {'model':<5} | {'schedule':<12} | {'solver':<14} | calls | seconds | RMS distance |"]
    lines.append(f"| {'-' * 5} | {'-' * 12} | {'-' * 14} | ----: | ------: | -----------: |")
    lines += [
        f"| {row.model:<5} | {row.schedule:<12} | {row.solver:<14} "
        f"| {row.calls:5d} | {row.seconds:7.2f} | {row.rms:12.4f} |"
        for row in results
    ]
    return "\n".join(lines)


def _write_csv(results: list[Result], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)])
        writer.writeheader()
        writer.writerows(asdict(result) for result in results)
