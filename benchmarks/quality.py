"""Sample quality on the two demo networks: how far few calls are from where the same network leads with many.

    make bench-quality       or python -m fewstep.benchmarks.quality [--count 1000] [--networks vp] [--guidance 1]

For each network, guidance 1 and 4, and ODE and SDE: the RMS distance to the converged sample of the same noise, and the
Fréchet distance between the two sets, in the features of `classifier.py`. Both are on one grid (Karras for the VP
network, beta for the flow network; auto takes its own) and with the same last step: a converged run ends in both ways.
SDE runs of all step counts follow the same Brownian path. With --data FOLDER, where the files of Fashion-MNIST are:
a second table, the Fréchet distance to its test set.

One picture and call is 1 ms, twice that with guidance: with the defaults one or two hours on a core. What was drawn is
kept in out/quality (features and distances), so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import fewstep
import torch
from safetensors.torch import load_file, save_file

from ..demo.models import denoiser
from ..demo.networks import IMAGE_SIZE
from ..samplers.auto import choose_schedule, choose_solver
from ..samplers.level import Level
from ..samplers.noise import key
from ..samplers.plan import Plan
from ..samplers.run import Memory, run
from .classifier import features
from .frechet import frechet, resampled, standard_error
from .results import put

Tensor = torch.Tensor
CALLS = (5, 8, 10, 15, 20, 50)
GUIDANCE = (1.0, 4.0)
#: calls of a converged run, and of the one that says how converged it is
CONVERGED, HALF = 120, 60
#: pictures of a model call
_CHUNK = 50
_CACHE = Path(__file__).resolve().parents[1] / "out" / "quality"
#: network -> levels of all solvers but auto
LEVELS = {"vp": "karras", "flow": "beta"}
#: network -> solvers of the ODE
ODE: Mapping[str, tuple[str, ...]] = {
    "vp": ("auto", "dpmpp_2m", "ddim", "dpm_solver_3m", "dpm_solver_2m"),
    "flow": ("auto", "dpmpp_2m", "ddim", "flow_ab3", "dpm_solver_2m"),
}
#: of the SDE, at eta 1
SDE = ("auto", "ddpm", "dpmpp_2m_sde", "deis_tab_sde")
#: network -> (solver, levels) of converged runs; of third order to the end on exact problems
_TEACHERS = {"vp": ("dpm_solver_3m", "karras"), "flow": ("flow_ab3", "sgm_uniform")}
_SDE_TEACHER = "dpmpp_2m_sde"
_FIRST_SEED = 0


@dataclass(frozen=True)
class Setting:
    """Pictures of one network, of classes in turn, from the noise of one seed."""

    network: str
    guidance: float
    count: int
    seed: int = _FIRST_SEED

    def noise(self) -> Tensor:
        """[count, 1, 32, 32], of unit variance."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(self.count, 1, IMAGE_SIZE, IMAGE_SIZE, generator=generator)

    def model(self, first: int, count: int) -> Callable[..., Tensor]:
        """The denoiser of `count` pictures from `first` on."""
        return denoiser(self.network, [(first + i) % 10 for i in range(count)], self.guidance)


def solver_plan(where: Setting, solver: str, n: int, eta: float = 0.0) -> tuple[Plan, str]:
    """(plan, its last step as the option `last` names it); eta above 0 for the SDE."""
    network, guidance = where.network, where.guidance
    if solver == "auto":
        frame = fewstep.frame(network)
        levels, pick = (
            choose_schedule(frame, n, guidance=guidance),
            choose_solver(frame, n, guidance=guidance, eta=eta),
        )
        sigmas = fewstep.schedule(levels.id, n, frame=network, **levels.options)
        solver, options = pick.id, dict(pick.options)
    else:
        sigmas = fewstep.schedule(LEVELS[network], n, frame=network)
        options = {"eta": eta} if eta else {}
    last = options.get("last", "auto")
    return fewstep.plan(solver, sigmas, network, **options), _ending(network) if last == "auto" else last


def _ending(network: str) -> str:
    """What last=auto is there."""
    return "regular" if network == "flow" else "denoise"


def teacher_plans(network: str, calls: int, eta: float = 0.0) -> dict[str, Plan]:
    """{last: plan} of a converged run: the plans differ in their last call alone."""
    solver, levels = _TEACHERS[network]
    sigmas = fewstep.schedule(levels, calls, frame=network)
    if eta:
        return {_ending(network): fewstep.plan(_SDE_TEACHER, sigmas, network, eta=eta)}
    lasts = ("denoise", "regular") if network == "vp" else ("regular",)
    return {last: fewstep.plan(solver, sigmas, network, last=last) for last in lasts}


