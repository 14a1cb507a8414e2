"""Evidence for the solvers' default options: errors of each choice on exact problems and on the two trained networks.

    python -m fewstep.benchmarks.defaults          (from an installed checkout; about 10 minutes on one core)

Writes docs/defaults.md. Exact problems: geometric mean over the problem set of the median error to the exact solution.
Networks: median over 20 pictures of the RMS distance to 160 calls of the same solver family with the same last step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import fewstep
import torch

from ..demo.models import denoiser
from .problems import PROBLEMS, median_error

CALLS = (5, 8, 10, 15, 20)
Options = dict[str, Any]


def _label(id: str, options: Options) -> str:
    return " ".join([id, *(f"{name}={value}" for name, value in options.items())])


class Exact:
    """The problem set on one schedule."""

    def __init__(self, title: str, frame: str, schedule: str, end: int | str) -> None:
        self.title, self.frame, self.schedule, self.end = title, frame, schedule, end

    def sigmas(self, n: int) -> list[float]:
        return fewstep.schedule(self.schedule, n, frame=self.frame, end=self.end)

    @cache  # noqa: B019  (lives as long as the script)
    def _solved(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        ends = self.sigmas(CALLS[0])
        out = []
        for problem in PROBLEMS:
            x = problem.start(self.frame, ends[0], 96)
            out.append((x, problem.exact(x, self.frame, [ends[0], ends[-1]])[-1]))
        return out

    def error(self, id: str, n: int, options: Options) -> float:
        plan = fewstep.plan(id, self.sigmas(n), self.frame, **options)
        errors = [
            median_error(fewstep.run(plan, problem.model(self.frame), x), exact)
            for problem, (x, exact) in zip(PROBLEMS, self._solved(), strict=True)
        ]
        return math.exp(sum(map(math.log, errors)) / len(errors))


class Network:
    """A trained demo network at one guidance scale."""

    def __init__(self, title: str, name: str, frame: str, schedule: str, guidance: float, reference: str) -> None:
        self.title, self.frame, self.schedule, self.reference = title, frame, schedule, reference
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(20, 1, 32, 32, generator=generator)
        self.model = denoiser(name, [i % 10 for i in range(20)], guidance)
        self.x = noise * fewstep.frame(frame).level(self.sigmas(5)[0]).sigma

    def sigmas(self, n: int) -> list[float]:
        return fewstep.schedule(self.schedule, n, frame=self.frame)

    @cache  # noqa: B019
    def _converged(self, last: str) -> torch.Tensor:
        return fewstep.sample(self.model, self.x, self.sigmas(160), self.reference, self.frame, last=last)

    def error(self, id: str, n: int, options: Options) -> float:
        out = fewstep.sample(self.model, self.x, self.sigmas(n), id, self.frame, **options)
        last = options.get("last", "regular" if self.frame == "flow" else "denoise")
        return median_error(out, self._converged(last))


def _questions() -> Iterable[tuple[str, str, list[tuple[str, Options]]]]:
    third = ("dpm_solver_3m", "dpmpp_3m", "deis_tab2", "deis_rhoab2")
    flow_third = ("flow_ab3", "flow_ab4", "dpm_solver_3m", "dpmpp_3m")
    yield "start", "ve", [(id, {"start": start}) for id in third for start in ("euler", "2s")]
    yield "start", "flow", [(id, {"start": start}) for id in flow_third for start in ("euler", "2s")]
    lasts = ("dpm_solver_2m", "dpm_solver_3m", "deis_tab2", "dpmpp_2m")
    yield "last", "ve", [(id, {"last": last}) for id in lasts for last in ("denoise", "regular")]
    flow_lasts = ("flow_ab2", "flow_ab3", "dpmpp_2m")
    yield "last", "flow", [(id, {"last": last}) for id in flow_lasts for last in ("denoise", "regular")]
    finals = ("dpm_solver_2m", "dpm_solver_3m", "dpmpp_2m", "dpmpp_3m")
    yield "final", "ve to sigma_min", [(id, {"final": final}) for id in finals for final in ("off", "on")]
    threes = ("dpm_solver_3m", "dpmpp_3m")
    yield "variant", "ve", [(id, {"variant": variant}) for id in threes for variant in ("paper", "official")]
    twos = ("dpm_solver_2m", "dpmpp_2m")
    yield "variant", "ve", [(id, {"variant": variant}) for id in twos for variant in ("paper", "taylor")]
    singles = ("dpm_solver_2s", "dpmpp_2s")
    yield "variant", "ve", [(id, {"variant": variant}) for id in singles for variant in ("general", "paper")]
    triples = ("dpm_solver_3s", "dpmpp_3s")
    yield "variant", "ve", [(id, {"variant": v}) for id in triples for v in ("general", "taylor", "paper")]
    yield "split", "ve", [(id, {"split": split}) for id in triples for split in ("even", "official")]
    yield "split", "flow", [(id, {"split": split}) for id in triples for split in ("even", "official")]
    yield "nodes", "ve", [(id, {"nodes": nodes}) for id in triples for nodes in ("schedule", "paper")]


def main(say: Callable[[str], None] = print) -> None:
    torch.set_num_threads(1)
    places: dict[str, list[Exact | Network]] = {
        "ve": [
            Exact("exact, Karras to 0.0292 and 0", "ve", "karras", 0),
            Network("network, Karras, guidance 2", "vp", "vp", "karras", 2.0, "dpm_solver_3m"),
            Network("network, Karras, guidance 7.5", "vp", "vp", "karras", 7.5, "dpm_solver_3m"),
        ],
        "ve to sigma_min": [Exact("exact, Karras to 0.0292", "ve", "karras", "sigma_min")],
        "flow": [
            Exact("exact, uniform 1 to 0", "flow", "sgm_uniform", 0),
            Network("network, uniform, guidance 2", "flow", "flow", "sgm_uniform", 2.0, "flow_ab3"),
            Network("network, uniform, guidance 7.5", "flow", "flow", "sgm_uniform", 7.5, "flow_ab3"),
        ],
    }
    lines = [
        "# What the default options rest on",
        "",
        "Generated by `make bench-defaults`; do not edit. Every row differs from the defaults in the option it names.",
        "Exact problems: geometric mean over ten mixtures of the median error. Networks: median distance to the same",
        "network's converged pictures, with the same kind of last step.",
        "",
    ]
    for option, where, rows in _questions():
        for place in places[where]:
            heads = " | ".join(f"{n} calls" for n in CALLS)
            lines += [f"## {option}: {place.title}", "", f"| solver | {heads} |"]
            lines.append("|---|" + "---|" * len(CALLS))
            for id, options in rows:
                cells = " | ".join(f"{place.error(id, n, options):.2e}" for n in CALLS)
                lines.append(f"| `{_label(id, options)}` | {cells} |")
                say(lines[-1])
            lines.append("")
    out = Path(__file__).resolve().parents[1] / "docs" / "defaults.md"
    out.write_text("\n".join(lines))
    say(f"wrote {out.name}")


if __name__ == "__main__":
    main()
