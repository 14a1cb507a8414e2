"""Rows of the solver table that the papers are compared with: predictor-correctors and older methods."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from . import solver_builds as builds
from .level import FRAMES
from .methods.adams import MIDPOINT, STRAIGHT, Adams, MomentRule
from .solver_options import BLACK_BOX, FINAL, LAST, S_NOISE, SPLIT, STATISTICS, eta, variants
from .solver_row import ON_FLOW, ON_LAMBDA, Solver

#: variant -> what is done to a step of two predictions; longer ones are the same in all
_TWO_POINTS: dict[str, MomentRule | None] = {"bh2": MIDPOINT, "bh1": STRAIGHT, "exact": None}


def _correctors() -> Iterable[Solver]:
    for order in (2, 3):
        yield Solver(
            id=f"unipc_{order}",
            label=f"UniPC {order}",
            family="Predictor-corrector",
            orders=dict.fromkeys(_TWO_POINTS, order + 1),
            form="data",
            calls=1,
            frames=FRAMES,
            options=(
                variants(
                    "bh2",
                    bh2="B(h) = e^h - 1 where two predictions combine, the paper's choice with guidance",
                    bh1="B(h) = h there, the paper's choice without guidance",
                    exact="the exact integral there",
                ),
                FINAL,
                LAST,
            ),
            reference="UniPC, arXiv 2302.04867, data prediction",
            about=f"UniP-{order} and UniC-{order}: one call per step, which also corrects the step before it. "
            f"Order {order + 1}, started by orders 2, 3, ...",
            order_on=ON_LAMBDA,
            build=partial(builds.multistep, Adams("data", "lambda", order, corrector=order + 1), _TWO_POINTS),
        )
    yield Solver(
        id="sa_solver",
        label="SA-Solver",
        family="Predictor-corrector",
        orders={"exact": 4, "bh1": 4},
        form="data",
        calls=1,
        frames=FRAMES,
        options=(
            variants(
                "exact",
                exact="the paper's integrals",
                bh1="two predictions combine as in the published code, whose integral is UniPC's B(h) = h there",
            ),
            FINAL,
            LAST,
            eta(0.25),
            S_NOISE,
        ),
        reference="SA-Solver, arXiv 2309.05019, with tau^2 = eta",
        about="Adams predictor of 3 predictions and corrector of 4: one call per step, which also corrects the step "
        "before it. Strength tau = sqrt(eta), the same at all levels; at few calls the paper too takes little noise.",
        order_on=ON_LAMBDA,
        build=partial(builds.multistep, Adams("data", "lambda", 3, corrector=4), _TWO_POINTS),
        ode=("unipc_3", {"variant": "exact"}),
    )


def _older() -> Iterable[Solver]:
    yield Solver(
        id="heun",
        label="Heun",
        family="Reference",
        orders={"paper": 2},
        form="noise",
        calls=2,
        frames=FRAMES,
        options=(SPLIT, LAST),
        reference="Karras et al. 2022, arXiv 2206.00364, algorithm 1",
        about="Singlestep: blocks of 2 calls, Heun's method on dx = eps d(sigma). The same as deis_rhork_heun.",
        order_on=(*ON_LAMBDA, *ON_FLOW),
        build=partial(builds.rho_rk, "heun"),
        notes={"flow": "on flow this is Heun's method on dx = v d(sigma)"},
    )
    for id, label, paper in (
        ("ipndm", "iPNDM", "arXiv 2204.13902, which improves PNDM of arXiv 2202.09778"),
        ("pndm", "PNDM", "PNDM (pseudo linear multistep), arXiv 2202.09778, started by lower orders"),
    ):
        yield Solver(
            id=id,
            label=label,
            family="Reference",
            orders={"paper": 2},
            form="noise",
            calls=1,
            frames=FRAMES,
            options=(LAST,),
            reference=paper,
            about="Adams-Bashforth of orders 1, 2, 3, 4 as if the levels were evenly spaced in rho: second order where "
            "they are not. ipndm and pndm are the same method in n calls.",
            # sgm_uniform's last step on flow is longer than the others by the model's first t, however many there are
            order_on=(*ON_LAMBDA, ON_FLOW[1]),
            build=partial(builds.multistep, Adams("noise", "rho", 4, even=True), {}),
            notes={"flow": "on flow the same weights on the velocity, as if the levels were evenly spaced in sigma"},
        )
    yield Solver(
        id="ab_v",
        label="AB variable-step",
        family="Reference",
        orders={"paper": 4},
        form="noise",
        calls=1,
        frames=FRAMES,
        options=(LAST,),
        reference="Adams-Bashforth on dx = eps d(rho); what 'ipndm_v' is meant to be (arXiv 2204.13902)",
        about="iPNDM with the weights of the levels as they are: one call per step, cubic in rho. The same as "
        "deis_rhoab3.",
        order_on=(*ON_LAMBDA, *ON_FLOW),
        build=partial(builds.multistep, Adams("noise", "rho", 4), {}),
        notes={"flow": "on flow this is flow_ab4"},
    )


def _analytic() -> Iterable[Solver]:
    for id, label, strength, base in (
        ("analytic_ddpm", "Analytic-DDPM", 1.0, "DDPM's posterior variance"),
        ("analytic_ddim", "Analytic-DDIM", 0.0, "no variance, as DDIM"),
    ):
        yield Solver(
            id=id,
            label=label,
            family="Analytic-DPM",
            orders={"paper": 1},
            form="data",
            calls=1,
            frames=FRAMES,
            options=(STATISTICS, S_NOISE),
            reference="Analytic-DPM, arXiv 2201.06503, theorem 1",
            about=f"First order, the optimal variance of each step from measured statistics; on top of {base}.",
            order_on=(),
            build=partial(builds.analytic_steps, strength),
        )


def _black_box() -> Iterable[Solver]:
    yield Solver(
        id="rk45",
        label="RK45",
        family="Reference",
        orders={"paper": 5},
        form="noise",
        calls=6,
        frames=FRAMES,
        options=(*BLACK_BOX, LAST),
        reference="Dormand & Prince 1980 as in scipy.integrate.RK45; arXiv 2011.13456",
        about="Adaptive, a black-box ODE solver to compare with: 6 calls for each step, and for each rejected one; to "
        "sigma 0 one step, x = D, or of third order. Only the ends of the schedule are used.",
        order_on=(),
        build=partial(builds.no_plan, "rk45"),
        notes={"flow": "on flow it integrates dx = v d(sigma), on ve and vp d(x/alpha) = eps d(rho)"},
        adaptive=True,
        adaptive_run="rk45",
    )


def rows() -> Iterable[Solver]:
    """Every row, in menu order."""
    yield from _correctors()
    yield from _older()
    yield from _analytic()
    yield from _black_box()
