"""The Runge-Kutta tableaus: order conditions to rounding, and bounded weights whatever the nodes."""

from __future__ import annotations

import math
import random

import fewstep
import mpmath as mp
import pytest
from fewstep.samplers.methods.tableaus import EULER, HEUN, KUTTA3, MIDPOINT, RK4, Tableau, exp_rk2, exp_rk3, rk2, rk3
from fewstep.samplers.plan import Plan

#: How many times the weight of a constant a third-order weight may be (samplers/methods/tableaus.py).
LARGEST = 4.0
#: And any weight: two stages have b2/phi_1 = 1/(2 c2) or phi_2/(c2 phi_1), the last resort of three a32 alike, with
#: c2 from 0.1 on and phi_2 < phi_1 where z < 0 (phi_2 <= phi_1/2 elsewhere). 4.94 and 6.8 measured.
ANY = {"noise": 5.0, "data": 10.0}


def full(tableau: Tableau) -> list[list[float]]:
    """The square matrix a."""
    size = len(tableau.c)
    rows = [(), *tableau.a]
    return [[*row, *[0.0] * (size - len(row))] for row in rows]


def tree_residuals(tableau: Tableau) -> list[list[float]]:
    """For orders 1 to 4: sum over the stages minus 1/density, for every rooted tree of that order."""
    b, c, a = tableau.b, tableau.c, full(tableau)
    stages = range(len(c))

    def through(v: list[float]) -> list[float]:
        return [sum(a[i][j] * v[j] for j in stages) for i in stages]

    def total(v: list[float], density: int) -> float:
        return sum(b[i] * v[i] for i in stages) - 1 / density

    one, square, cube = [1.0] * len(c), [x * x for x in c], [x**3 for x in c]
    return [
        [total(one, 1)],
        [total(list(c), 2)],
        [total(square, 3), total(through(list(c)), 6)],
        [
            total(cube, 4),
            total([c[i] * through(list(c))[i] for i in stages], 8),
            total(through(square), 12),
            total(through(through(list(c))), 24),
        ],
    ]


def check_trees(tableau: Tableau) -> None:
    residuals = tree_residuals(tableau)
    assert all(abs(sum(row) - c) <= 1e-15 for row, c in zip(full(tableau), tableau.c, strict=True))
    for order in residuals[: tableau.order]:
        assert max(map(abs, order)) <= 1e-13
    if tableau.order < 4:  # and no more than it says
        assert max(map(abs, residuals[tableau.order])) > 1e-6
    quadrature = [
        sum(b * c**k for b, c in zip(tableau.b, tableau.c, strict=True)) - 1 / (k + 1)
        for k in range(tableau.exact_degree + 1)
    ]
    assert max(map(abs, quadrature)) <= 1e-13


def test_published_tableaus() -> None:
    for tableau in (EULER, MIDPOINT, HEUN, KUTTA3, RK4):
        check_trees(tableau)


def nodes(generator: random.Random) -> tuple[float, float]:
    """0.1 <= c2, c2 + 0.1 <= c3 <= 1, as the guards leave them."""
    c2 = generator.uniform(0.1, 0.9)
    return c2, generator.uniform(c2 + 0.1, 1.0)


def test_classical_tableaus_at_random_nodes() -> None:
    generator = random.Random(1)
    orders = []
    for _ in range(300):
        c2, c3 = nodes(generator)
        check_trees(rk2(c2))
        tableau = rk3(c2, c3)
        check_trees(tableau)
        orders.append(tableau.order)
        b3 = (2 - 3 * c2) / (6 * c3 * (c3 - c2))
        b2 = (2 - 3 * c3) / (6 * c2 * (c2 - c3))
        a32 = 1 / (6 * b3 * c2)
        largest = max(abs(a32) / c3, abs(c3 - a32) / c3, abs(b2), abs(b3), abs(1 - b2 - b3))
        assert (tableau.order == 3) == (largest <= LARGEST)
    assert orders.count(3) > 150  # the guard is the exception