class BrownianPath:
    """Increments of one Brownian path per picture, made of pieces between all levels that any of the plans has.

    With eta 1 the noise between two levels is an increment of B(u), u = (alpha/sigma)^2. Pieces are drawn again
    whenever they are asked for.
    """

    def __init__(self, plans: Sequence[Plan], seed: int) -> None:
        hosts = {level.host for plan in plans for level in plan.levels if level.host}
        self.levels = {host: plans[0].frame.level(host).rho ** -2 for host in hosts}
        self.edges = sorted(self.levels.values())
        self.seed = seed

    def source(self, chunk: int) -> Callable[[Level, Level, Tensor], Tensor]:
        """The noise source of a chunk of pictures."""

        def noise(start: Level, end: Level, like: Tensor) -> Tensor:
            low, high = self.levels[start.host], self.levels[end.host]
            total = torch.zeros_like(like)
            for u, v in pairwise(edge for edge in self.edges if low <= edge <= high):
                generator = torch.Generator().manual_seed(key(float(self.seed), float(chunk), u))
                total.add_(torch.randn(like.shape, generator=generator), alpha=math.sqrt((v - u) / (high - low)))
            return total

        return noise


def drawn(where: Setting, plans: Mapping[str, Plan], path: BrownianPath | None = None) -> dict[str, Tensor]:
    """{name: pictures [count, 1, 32, 32]} of plans that differ in their last call alone."""
    first = next(iter(plans.values()))
    start = first.levels[0].sigma * where.noise()
    out: dict[str, list[Tensor]] = {name: [] for name in plans}
    with torch.inference_mode():
        for i in range(0, where.count, _CHUNK):
            x = start[i : i + _CHUNK]
            model = where.model(i, len(x))
            noise: dict[str, Any] = {} if path is None else {"noise": path.source(i)}
            if len(plans) == 1:
                out[next(iter(plans))].append(run(first, model, x, **noise))
                continue
            memory, last = Memory(), len(first) - 1
            x = run(first, model, x, end=last, history=memory)
            for name, plan in plans.items():
                out[name].append(run(plan, model, x, begin=last, history=Memory(memory)))
    return {name: torch.cat(pieces) for name, pieces in out.items()}


