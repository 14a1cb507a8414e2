"""Same-noise errors that claims are measured by: on exact mixtures, and on the VP demo network.

Mixtures: the eight problems of `exact.py` (set judge), of each the median over its samples of the distance to the exact
solution. The network: three sets of pictures, each of another noise seed, of each the median distance to what 200
calls of the same network make of that noise. Both go from the highest level to sigma_min.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from statistics import geometric_mean

import fewstep
import torch

from ..demo.models import denoiser
from .exact import MEDIAN, SETS, Class
from .problems import Mixture, median_error

Tensor = torch.Tensor
#: errors(solver, levels, n) of each problem, or of each set of pictures
Errors = Callable[[str, str, int], list[float]]

CALLS = (5, 10, 15, 20, 50)
JUDGE = SETS["judge"]
END = "sigma_min"
MIXTURES, NETWORK = "mixtures", "the VP network"
_PICTURES, _SEEDS, _CONVERGED = 20, (0, 1, 2), 200
#: what their spreads are over
OVER = {
    MIXTURES: f"{len(JUDGE)} problems",
    NETWORK: f"{len(_SEEDS)} noise seeds, each the median of {_PICTURES} pictures",
}


@cache
def _judge() -> Class:
    return Class("VP to sigma_min", JUDGE)


@cache
def mixtures(solver: str, levels: str, n: int) -> list[float]:
    """Of each problem, with the noise of the first seed."""
    found: list[float] = _judge().ours(solver, levels, n, {}, {})[:, 0, MEDIAN].tolist()
    return found


@cache
def solved(problem: Mixture, first: float, last: float) -> tuple[Tensor, Tensor]:
    """(states at sigma `first`, their exact solution at `last`), in frame ve."""
    x = problem.start("ve", first, 48)
    return x, problem.exact(x, "ve", [first, last])[-1]


class Network:
    """The VP demo network at a guidance."""

    def __init__(self, guidance: float) -> None:
        sigmas = fewstep.schedule("karras", _CONVERGED, frame="vp", end=END)
        self._model = denoiser("vp", [i % 10 for i in range(_PICTURES)], guidance)
        first = fewstep.frame("vp").level(sigmas[0]).sigma
        starts = [torch.randn(_PICTURES, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in _SEEDS]
        #: (state at the highest level, converged picture) of each seed, in frame vp
        self.solved = [(first * x, self._run("dpm_solver_3m", sigmas, first * x)) for x in starts]

    def _run(self, solver: str, sigmas: Sequence[float], x: Tensor) -> Tensor:
        with torch.inference_mode():
            return fewstep.run(fewstep.plan(solver, sigmas, "vp"), self._model, x)

    def denoise(self, y: Tensor, rho: float) -> Tensor:
        """D for the state y = x/alpha, sigma/alpha = rho."""
        x = y * fewstep.frame("vp").level(rho).alpha
        with torch.inference_mode():
            return self._model(x, torch.full((len(x),), rho))

    @cache  # noqa: B019  (lives as long as the script)
    def errors(self, solver: str, levels: str, n: int) -> list[float]:
        """Of each seed."""
        sigmas = fewstep.schedule(levels, n, frame="vp", end=END)
        return [median_error(self._run(solver, sigmas, x), end) for x, end in self.solved]


network = cache(Network)


def best(errors: Errors, solvers: Iterable[str], levels: Sequence[str], n: int) -> list[float]:
    """Those of the solver and the levels that have the least geometric mean."""
    return min((errors(solver, each, n) for solver in solvers for each in levels), key=geometric_mean)