def exact_phi(k: int, z: float) -> mp.mpf:
    """phi_k from its definition, with digits to spare."""
    z = mp.mpf(z)
    return (mp.exp(z) - mp.fsum(z**j / mp.factorial(j) for j in range(k))) / z**k


def test_exponential_tableaus_at_random_nodes() -> None:
    """Conditions (1) to (5) of Hochbruck & Ostermann (2005) for third order, against phi functions of 40 digits."""
    generator = random.Random(2)
    orders = []
    with mp.workdps(40):
        for _ in range(300):
            z, (c2, c3) = generator.uniform(-4, 4), nodes(generator)
            phi = [exact_phi(k, z) for k in range(4)]
            at2, at3 = [exact_phi(k, c2 * z) for k in range(3)], [exact_phi(k, c3 * z) for k in range(3)]
            exact_b2 = (c3 * phi[2] - 2 * phi[3]) / (c2 * (mp.mpf(c3) - c2))
            exact_b3 = (2 * phi[3] - c2 * phi[2]) / (c3 * (mp.mpf(c3) - c2))
            exact_a32 = (c3**2 * at3[2] + exact_b2 / exact_b3 * c2**2 * at2[2]) / c2
            whole3 = c3 * at3[1]
            in_b = max(abs(b) for b in (phi[1] - exact_b2 - exact_b3, exact_b2, exact_b3)) / phi[1]
            in_row = max(abs(exact_a32), abs(whole3 - exact_a32)) / whole3
            for variant in ("general", "taylor", "paper"):
                tableau = exp_rk3(z, c2, c3, variant)
                (a21,), (a31, a32) = tableau.a
                b1, b2, b3 = tableau.b
                size = max(map(abs, (1.0, *tableau.b, a31, a32))) * float(phi[1] + 1)
                psi22 = -(c2**2) * at2[2]
                psi23 = a32 * c2 - c3**2 * at3[2]
                conditions = {
                    1: b1 + b2 + b3 - phi[1],
                    2: b2 * c2 + b3 * c3 - phi[2],
                    3: b2 * c2**2 + b3 * c3**2 - 2 * phi[3],
                    4: max(abs(a21 - c2 * at2[1]), abs(a31 + a32 - whole3)),
                    5: b2 * psi22 + b3 * psi23,
                }
                error = {k: abs(float(value)) / size for k, value in conditions.items()}
                holds = {k for k, value in error.items() if value <= 1e-14 * 100}
                if variant == "general":
                    orders.append(tableau.order)
                    # the full tableau unless a weight of it would be more than 4 times that of a constant
                    assert (tableau.order == 3) == (max(in_b, in_row) <= LARGEST)
                    assert {1, 2, 3, 4, 5} == holds if tableau.order == 3 else {1, 2, 4} <= holds, (z, c2, c3, error)
                else:
                    third = variant == "taylor" and in_b <= LARGEST and c3**2 * at3[2] / c2 <= LARGEST * whole3
                    assert {1, 2, 4, *([3] if third else [])} <= holds, (variant, z, c2, c3, error)
            b1, b2 = exp_rk2(z, c2, "general").b
            assert abs(float(b1 + b2 - phi[1])) + abs(float(b2 * c2 - phi[2])) <= 1e-13 * float(phi[1])
            b1, b2 = exp_rk2(z, c2, "paper").b
            # second order in the weak sense: b2 c2 = phi_1/2, which is phi_2 at z = 0
            assert abs(float(b1 + b2 - phi[1])) + abs(float(b2 * c2 - phi[1] / 2)) <= 1e-13 * float(phi[1])
    assert orders.count(3) > 150


# --- guards ----------------------------------------------------------------------------------------------------------


def check_bounded(plan: Plan) -> float:
    """No weight is out of proportion to that of a constant in its stage or step; returns the largest ratio."""
    worst = max(max(map(abs, call.weights)) / abs(math.fsum(call.weights)) for call in plan)
    largest = ANY["data" if plan.solver.startswith("dpmpp") else "noise"]
    assert worst <= largest * (1 + 1e-9), f"{plan}\na weight is {worst:.1f} times that of a constant"
    return worst


