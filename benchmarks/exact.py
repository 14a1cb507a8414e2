"""Error over model calls on exact problems: our deterministic solvers, auto and tuned plans, and what others offer.

    make bench-exact      or python -m fewstep.benchmarks.exact [--set judge] [--classes "flow 1 to 0"] [--parts tuned]

For each class (VP to 0, VP to sigma_min, flow 1 to 0) and number of calls: all solvers, their variants, starts and last
steps on all schedules, the peers of `peers.py` (ComfyUI's and Forge's samplers among them where COMFYUI_PATH and
WEBUI_PATH name checkouts), `auto`, and a plan tuned for each problem. The rules of auto were made on the problems of
the set `make`; those of `judge` made none, and are what is recorded. About an hour on one core. Levels that begin lower
than the class are left out: their start states would know more of the picture.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import fewstep
import torch

from ..samplers.auto import choose_schedule, choose_solver
from ..samplers.plan import Plan
from .levels import schedules
from .peer import Peer
from .peers import peers
from .problems import PROBLEMS, Mixture
from .results import get, put
from .tune import RANGES

CALLS = (5, 6, 8, 10, 12, 15, 20, 25, 50)
#: of the noise, and samples of each
SEEDS, SAMPLES = (0, 1, 2), 48
#: samples that a plan is tuned on, and the seed of their noise
_TUNED_ON, _TUNING_SEED = 256, 9
#: to which plans are tuned: a third of the calls of the truth that tuning knows
_TUNED_CALLS = 40
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
#: class -> (frame, end). VP: the levels of Stable Diffusion, with states as hosts keep them, x0 + sigma noise
CLASSES: Mapping[str, tuple[str, int | str]] = {
    "VP to 0": ("ve", 0),
    "VP to sigma_min": ("ve", "sigma_min"),
    "flow 1 to 0": ("flow", 0),
}


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


#: [problems, seeds, 2]: of a method, the median and the root mean square over a seed's samples
Errors = torch.Tensor
MEDIAN, RMS = 0, 1


class Class:
    """One class on one set of problems."""

    def __init__(self, name: str, problems: tuple[Mixture, ...]) -> None:
        self.problems, (self.frame, self.end) = problems, CLASSES[name]
        sigmas = fewstep.schedule("karras" if self.frame == "ve" else "sgm_uniform", 2, frame=self.frame, end=self.end)
        self._first, self._last = sigmas[0], sigmas[-1]
        self._exact: dict[tuple[int, float, float], tuple[torch.Tensor, torch.Tensor]] = {}

    def ours(self, solver: str, levels: str, n: int, options: dict[str, Any], of_levels: dict[str, Any]) -> Errors:
        """The errors on each problem; ValueError where the two do not go together."""
        sigmas = fewstep.schedule(levels, n, frame=self.frame, end=self.end, **of_levels)
        return self._of_plans(itertools.repeat(fewstep.plan(solver, sigmas, self.frame, **options)))

    def theirs(self, peer: Peer, n: int) -> Errors:
        """The same for a peer, and whatever it raises."""
        ready, frame = peer.make(n), fewstep.frame(self.frame)

        def run(problem: Mixture, x: torch.Tensor) -> torch.Tensor:
            def model(x: torch.Tensor, sigma: float) -> torch.Tensor:
                level = frame.level(sigma)
                return problem.denoise(x, level.alpha, level.sigma)

            return ready.within(n, model, x)

        return self._errors(ready.first, ready.last, (partial(run, problem) for problem in self.problems))

    def tuned(self, calls: Sequence[int]) -> dict[int, Errors]:
        """{number of calls: errors of the plans that are tuned for each problem}, on noise that tuning never saw."""
        end = "zero" if self.end == 0 else "sigma_min"
        low = self._last or RANGES[self.frame][1]
        profiles = [
            fewstep.tune(
                problem.model(self.frame), problem.start(self.frame, self._first, _TUNED_ON, _TUNING_SEED), calls,
                frame=self.frame, sigma_max=self._first, sigma_min=low, end=end, teacher_last="regular",
            )
            for problem in self.problems
        ]  # fmt: skip
        return {n: self._of_plans(profile.entries[n].plan for profile in profiles) for n in calls}

    def _of_plans(self, plans: Iterable[Plan]) -> Errors:
        """Of a plan for each problem, all from and to the same levels."""
        paired = list(zip(plans, self.problems, strict=False))
        levels = paired[0][0].levels
        last = paired[0][0].calls[-1].target.host
        return self._errors(
            levels[0].host, last,
            (partial(fewstep.run, plan, problem.model(self.frame)) for plan, problem in paired),
        )  # fmt: skip

    def _errors(self, first: float, last: float, runs: Iterable[Callable[[torch.Tensor], torch.Tensor]]) -> Errors:
        if first < 0.99 * self._first or abs(last - self._last) > 0.01 * self._last:
            raise ValueError(f"goes from sigma {first:g} to {last:g}, the class from {self._first:g} to {self._last:g}")
        found = []
        for problem, run in zip(self.problems, runs, strict=True):
            x, exact = self._solved(problem, first, last)
            errors = (run(x) - exact).square().mean(1).view(len(SEEDS), SAMPLES)
            found.append(torch.stack([errors.sqrt().median(1).values, errors.mean(1).sqrt()], 1))
        out = torch.stack(found)
        if not bool(out.isfinite().all()):
            raise FloatingPointError("ends in NaN or inf")
        return out

    def _solved(self, problem: Mixture, first: float, last: float) -> tuple[torch.Tensor, torch.Tensor]:
        key = (problem.seed, round(first, 9), round(last, 9))
        if key not in self._exact:
            x = torch.cat([problem.start(self.frame, first, SAMPLES, seed) for seed in SEEDS])
            self._exact[key] = x, problem.exact(x, self.frame, [first, last])[-1]
        return self._exact[key]

    def methods(self) -> Iterator[tuple[str, str, str, Callable[[int], Errors]]]:
        """(library, solver, levels with options, errors of n calls) of everything that is compared."""
        for id, options in _solvers(self.frame, self.end):
            for levels, of_levels in schedules(self.frame):
                title = " ".join([levels, *(f"{key}={value}" for key, value in {**of_levels, **options}.items())])
                yield "fewstep", id, title, partial(self.ours, id, levels, options=options, of_levels=of_levels)
        for peer in peers(self.frame, self.end):
            yield peer.library, peer.solver, peer.levels, partial(self.theirs, peer)


def _mean(errors: Errors, which: int = MEDIAN) -> torch.Tensor:
    """Of each seed: geometric mean over the problems."""
    return errors[..., which].log().mean(0).exp()


def _over_seeds(of_seeds: torch.Tensor) -> float:
    """Geometric mean over the seeds."""
    return float(of_seeds.log().mean().exp())


def _figure(name: str, of_seeds: torch.Tensor) -> dict[str, Any]:
    """The mean over the seeds, and the least and the largest of them."""
    return {name: _over_seeds(of_seeds), f"{name}_spread": [float(of_seeds.min()), float(of_seeds.max())]}


@dataclass(frozen=True)
class Found:
    """A solver's errors on the levels that suit it best by one of the two measures."""

    library: str
    solver: str
    levels: str
    errors: Errors

    def error(self, which: int) -> float:
        """The mean over the problems and the seeds."""
        return _over_seeds(_mean(self.errors, which))

    def __str__(self) -> str:
        return f"{self.library} {self.solver}, {self.levels}"


