"""Error over model calls on exact problems: every deterministic solver of ours, auto, and what others offer.

    make bench-exact      or python -m fewstep.benchmarks.exact [--set judge] [--classes "flow 1 to 0"] [--calls 5 8]

For each class (VE to 0, VE to sigma_min, flow 1 to 0) and number of calls: all solvers, their variants, starts and last
steps on all schedules, the peers of `peers.py`, and `auto`. Its rules were made on the problems of the set `make`;
those of `judge` made none, and are what is recorded. About an hour on one core. Levels that begin lower than the class
are left out: their start states would know more of the picture.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import fewstep
import torch

from ..samplers.auto import choose_schedule, choose_solver
from .peers import Peer, peers
from .problems import PROBLEMS, Mixture
from .results import put

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


#: of a method on a problem: median and root mean square over the samples
Errors = tuple[float, float]


class Class:
    """One class on one set of problems."""

    def __init__(self, name: str, problems: tuple[Mixture, ...]) -> None:
        self.problems, (self.frame, self.end) = problems, CLASSES[name]
        sigmas = fewstep.schedule("karras" if self.frame == "ve" else "sgm_uniform", 2, frame=self.frame, end=self.end)
        self._first, self._last = sigmas[0], sigmas[-1]
        self._exact: dict[tuple[int, float, float], tuple[torch.Tensor, torch.Tensor]] = {}

    def ours(self, solver: str, levels: str, n: int, options: dict[str, Any], of_levels: dict[str, Any]) -> Any:
        """The errors on each problem; ValueError where the two do not go together."""
        sigmas = fewstep.schedule(levels, n, frame=self.frame, end=self.end, **of_levels)
        plan = fewstep.plan(solver, sigmas, self.frame, **options)
        return self._errors(sigmas[0], sigmas[-1], lambda problem, x: fewstep.run(plan, problem.model(self.frame), x))

    def theirs(self, peer: Peer, n: int) -> Any:
        """The same for a peer, and whatever it raises."""
        ready, frame = peer.make(n), fewstep.frame(self.frame)

        def run(problem: Mixture, x: torch.Tensor) -> torch.Tensor:
            def model(x: torch.Tensor, sigma: float) -> torch.Tensor:
                level = frame.level(sigma)
                return problem.denoise(x, level.alpha, level.sigma)

            return ready.run(model, x)

        return self._errors(ready.first, ready.last, run)

    def _errors(self, first: float, last: float, run: Callable[[Mixture, torch.Tensor], torch.Tensor]) -> list[Errors]:
        if first < 0.99 * self._first or abs(last - self._last) > 0.01 * self._last:
            raise ValueError(f"goes from sigma {first:g} to {last:g}, the class from {self._first:g} to {self._last:g}")
        found = []
        for problem in self.problems:
            x, exact = self._solved(problem, first, last)
            errors = (run(problem, x) - exact).square().mean(1)
            found.append((float(errors.sqrt().median()), float(errors.mean().sqrt())))
        if not all(math.isfinite(rms) for _, rms in found):
            raise FloatingPointError("ends in NaN or inf")
        return found

    def _solved(self, problem: Mixture, first: float, last: float) -> tuple[torch.Tensor, torch.Tensor]:
        key = (problem.seed, round(first, 9), round(last, 9))
        if key not in self._exact:
            x = problem.start(self.frame, first, SAMPLES)
            self._exact[key] = x, problem.exact(x, self.frame, [first, last])[-1]
        return self._exact[key]

    def methods(self) -> Iterator[tuple[str, str, str, Callable[[int], Any]]]:
        """(library, solver, levels with options, errors of n calls) of everything that is compared."""
        for id, options in _solvers(self.frame, self.end):
            for levels, of_levels in _schedules(self.frame):
                title = " ".join([levels, *(f"{key}={value}" for key, value in {**of_levels, **options}.items())])
                yield "fewstep", id, title, partial(self.ours, id, levels, options=options, of_levels=of_levels)
        for peer in peers(self.frame, self.end):
            yield peer.library, peer.solver, peer.levels, partial(self.theirs, peer)


def _mean(errors: list[Errors], which: int = 0) -> float:
    """Geometric mean over the problems of the medians, or of the root mean squares."""
    return math.exp(sum(math.log(each[which]) for each in errors) / len(errors))


def measured(where: Class, n: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(auto beside the best of all; each solver on its best levels, the best first, failed ones with their reason)."""
    best: dict[tuple[str, str], tuple[str, list[Errors]]] = {}
    failed: dict[tuple[str, str], str] = {}
    own = [math.inf] * len(where.problems)
    for library, solver, levels, errors in where.methods():
        key = (library, solver)
        try:
            found = errors(n)
        except Exception as error:  # a peer may raise anything
            failed.setdefault(key, f"{type(error).__name__}: {error}"[:200])
            continue
        own = [min(least, median) for least, (median, _) in zip(own, found, strict=True)]
        if key not in best or _mean(found) < _mean(best[key][1]):
            best[key] = levels, found
    rows: list[dict[str, Any]] = [
        {"calls": n, "library": key[0], "solver": key[1], "levels": levels, "median": _mean(found),
         "rms": _mean(found, 1)}
        for key, (levels, found) in best.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: row["median"])
    rows += [
        {"calls": n, "library": key[0], "solver": key[1], "failed": reason}
        for key, reason in failed.items()
        if key not in best
    ]
    auto = where.ours("auto", "auto", n, {}, {})
    frame = fewstep.frame(where.frame)
    theirs = next(row for row in rows if row["library"] != "fewstep" and "median" in row)
    named = "{library} {solver}, {levels}".format_map
    return {
        "calls": n,
        "chosen": f"{choose_solver(frame, n, where.end == 0)} on {choose_schedule(frame, n, where.end == 0)}",
        "median": _mean(auto), "rms": _mean(auto, 1), "ratio": _mean(auto) / rows[0]["median"],
        "rms_ratio": _mean(auto, 1) / min(row["rms"] for row in rows if "rms" in row),
        "worst": max(median / least for (median, _), least in zip(auto, own, strict=True)),
        "best": named(rows[0]), "others": named(theirs), "others_ratio": _mean(auto) / theirs["median"],
    }, rows  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="judge", help="which problems (default judge, the one recorded)")
    parser.add_argument("--classes", nargs="*", choices=CLASSES, default=list(CLASSES))
    parser.add_argument("--calls", nargs="*", type=int, default=CALLS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.classes:
        where = Class(name, SETS[args.set])
        chosen, solvers = [], []
        for n in args.calls:
            auto, rows = measured(where, n)
            chosen.append(auto)
            solvers += rows
            print(
                f"{name}, {n} calls: auto / best {auto['ratio']:.2f} (RMS {auto['rms_ratio']:.2f}), "
                f"/ best of others {auto['others_ratio']:.2f}, "
                f"worst problem / its own best {auto['worst']:.2f}; best: {auto['best']}",
                flush=True,
            )
        if args.set == "judge":
            put("exact", f"{name}: auto", chosen)
            put("exact", f"{name}: solvers", solvers)


if __name__ == "__main__":
    main()