ROWS = [
    (f"{stem}_{order}s", variant)
    for stem in ("dpm_solver", "dpmpp")
    for order in (2, 3)
    for variant in fewstep.solvers()[f"{stem}_{order}s"].orders
]


@pytest.mark.parametrize(("id", "variant"), ROWS)
@pytest.mark.parametrize("frame", ["ve", "flow"])
def test_weights_stay_bounded_for_any_levels(id: str, variant: str, frame: str) -> None:
    """Random nodes in blocks of 1e-6 to 5 in lambda; on flow from sigma 1 to 0, where the end blocks are classical."""
    generator, worst = random.Random(3), 0.0
    for _ in range(200):
        lam, blocks = [-2.0], generator.choice((1, 2))
        for _ in range(blocks):
            h, inner = 10 ** generator.uniform(-6, 0.7), sorted(generator.random() for _ in range(int(id[-2]) - 1))
            lam += [lam[-1] + h * c for c in (*inner, 1.0)]
        where = fewstep.frame(frame)
        sigmas = [where.level_at_lam(value).host for value in lam]
        if frame == "flow":
            sigmas = [1.0, *sigmas, 0.0]
        plan = fewstep.plan(id, sigmas, frame, variant=variant, last="regular")
        assert len(plan) == len(sigmas) - 1
        worst = max(worst, check_bounded(plan))
    print(f"{id} {variant} {frame}: largest weight {worst:.2f} times that of a constant")


@pytest.mark.parametrize("id", ["dpm_solver_3s", "dpmpp_3s"])
@pytest.mark.parametrize("h", [0.1, 1.0, 2.5])
def test_a_bounded_method_takes_over_near_the_pole(id: str, h: float) -> None:
    """At c2 = 2 phi_3/phi_2 the third-order tableau has b3 = 0 and an infinite a32."""
    z = h if id.startswith("dpm_solver") else -h
    pole = float(2 * exact_phi(3, z) / exact_phi(2, z))
    c3 = (1 + pole) / 2
    orders = []
    for distance in (0.0, 1e-12, 1e-6, 1e-3, 0.3):
        c2 = pole - distance
        if distance:
            # what would be used without the guard
            phi2, phi3 = float(exact_phi(2, z)), float(exact_phi(3, z))
            b2, b3 = (c3 * phi2 - 2 * phi3) / (c2 * (c3 - c2)), (2 * phi3 - c2 * phi2) / (c3 * (c3 - c2))
            a32 = (c3**2 * float(exact_phi(2, c3 * z)) + b2 / b3 * c2**2 * float(exact_phi(2, c2 * z))) / c2
            assert (abs(a32) > 10) == (distance <= 1e-3)
        sigmas = [math.exp(-h * c) for c in (0.0, c2, c3, 1.0)]
        plan = fewstep.plan(id, sigmas, "ve", variant="general", split="official")
        assert len(plan) == 3
        check_bounded(plan)
        orders.append(exp_rk3(z, c2, c3, "general").order)
    assert orders == [2, 2, 2, 2, 3]


@pytest.mark.parametrize(("c2", "c3"), [(1e-9, 0.5), (0.05, 0.5), (0.3, 0.3 + 1e-9), (0.5, 0.55), (1e-6, 2e-6)])
@pytest.mark.parametrize(("id", "variant"), [row for row in ROWS if row[0].endswith("3s")])
def test_a_block_with_close_nodes_is_split(id: str, variant: str, c2: float, c3: float) -> None:
    """Nodes nearer than a tenth of the block: two smaller blocks, the same number of calls."""
    sigmas = [10 * math.exp(-2 * c) for c in (0.0, c2, c3, 1.0)]
    plan = fewstep.plan(id, sigmas, "ve", variant=variant, split="official")
    assert len(plan) == 3
    assert sum(call.closes for call in plan) > 1
    check_bounded(plan)
