"""What DEIS claims (arXiv 2204.13902), measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from statistics import geometric_mean

import fewstep

from .claim_distributions import DRAWN, chance, distances
from .claim_errors import CALLS, END, JUDGE, MIXTURES, NETWORK, OVER, Errors, best, mixtures, network, solved
from .claim_row import DEIS, Measured, Row, less, ratio, spread
from .first_order import Solved, Step, errors, euler, noise_form, score_form
from .problems import Mixture, median_error

_EXPERIMENTS = "experiments: comparisons with other samplers"

# --- what is held constant over a step -------------------------------------------------------------------------------

_VP_SDE = fewstep.frame("ve", "vp")
#: line -> levels
_TIMES = {"uniform times": "time_uniform", "quadratic times": "time_quadratic"}
_NARROW = "mixtures of width 0.02"
_EXACT_FOR = (
    "The noise form is exact for a single point, the score form and Euler's method for a Gaussian of variance 1: the "
    "answer depends on how wide the data's modes are, which differs between these rows."
)


def _solved_on_vp(problem: Mixture) -> Solved:
    time = _VP_SDE.time
    y, exact = solved(problem, time.sigma(time.t_max), time.sigma(time.t_min))
    return (lambda y, rho: problem.denoise(y, 1.0, rho)), y, exact


def _form_places(networks: bool) -> Iterator[tuple[str, str, Callable[[Step, str, int], list[float]]]]:
    """(where, what a spread is over, errors of a form on levels at n calls)."""
    narrow = [Mixture(problem.seed, problem.dim, problem.modes, (0.02, 0.02)) for problem in JUDGE]
    for where, problems in ((MIXTURES, JUDGE), (_NARROW, narrow)):
        found = [_solved_on_vp(problem) for problem in problems]
        yield f"{where}, VP SDE", OVER[MIXTURES], partial(errors, _VP_SDE, found)
    if networks:
        at, frame = network(1.0), fewstep.frame("vp")
        sigmas = fewstep.schedule("karras", 2, frame=frame, end=END)
        first, last = (1.0 / frame.level(sigmas[i]).alpha for i in (0, -1))
        pictures = [(at.denoise, first * x, last * end) for x, end in at.solved]
        yield NETWORK, OVER[NETWORK], partial(errors, frame, pictures)


def noise_or_score(networks: bool) -> Iterator[Row]:
    """The exponential integrator in the noise, in the score, and Euler's method."""
    for where, over, error in _form_places(networks):
        found = {
            (line, n): tuple(error(step, levels, n) for step in (noise_form, score_form, euler))
            for line, levels in _TIMES.items()
            for n in CALLS
        }
        noise_score, noise_euler, score_euler = Measured(), Measured(), Measured()
        for (line, n), (noise, score, by_euler) in found.items():
            noise_score.add(line, n, ratio(score, noise), less(noise, score))
            noise_euler.add(line, n, ratio(by_euler, noise), less(noise, by_euler))
            score_euler.add(line, n, ratio(score, by_euler), less(by_euler, score))
        part = "ablation: noise instead of score"
        yield noise_score.row(
            DEIS, part, f"The exponential integrator is better in the noise than in the score ({where})",
            f"error of the score form over that of the noise form, both of first order; of {over}", _EXACT_FOR,
        )  # fmt: skip
        yield noise_euler.row(
            DEIS, part, f"In the noise form it is better than Euler's method ({where})",
            f"error of Euler's method over that of the noise form; of {over}", _EXACT_FOR,
        )  # fmt: skip
        yield score_euler.row(
            DEIS, "ablation: exponential integrator over Euler's method",
            f"In the score the exponential integrator is worse than Euler's method ({where})",
            f"error of the score form over that of Euler's method; of {over}",
        )  # fmt: skip


# --- orders ----------------------------------------------------------------------------------------------------------


def _error_places(networks: bool) -> dict[str, Errors]:
    return {MIXTURES: mixtures, **({NETWORK: network(1.0).errors} if networks else {})}


def extrapolation(networks: bool) -> Iterator[Row]:
    """Orders 0 to 3 of tAB."""
    levels = "time_quadratic"
    for where, error in _error_places(networks).items():
        measured = Measured()
        for n in CALLS:
            found = [error(f"deis_tab{order}", levels, n) for order in range(4)]
            for order, (lower, higher) in enumerate(pairwise(found), 1):
                measured.add(f"order {order}", n, ratio(higher, lower), less(higher, lower))
        yield measured.row(
            DEIS, "ablation: polynomial extrapolation",
            f"Each order of tAB's extrapolation, 1 to 3, is better than the one before ({where})",
            f"error of an order over that of the one before, {levels} levels; of {OVER[where]}",
        )  # fmt: skip


