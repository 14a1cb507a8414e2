"""Runge-Kutta tableaus: published constants, and coefficients that are right for given inner nodes.

Classical tableaus serve the forms that are straight in rho or sigma (rhoRK-DEIS, arXiv 2204.13902). Exponential ones
serve DPM-Solver (arXiv 2206.00927) and DPM-Solver++ (arXiv 2211.01095) in lambda: both are w' = Lw + g with scalar L,
the noise form with z = +h and the data form with z = -h (Hochbruck & Ostermann, SIAM J. Numer. Anal. 43, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..phi import phi


@dataclass(frozen=True)
class Tableau:
    """Nodes c (c[0] = 0), stage weights a (a[0] belongs to the second stage), final weights b.

    order         global order on a smooth problem
    exact_degree  the final weights integrate polynomials of this degree exactly
    """

    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int
    exact_degree: int


EULER = Tableau((0.0,), (), (1.0,), 1, 0)
MIDPOINT = Tableau((0.0, 0.5), ((0.5,),), (0.0, 1.0), 2, 1)
HEUN = Tableau((0.0, 1.0), ((1.0,),), (0.5, 0.5), 2, 1)
KUTTA3 = Tableau((0.0, 0.5, 1.0), ((0.5,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6), 3, 3)
RK4 = Tableau((0.0, 0.5, 0.5, 1.0), ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4, 3)

#: Nodes nearer to each other than this share of the block make the weights large: such a block is split.
CLOSEST = 0.1
#: Weights for given nodes have a pole where the third one vanishes (c2 = 2/3 in the classical case). Where a weight
#: is more than this many times that of a constant, a second-order method takes over. Its own weights, and those of
#: two stages, are bounded by the distance of the nodes (at most about 10 times, measured).
_LARGEST = 4.0


def too_close(nodes: Sequence[float]) -> int | None:
    """Index of the first inner node that lies too close to the one before it, or None."""
    return next((i for i in range(1, len(nodes)) if nodes[i] - nodes[i - 1] < CLOSEST), None)


def _first_bounded(
    c2: float, c3: float, a21: float, candidates: Sequence[_Third], stage: float, whole: float
) -> Tableau:
    """The first candidate with bounded weights, or the last; a constant's are `stage` and, at the end, `whole`."""
    for second, third, a32, order, degree in candidates:
        row, b = (stage - a32, a32), (whole - second - third, second, third)
        chosen = Tableau((0.0, c2, c3), ((a21,), row), b, order, degree)
        size = max(max(map(abs, row)) / abs(stage), max(map(abs, b)) / abs(whole))
        if size <= _LARGEST:
            break
    return chosen


#: b2, b3, a32, order, exact degree
_Third = tuple[float, float, float, int, int]


def rk2(c2: float) -> Tableau:
    """Two stages, second order, any c2: b2 = 1/(2 c2)."""
    b2 = 0.5 / c2
    return Tableau((0.0, c2), ((c2,),), (1.0 - b2, b2), 2, 1)


def rk3(c2: float, c3: float) -> Tableau:
    """Three stages, third order, any nodes away from c2 = 2/3 (Butcher's conditions solved for b2, b3 and a32)."""
    b2, b3 = (2 - 3 * c3) / (6 * c2 * (c2 - c3)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    exact_stage = c3 * c3 / (2 * c2)  # exact for linear predictions: second order with any b that is
    candidates = (
        (b2, b3, 1.0 / (6 * b3 * c2) if b3 else math.inf, 3, 2),
        (b2, b3, exact_stage, 2, 2),
        (0.0, 0.5 / c3, exact_stage, 2, 1),
    )
    return _first_bounded(c2, c3, c2, candidates, c3, 1.0)


def exp_rk2(z: float, c2: float, variant: str) -> Tableau:
    """Two exponential stages at any c2.

    general  b2 = phi_2/c2
    paper    b2 = phi_1/(2 c2): DPM-Solver-2 and DPM-Solver++(2S)
    """
    f = phi(z, 2)
    b2 = f[1] / (2 * c2) if variant == "paper" else f[2] / c2
    return Tableau((0.0, c2), ((c2 * phi(c2 * z, 1)[1],),), (f[1] - b2, b2), 2, 0 if variant == "paper" else 1)


def exp_rk3(z: float, c2: float, c3: float, variant: str) -> Tableau:
    """Three exponential stages.

    general  all third-order conditions at any nodes, with the coupling term b2 psi_2 + b3 psi_3 = 0 in a32
    taylor   the same final weights, a32 without the coupling term (third order as c3 -> 2/3)
    paper    b2 = 0, b3 = phi_2/c3: DPM-Solver-3 and DPM-Solver++(3S) (third order as c3 -> 2/3)
    """
    f, f2, f3 = phi(z, 3), phi(c2 * z, 2), phi(c3 * z, 2)
    b2 = (c3 * f[2] - 2 * f[3]) / (c2 * (c3 - c2))
    b3 = (2 * f[3] - c2 * f[2]) / (c3 * (c3 - c2))
    plain = c3 * c3 * f3[2] / c2
    # a variant near its pole gives way to the next one, which is bounded further
    candidates = {
        "general": (b2, b3, plain + (b2 / b3) * c2 * f2[2] if b3 else math.inf, 3, 2),
        "taylor": (b2, b3, plain, 2, 2),
        "paper": (0.0, f[2] / c3, plain, 2, 1),
    }
    allowed = list(candidates.values())[list(candidates).index(variant) :]
    return _first_bounded(c2, c3, c2 * f2[1], allowed, c3 * f3[1], f[1])
