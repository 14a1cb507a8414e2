"""Distances between distributions that claims are measured by: of a run's samples to a mixture's exact moments."""

from __future__ import annotations

from functools import cache

import fewstep
import torch

from .claim_errors import END, JUDGE
from .frechet import frechet_of_moments, moments
from .problems import Mixture

Tensor = torch.Tensor
#: samples of each mixture
DRAWN = 2000


def mixture_moments(problem: Mixture, sigma: float) -> tuple[Tensor, Tensor]:
    """(mean [dim], covariance [dim, dim]) of a mixture's data with noise sigma."""
    means, widths, weights = problem.parts
    mean = weights @ means
    apart = means - mean
    own = (weights * (widths**2 + sigma**2)).sum() * torch.eye(problem.dim, dtype=mean.dtype)
    return mean, torch.einsum("m,mi,mj->ij", weights, apart, apart) + own


@cache
def distances(solver: str, levels: str, n: int) -> list[float]:
    """Fréchet distance of the states themselves to the exact moments, of each problem of the set judge."""
    sigmas, found = fewstep.schedule(levels, n, frame="ve", end=END), []
    plan = fewstep.plan(solver, sigmas, "ve")
    for problem in JUDGE:
        x = fewstep.run(plan, problem.model("ve"), problem.start("ve", sigmas[0], DRAWN))
        found.append(frechet_of_moments(*moments(x), *mixture_moments(problem, sigmas[-1])))
    return found


@cache
def chance() -> list[float]:
    """The same of draws from the mixtures themselves."""
    last = fewstep.schedule("karras", 2, frame="ve", end=END)[-1]
    drawn = ((problem, problem.start("ve", last, DRAWN)) for problem in JUDGE)
    return [frechet_of_moments(*moments(x), *mixture_moments(problem, last)) for problem, x in drawn]