def _kept(words: Sequence[object], make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `make` makes, from the folder where it was made before."""
    name = hashlib.blake2b(repr(words).encode(), digest_size=12).hexdigest()
    path = _CACHE / f"{name}.safetensors"
    if not path.exists():
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, unfinished)
        unfinished.replace(path)
    return load_file(path)


def _contents(plans: Mapping[str, Plan]) -> list[object]:
    return [(name, [level.host for level in plan.levels], plan.updates) for name, plan in plans.items()]


def converged(where: Setting, calls: int, path: BrownianPath | None = None) -> dict[str, Tensor]:
    """{last: pictures} of a converged run of the ODE, or of the SDE on a path."""
    plans = teacher_plans(where.network, calls, 0.0 if path is None else 1.0)
    edges = path and path.edges
    return _kept(["converged", where, edges, _contents(plans)], lambda: drawn(where, plans, path))


def measured(where: Setting, plan: Plan, ends: Tensor, path: BrownianPath | None = None) -> dict[str, Tensor]:
    """{features [count, d], distances [count]} of a plan's pictures, and of its converged ones."""

    def make() -> dict[str, Tensor]:
        found = drawn(where, {"": plan}, path)[""]
        return {
            "features": features(found),
            "distances": (found - ends).double().square().mean((1, 2, 3)).sqrt(),
        }

    edges = path and path.edges
    return _kept(["measured", where, edges, CONVERGED, _contents({"": plan})], make)


def _median(values: Tensor) -> float:
    return float(values.median())


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _row(found: Mapping[str, Tensor], of_ends: Tensor) -> dict[str, Any]:
    distances, own = found["distances"], found["features"]
    return {
        "median": _median(distances), "median_se": standard_error([distances], _median),
        "rms": _rms(distances), "rms_se": standard_error([distances], _rms),
        "frechet": frechet(own, of_ends), "frechet_se": standard_error([own, of_ends], frechet),
    }  # fmt: skip


def floor(of_ends: Tensor) -> dict[str, Any]:
    """Fréchet distance of two disjoint halves of converged pictures, each class halved: what chance alone makes."""
    halves = [of_ends[[i for i in range(len(of_ends)) if (i // 10) % 2 == side]] for side in (0, 1)]
    count = min(map(len, halves))
    halves = [half[:count] for half in halves]
    return {"frechet": frechet(*halves), "frechet_se": standard_error(halves, frechet), "count": count}


def rows(where: Setting, calls: Sequence[int], stochastic: bool) -> Iterator[dict[str, Any]]:
    """The converged set first, then every solver and number of calls."""
    eta = 1.0 if stochastic else 0.0
    solvers = SDE if stochastic else ODE[where.network]
    plans = {(id, n): solver_plan(where, id, n, eta) for id in solvers for n in CALLS}
    path = None
    if stochastic:
        teachers = [plan for n in (CONVERGED, HALF) for plan in teacher_plans(where.network, n, eta).values()]
        path = BrownianPath([*teachers, *(plan for plan, _ in plans.values())], where.seed)
    ends = converged(where, CONVERGED, path)
    # of the first 200 pictures: a distance per picture needs no more
    few = Setting(where.network, where.guidance, min(200, where.count), where.seed)
    half = _kept(
        ["half", few, path and path.edges],
        lambda: {"": drawn(few, dict(list(teacher_plans(where.network, HALF, eta).items())[:1]), path).popitem()[1]},
    )[""]
    own = _ending(where.network)
    found = {last: features(pictures) for last, pictures in ends.items()}
    apart = (half - ends[own][: few.count]).double().square().mean((1, 2, 3)).sqrt()
    yield {
        "solver": "converged", "calls": CONVERGED, "count": where.count, "half_calls": HALF,
        "half_median": _median(apart),
        "half_frechet": frechet(features(half), found[own][: few.count]),
        "pixels_std": float(ends[own].double().std(0).square().mean().sqrt()),
        **{f"floor_{key}": value for key, value in floor(found[own]).items()},
    }  # fmt: skip
    for id in solvers:
        for n in calls:
            plan, last = plans[id, n]
            row = _row(measured(where, plan, ends[last], path), found[last])
            chosen = f"{plan.solver}, last={last}" if id == "auto" else ""
            yield {"solver": id, "calls": n, "last": last, "chosen": chosen, **row}


# --- the test set ----------------------------------------------------------------------------------------------------

TEST_CALLS, TEST_SEEDS, TEST_COUNT = (5, 10, 20), (0, 1, 2), 2000
#: what is compared; "converged" is the first at 50 calls
TEST_SOLVERS = ("auto", "dpmpp_2m", "ddim")
_TEST_CONVERGED = 50


def against_test(network: str, guidance: float, test: Tensor, count: int) -> Iterator[dict[str, Any]]:
    """Fréchet distance to features of the test set: mean over the seeds, their spread, and auto's paired difference."""
    settings = [Setting(network, guidance, count, seed) for seed in TEST_SEEDS]
    asked = [(id, n) for id in TEST_SOLVERS for n in TEST_CALLS] + [("auto", _TEST_CONVERGED)]
    sets: dict[tuple[str, int], list[Tensor]] = {}
    for id, n in asked:
        sets[id, n] = [_test_features(where, id, n) for where in settings]
    for (id, n), of_seeds in sets.items():
        values = torch.tensor([frechet(each, test) for each in of_seeds], dtype=torch.float64)
        row = {"solver": id, "calls": n, "frechet": float(values.mean()), "seeds_std": float(values.std())}
        if id != "auto":
            # the same pictures in both sets of a draw, the test set as it is
            pairs = [
                resampled([mine, auto], lambda a, b: frechet(a, test) - frechet(b, test))
                for mine, auto in zip(of_seeds, sets["auto", n], strict=True)
            ]
            differences = torch.stack(pairs).mean(0)
            plain = [frechet(a, test) - frechet(b, test) for a, b in zip(of_seeds, sets["auto", n], strict=True)]
            row |= {"minus_auto": sum(plain) / len(plain), "minus_auto_se": float(differences.std())}
        yield row


def _test_features(where: Setting, id: str, n: int) -> Tensor:
    plan, _ = solver_plan(where, id, n)
    plans = {"features": plan}
    return _kept(["test", where, _contents(plans)], lambda: {"features": features(drawn(where, plans)["features"])})[
        "features"
    ]


def _put(group: str, rows: list[dict[str, Any]], count: int) -> None:
    put("quality", group, [{"pictures": count, **row} for row in rows])


def _test_pictures(folder: Path) -> Tensor:
    from ..demo.train import load_data

    return load_data(folder, "test", torch.device("cpu"))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="pictures of each set (default 1000)")
    parser.add_argument("--networks", nargs="*", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--guidance", nargs="*", type=float, default=GUIDANCE)
    parser.add_argument("--calls", nargs="*", type=int, choices=CALLS, default=CALLS)
    parser.add_argument("--kinds", nargs="*", choices=("ODE", "SDE"), default=("ODE", "SDE"))
    parser.add_argument("--data", type=Path, help="folder of Fashion-MNIST's files: the distance to its test set too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for kind in given.kinds:
        for network in given.networks:
            for guidance in given.guidance:
                group = f"{network}, guidance {guidance:g}, {kind}"
                found = []
                for row in rows(Setting(network, guidance, given.count), given.calls, kind == "SDE"):
                    found.append(row)
                    print(group, *(f"{key} {value}" for key, value in row.items()), flush=True)
                    _put(group, found, given.count)
    if given.data:
        test = features(_test_pictures(given.data))
        for network in given.networks:
            group = f"{network}, guidance 1, test set"
            _put(group, list(against_test(network, 1.0, test, TEST_COUNT)), TEST_COUNT)


if __name__ == "__main__":
    main()
