"""DDIM with noise of strength eta, of which DDPM is eta 1 (arXiv 2010.02502, eq. 12 and 16; arXiv 2006.11239)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ..level import Frame, Level
from ..plan import Call
from ..writer import Writer
from .blocks import write_single


def ddim(frame: Frame, levels: Sequence[Level], eta: float) -> list[Call]:
    """x_t = alpha_t D + sqrt(sigma_t^2 - s^2) eps + s z,  s = eta sigma_t sqrt(rho_s^2 - rho_t^2)/rho_s.

    That is the paper's sigma in any frame: with alpha^2 + sigma^2 = 1 it is eq. 16. A step from alpha 0 or to sigma 0
    has no noise.
    """
    writer = Writer(frame, levels)
    for s, t in itertools.pairwise(levels):
        if not (eta and math.isfinite(s.lam) and math.isfinite(t.lam)):
            write_single(writer, t, "data", "lambda")
            continue
        ratio = t.rho / s.rho
        share = eta * math.sqrt((1.0 - ratio) * (1.0 + ratio))
        scale = t.sigma / s.sigma * math.sqrt((1.0 - share) * (1.0 + share))
        weights = [t.alpha - scale * s.alpha]
        writer.step(
            t, scale, weights, of="data", keeps="data", clock="lambda", exact_degree=0, noise=share * t.sigma
        )  # fmt: skip
    return writer.calls
