"""DDIM with noise of strength eta, of which DDPM is eta 1 (arXiv 2010.02502, eq. 12 and 16; arXiv 2006.11239)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from ..level import Frame, Level
from ..plan import Call
from ..writer import Writer
from .blocks import write_single


def ddim(
    frame: Frame, levels: Sequence[Level], eta: float, variance: Callable[[Level], float] | None = None
) -> list[Call]:
    """x_t = alpha_t D + sqrt(sigma_t^2 - s^2) eps + s z,  s = eta sigma_t sqrt(rho_s^2 - rho_t^2)/rho_s.

    That is the paper's sigma in any frame: with alpha^2 + sigma^2 = 1 it is eq. 16. A step from alpha 0 or to sigma 0
    has no noise.

    variance(level) = E Var[x0 | x] makes it Analytic-DPM (arXiv 2201.06503, theorem 1): D stands in the place of an x0
    that varies by that much, so what it is multiplied with, w, leaves out the variance w^2 variance(s), and noise of
    that variance is added, but in the step to sigma 0. In the paper's VP chain
    w = sqrt(abar_t) - sqrt((bbar_t - s^2) abar_s/bbar_s)  and  variance(s) = (1 - Gamma_s) bbar_s/abar_s.
    """
    writer = Writer(frame, levels)
    for s, t in itertools.pairwise(levels):
        noisy = bool(eta) and math.isfinite(s.lam) and math.isfinite(t.lam)
        if t.sigma == 0.0 or not (noisy or variance):
            write_single(writer, t, "data", "lambda")
            continue
        ratio = t.rho / s.rho
        share = eta * math.sqrt((1.0 - ratio) * (1.0 + ratio)) if noisy else 0.0
        scale = t.sigma / s.sigma * math.sqrt((1.0 - share) * (1.0 + share))
        weight = t.alpha - scale * s.alpha
        spread = abs(weight) * math.sqrt(variance(s)) if variance else 0.0
        writer.step(
            t, scale, [weight], of="data", keeps="data", clock="lambda", exact_degree=0, noise=share * t.sigma,
            spread=spread,
        )  # fmt: skip
    return writer.calls
