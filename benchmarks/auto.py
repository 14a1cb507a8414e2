"""How near `auto` comes to the best single solver and schedule, on exact problems: the evidence for its rules.

    python -m fewstep.benchmarks.auto [--set judge]      (from an installed checkout; about 20 minutes on one core)

For each class (VE to 0, VE to sigma_min, flow 1 to 0) and number of calls: the geometric mean over the problems of the
median error of auto, over that of the best of all deterministic solvers, their variants, starts and last steps, on all
schedules; the largest ratio of a problem to its own best; and which was best. `make` are the problems that the rules
were made on, `judge` others, never used to make a rule.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import fewstep
import torch

from .problems import PROBLEMS, Mixture, median_error

CALLS = (5, 6, 8, 10, 12, 15, 20, 25, 50)
SAMPLES = 48
SETS = {
    "make": PROBLEMS,
    "judge": tuple(
        Mixture(seed, dim, modes, widths)
        for seed, dim, modes, widths in (
            (211, 8, 5, (0.1, 0.5)), (212, 10, 3, (0.05, 0.3)), (213, 12, 8, (0.1, 0.5)), (214, 16, 6, (0.2, 0.6)),
            (215, 16, 10, (0.05, 0.4)), (216, 20, 4, (0.1, 0.5)), (217, 24, 12, (0.1, 0.5)), (218, 32, 7, (0.1, 0.4)),
        )
    ),
}  # fmt: skip
#: class -> (frame, end)
CLASSES: Mapping[str, tuple[str, int | str]] = {
    "VE to 0": ("ve", 0),
    "VE to sigma_min": ("ve", "sigma_min"),
    "flow 1 to 0": ("flow", 0),
}
#: options of schedules that are tried beside their defaults
_MORE = {
    "polyexponential": [{"rho": 0.7}],
    "rho_power": [{"power": 3.0}, {"power": 5.0}],
    "flow_shift": [{"shift": 0.5}, {"shift": 1.5}],
    "time_power": [{"kappa": 1.3}],
}


def _schedules(frame: str) -> Iterator[tuple[str, dict[str, float]]]:
    for id, row in fewstep.schedules().items():
        if frame in row.frames:
            yield from ((id, options) for options in [{}, *_MORE.get(id, [])])


def _solvers(frame: str, end: int | str) -> Iterator[tuple[str, dict[str, Any]]]:
    for id, row in fewstep.solvers().items():
        if frame not in row.frames or row.adaptive or row.stochastic:
            continue
        offered = {option.name: option.choices for option in row.options}
        tried = [
            list(row.orders) if "variant" in offered else [None],
            ["regular", "denoise"] if "last" in offered and end == 0 else [None],
            ["euler", "2s"] if "start" in offered else [None],
        ]
        for values in itertools.product(*tried):
            named = zip(("variant", "last", "start"), values, strict=True)
            yield id, {name: value for name, value in named if value is not None}


class Class:
    """One class on one set of problems."""

    def __init__(self, name: str, problems: tuple[Mixture, ...]) -> None:
        self.problems, (self.frame, self.end) = problems, CLASSES[name]
        self._exact: dict[tuple[int, float, float], tuple[torch.Tensor, torch.Tensor]] = {}

    def errors(self, solver: str, levels: str, n: int, options: dict[str, Any], of_levels: dict[str, float]) -> Any:
        """The median error on each problem; None where the two do not go together."""
        try:
            sigmas = fewstep.schedule(levels, n, frame=self.frame, end=self.end, **of_levels)
            plan = fewstep.plan(solver, sigmas, self.frame, **options)
        except ValueError:
            return None
        found = []
        for problem in self.problems:
            x, exact = self._solved(problem, sigmas[0], sigmas[-1])
            found.append(median_error(fewstep.run(plan, problem.model(self.frame), x), exact))
        return found if all(map(math.isfinite, found)) else None

    def _solved(self, problem: Mixture, first: float, last: float) -> tuple[torch.Tensor, torch.Tensor]:
        key = (problem.seed, round(first, 9), round(last, 9))
        if key not in self._exact:
            x = problem.start(self.frame, first, SAMPLES)
            self._exact[key] = x, problem.exact(x, self.frame, [first, last])[-1]
        return self._exact[key]


def _mean(errors: list[float]) -> float:
    return math.exp(sum(map(math.log, errors)) / len(errors))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", choices=SETS, default="judge", help="which problems (default judge)")
    parser.add_argument("--classes", nargs="*", choices=CLASSES, default=list(CLASSES))
    parser.add_argument("--calls", nargs="*", type=int, default=CALLS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.classes:
        where = Class(name, SETS[args.set])
        print(f"{name}, {len(where.problems)} problems ({args.set})")
        for n in args.calls:
            tried = {
                f"{id} {options} {levels} {of_levels}": where.errors(id, levels, n, options, of_levels)
                for id, options in _solvers(where.frame, where.end)
                for levels, of_levels in _schedules(where.frame)
            }
            known = {key: errors for key, errors in tried.items() if errors is not None}
            best = min(known, key=lambda key: _mean(known[key]))
            own = [min(errors) for errors in zip(*known.values(), strict=True)]
            auto = where.errors("auto", "auto", n, {}, {})
            worst = max(a / b for a, b in zip(auto, own, strict=True))
            ratio = _mean(auto) / _mean(known[best])
            print(f"  {n:3d} calls: auto / best {ratio:.2f}, worst problem / its own best {worst:.2f}; best: {best}")


if __name__ == "__main__":
    main()