#: (library, solver, levels)
Name = tuple[str, str, str]


class Ranking:
    """Everything of a class that is compared at one number of calls, or `only` what is named: LookupError where that
    is not here, as the samplers of a host are whose checkout is not named.
    """

    def __init__(self, where: Class, n: int, only: Collection[Name] | None = None) -> None:
        self.calls = n
        #: by each measure {(library, solver): its best}
        self.best: dict[int, dict[tuple[str, str], Found]] = {MEDIAN: {}, RMS: {}}
        self._failed: dict[tuple[str, str], str] = {}
        own = torch.full((len(where.problems),), math.inf, dtype=torch.float64)
        missing = set(only or ())
        for library, solver, levels, errors in where.methods():
            key = (library, solver)
            if only is not None and (library, solver, levels) not in only:
                continue
            missing.discard((library, solver, levels))
            try:
                found = Found(library, solver, levels, errors(n))
            except Exception as error:  # a peer may raise anything
                self._failed.setdefault(key, f"{type(error).__name__}: {error}"[:200])
                continue
            own = torch.minimum(own, found.errors[..., MEDIAN].log().mean(1).exp())
            for which, best in self.best.items():
                if key not in best or found.error(which) < best[key].error(which):
                    best[key] = found
        if missing:
            named = "; ".join(", ".join(each) for each in sorted(missing))
            raise LookupError(f"to compare with, but not here: {named}. COMFYUI_PATH and WEBUI_PATH name hosts")
        #: [problems] of each, the least median that anything compared here has
        self.own = own

    def ranked(self, which: int, others: bool = False) -> list[Found]:
        """The best first; of others: all but ours."""
        found = [each for each in self.best[which].values() if not (others and each.library == "fewstep")]
        return sorted(found, key=lambda each: each.error(which))

    def solvers(self) -> list[dict[str, Any]]:
        """A row for each solver, the best first by the median; failed ones with their reason."""
        rows: list[dict[str, Any]] = []
        for each in self.ranked(MEDIAN):
            by_rms = self.best[RMS][each.library, each.solver]
            rows.append(
                {"calls": self.calls, "library": each.library, "solver": each.solver, "levels": each.levels,
                 **_figure("median", _mean(each.errors)), "rms_levels": by_rms.levels,
                 **_figure("rms", _mean(by_rms.errors, RMS))}
            )  # fmt: skip
        for key, reason in self._failed.items():
            if key not in self.best[MEDIAN]:
                rows.append({"calls": self.calls, "library": key[0], "solver": key[1], "failed": reason})
        return rows

    def beside(self, errors: Errors) -> dict[str, Any]:
        """Errors of `auto` or of tuned plans beside the best of all, and of others, with the same noise.

        worst   over the problems, the largest ratio to the least error that anything compared has on that problem
        """
        row: dict[str, Any] = {"calls": self.calls}
        for which, word in ((MEDIAN, "median"), (RMS, "rms")):
            mine, prefix = _mean(errors, which), "" if which == MEDIAN else "rms_"
            best, other = self.ranked(which)[0], self.ranked(which, others=True)[0]
            row |= {
                **_figure(word, mine),
                **_figure(f"{prefix}ratio", mine / _mean(best.errors, which)), f"{prefix}best": str(best),
                **_figure(f"{prefix}others_ratio", mine / _mean(other.errors, which)), f"{prefix}others": str(other),
            }  # fmt: skip
        return {**row, "worst": float((errors[..., MEDIAN].log().mean(1).exp() / self.own).max())}