# --- DEIS and others -------------------------------------------------------------------------------------------------

#: family -> orders that are compared, the best of them at each number of calls
_FAMILIES = {
    "tAB": ("deis_tab2", "deis_tab3"),
    "rhoAB": ("deis_rhoab2", "deis_rhoab3"),
    "rhoRK": ("deis_rhork_heun", "deis_rhork_kutta3"),
}
_LEVELS = ("time_uniform", "time_quadratic", "karras")
_FAST_LEVELS = ("fastdpm_var", "fastdpm_step")
_TWO_LEVELS = _LEVELS[1:]


def _rk45(n: int) -> list[float] | None:
    """Errors on mixtures with the least tolerance that n calls are enough for; None where they are for no tolerance."""
    sigmas = fewstep.schedule("karras", 2, frame="ve", end=END)
    out = []
    for problem in JUDGE:
        x, exact = solved(problem, sigmas[0], sigmas[-1])
        least = None
        for exponent in range(0, -22, -1):
            try:
                result = fewstep.adaptive(problem.model("ve"), x, sigmas, "rk45", "ve", rtol=2.0**exponent, max_calls=n)
            except fewstep.NotConvergedError:
                break
            least = median_error(result.x, exact)
        if least is None:
            return None
        out.append(least)
    return out


def _against(
    families: Mapping[str, Callable[[int], list[float]]], other: Callable[[int], list[float] | None]
) -> tuple[Measured, list[int]]:
    """(ratios of each family to another method; the numbers of calls that it cannot do)."""
    measured, missing = Measured(), []
    for n in CALLS:
        theirs = other(n)
        if theirs is None:
            missing.append(n)
            continue
        for family, errors_of in families.items():
            ours = errors_of(n)
            measured.add(family, n, ratio(ours, theirs), less(ours, theirs))
    return measured, missing


def deis_and_others(networks: bool) -> Iterator[Row]:
    """TAB-, rhoAB- and rhoRK-DEIS against DDIM, PNDM, FastDPM and RK45, by same-noise errors."""
    for where, error in _error_places(networks).items():
        levels: Sequence[str] = _LEVELS if where == MIXTURES else _TWO_LEVELS
        families = {name: partial(best, error, solvers, levels) for name, solvers in _FAMILIES.items()}
        others: dict[str, tuple[Callable[[int], list[float] | None], Sequence[str]]] = {
            "DDIM": (partial(best, error, ("ddim",), levels), levels),
            "PNDM": (partial(best, error, ("pndm",), levels), levels),
            "FastDPM (DDIM)": (partial(best, error, ("ddim",), _FAST_LEVELS), _FAST_LEVELS),
        }
        if where == MIXTURES:
            others["RK45"] = (_rk45, ("its own",))
        for name, (theirs, their_levels) in others.items():
            measured, missing = _against(families, theirs)
            yield measured.row(
                DEIS, _EXPERIMENTS, f"tAB-, rhoAB- and rhoRK-DEIS are better than {name} at 5 to 50 calls ({where})",
                f"error of the best order of each family on the best of {', '.join(levels)} over that of {name} on "
                f"{_best_of(their_levels)}; of {OVER[where]}",
                f"{name} cannot do {', '.join(map(str, missing))} calls." if missing else "",
            )  # fmt: skip


def _best_of(levels: Sequence[str]) -> str:
    return f"the best of {', '.join(levels)}" if len(levels) > 1 else f"{levels[0]} levels"


def deis_and_noise(_: bool) -> Iterator[Row]:
    """The same against DDPM and FastDPM with its noise, by distances between distributions."""
    families = {name: partial(best, distances, solvers, _TWO_LEVELS) for name, solvers in _FAMILIES.items()}
    for name, levels in (("DDPM", ("time_uniform", "karras")), ("FastDPM (DDPM)", _FAST_LEVELS)):
        measured, _missing = _against(families, partial(best, distances, ("ddpm",), levels))
        for n in CALLS:
            measured.add(f"{name} itself, distance", n, spread(best(distances, ("ddpm",), levels, n)))
        yield measured.row(
            DEIS, _EXPERIMENTS, f"tAB-, rhoAB- and rhoRK-DEIS are better than {name} at 5 to 50 calls ({MIXTURES})",
            f"Fréchet distance of {DRAWN} samples to the exact moments, of the best order of each family on the best "
            f"of {', '.join(_TWO_LEVELS)} over that of {name} on {_best_of(levels)}; of {OVER[MIXTURES]}",
            f"Draws from the mixtures themselves have a distance of {geometric_mean(chance()):.2g}.",
        )  # fmt: skip