def untuned(where: Class, calls: Iterable[int]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(the row of auto, those of all solvers) for each number of calls."""
    frame, to_zero = fewstep.frame(where.frame), where.end == 0
    for n in calls:
        ranking = Ranking(where, n)
        auto = ranking.beside(where.ours("auto", "auto", n, {}, {}))
        chosen = f"{choose_solver(frame, n, to_zero)} on {choose_schedule(frame, n, to_zero)}"
        yield {**auto, "chosen": chosen}, ranking.solvers()


def tuned(where: Class, solvers: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of tuned plans beside the best of a table of solvers, run again with them."""
    rows = [row for row in solvers if "median" in row]
    errors = where.tuned(sorted({row["calls"] for row in rows if row["calls"] <= _TUNED_CALLS}))
    for n, found in errors.items():
        named = set()
        for measure, levels in (("median", "levels"), ("rms", "rms_levels")):
            for others in (False, True):
                at = (row for row in rows if row["calls"] == n and not (others and row["library"] == "fewstep"))
                best = min(at, key=lambda row: float(row[measure]))
                named.add((best["library"], best["solver"], best[levels]))
        yield Ranking(where, n, named).beside(found)


PARTS = ("untuned", "tuned")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="judge", help="which problems (default judge, the one recorded)")
    parser.add_argument("--classes", nargs="*", choices=CLASSES, default=list(CLASSES))
    parser.add_argument("--calls", nargs="*", type=int, default=CALLS)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="tuned: beside what is on record")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.classes:
        where, rows = Class(name, SETS[args.set]), get("exact").get(f"{name}: solvers", {}).get("rows", [])
        kept: dict[str, list[dict[str, Any]]] = {}
        if "untuned" in args.parts:
            kept, rows = {"auto": [], "solvers": []}, []
            for auto, solvers in untuned(where, args.calls):
                kept["auto"].append(auto)
                kept["solvers"] += solvers
                _print(name, "auto", auto)
            rows = kept["solvers"]
        if "tuned" in args.parts:
            kept["tuned"] = []
            for row in tuned(where, rows):
                kept["tuned"].append(row)
                _print(name, "tuned", row)
        if args.set == "judge" and set(args.calls) == set(CALLS):  # a part would take the place of the whole
            for part, found in kept.items():
                put("exact", f"{name}: {part}", found)


def _print(name: str, what: str, row: Mapping[str, Any]) -> None:
    print(
        f"{name}, {row['calls']} calls: {what} / best {row['ratio']:.2f} (RMS {row['rms_ratio']:.2f}), "
        f"/ best of others {row['others_ratio']:.2f}, worst problem / its own best {row['worst']:.2f}; "
        f"best: {row['best']}",
        flush=True,
    )


if __name__ == "__main__":
    main()
