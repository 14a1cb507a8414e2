"""The rows of the solver table, family by family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from . import solver_builds as builds
from . import solver_reference_rows as references
from .auto import AUTO, GUIDANCE
from .level import FRAMES
from .methods.adams import HALVED, MIDPOINT, Adams
from .solver_options import ADAPTIVE, FINAL, FORM, LAST, NODES, S_NOISE, SPLIT, START, variants
from .solver_options import eta as eta_option
from .solver_row import ON_FLOW, ON_LAMBDA, Solver, Where

_DPM, _DPMPP, _DEIS = "arXiv 2206.00927", "arXiv 2211.01095", "arXiv 2204.13902"
_ON_TIME = (Where("vp", "time_quadratic", "sigma_min"), *ON_FLOW)


def auto() -> Solver:
    """The row of `auto`, which is no method: it stands beside the table."""
    return Solver(
        id=AUTO,
        label="Auto",
        family="Auto",
        orders={"paper": 1},
        form="data",
        calls=1,
        frames=FRAMES,
        options=(GUIDANCE, eta_option(0.0), S_NOISE),
        reference="docs/decisions/0016-auto.md",
        about="The solver that suits the frame, the number of calls and the guidance; the plan says which it is.",
        order_on=(),
        build=partial(builds.no_plan, AUTO),
        chooses=builds.choose,
    )


def _ddim() -> Iterable[Solver]:
    for id, label, eta, reference, ode in (
        ("ddim", "DDIM", 0.0, "arXiv 2010.02502, eq. 12", None),
        ("ddpm", "DDPM", 1.0, "arXiv 2006.11239; arXiv 2010.02502, eq. 12 and 16 with eta 1", ("ddim", {})),
    ):
        yield Solver(
            id=id,
            label=label,
            family="DDIM",
            orders={"paper": 1},
            form="data",
            calls=1,
            frames=FRAMES,
            options=(eta_option(eta), S_NOISE),
            reference=reference,
            about="First order. ddim, dpm_solver_1s and dpmpp_1s are the same method; ddpm is ddim with eta 1.",
            order_on=(*ON_LAMBDA, *ON_FLOW),
            build=builds.ddim_steps,
            ode=ode,
        )


def _first_order() -> Iterable[Solver]:
    for id, label, family, form, reference in (
        ("dpm_solver_1s", "DPM-Solver 1S", "DPM-Solver", "noise", f"{_DPM}, eq. 3.7"),
        ("dpmpp_1s", "DPM++ 1S", "DPM-Solver++", "data", f"{_DPMPP}, first order"),
    ):
        yield Solver(
            id=id,
            label=label,
            family=family,
            orders={"paper": 1},
            form=form,
            calls=1,
            frames=FRAMES,
            options=(),
            reference=reference,
            about="First order. ddim, dpm_solver_1s and dpmpp_1s are the same method.",
            order_on=(*ON_LAMBDA, *ON_FLOW),
            build=partial(builds.multistep, Adams(form, "lambda", 1), {}),
        )


#: id stem, label stem, family, form, paper
_DPM_FAMILIES = (
    ("dpm_solver", "DPM-Solver", "DPM-Solver", "noise", _DPM),
    ("dpmpp", "DPM++", "DPM-Solver++", "data", _DPMPP),
)
_BLOCK_WEIGHTS = {
    2: {"general": "exact for linear predictions", "paper": "the paper's weights"},
    3: {
        "general": "third order at any inner points",
        "paper": "the paper's weights, third order at its own inner points",
        "taylor": "exact final weights, third order at the paper's inner points",
    },
}


def _dpm_singlestep() -> Iterable[Solver]:
    for stem, label, family, form, paper in _DPM_FAMILIES:
        for order, texts in _BLOCK_WEIGHTS.items():
            yield Solver(
                id=f"{stem}_{order}s",
                label=f"{label} {order}S",
                family=family,
                orders=dict.fromkeys(texts, order),
                form=form,
                calls=order,
                frames=FRAMES,
                options=(variants("general", **texts), NODES, SPLIT, LAST),
                reference=f"{paper}, singlestep, order {order}",
                about=f"Singlestep: blocks of {order} calls, no history; lower orders use up the remainder.",
                order_on=ON_LAMBDA,
                build=partial(builds.singlestep, form, order),
                aliases=(f"{stem}_fast",) if order == 3 else (),
            )


def _dpm_multistep() -> Iterable[Solver]:
    for stem, label, family, form, paper in _DPM_FAMILIES:
        yield Solver(
            id=f"{stem}_2m",
            label=f"{label} 2M",
            family=family,
            orders={"paper": 2, "taylor": 2},
            form=form,
            calls=1,
            frames=FRAMES,
            options=(
                variants("paper", paper="midpoint weights", taylor="exact for linear predictions ('heun' elsewhere)"),
                FINAL,
                LAST,
            ),
            reference=f"{paper}, multistep, order 2",
            about="Multistep: one call per step, linear extrapolation in lambda.",
            order_on=ON_LAMBDA,
            build=partial(builds.multistep, Adams(form, "lambda", 2), {"paper": MIDPOINT}),
        )
        yield Solver(
            id=f"{stem}_3m",
            label=f"{label} 3M",
            family=family,
            orders={"paper": 3, "official": 2},
            form=form,
            calls=1,
            frames=FRAMES,
            options=(
                # in the data form the published code's missing half damps, and is better below about 25 calls
                variants(
                    "official" if form == "data" else "paper",
                    paper="third order",
                    official="second difference halved, as in the published code's taylor type: second order, damped",
                ),
                START,
                FINAL,
                LAST,
            ),
            reference=f"{paper}, multistep, order 3",
            about="Multistep: one call per step, quadratic extrapolation in lambda.",
            order_on=ON_LAMBDA,
            build=partial(builds.multistep, Adams(form, "lambda", 3), {"official": HALVED}),
        )


def _deis_multistep() -> Iterable[Solver]:
    for stem, label, clock, what, section, where in (
        ("deis_tab", "DEIS tAB", "time", "the model's own time", "eq. 15", _ON_TIME),
        ("deis_rhoab", "DEIS rhoAB", "rho", "rho ('lms' elsewhere)", "section 4", (*ON_LAMBDA, *ON_FLOW)),
    ):
        for degree in range(4):
            yield Solver(
                id=f"{stem}{degree}",
                label=f"{label}{degree}",
                family="DEIS",
                orders={"paper": degree + 1},
                form="noise",
                calls=1,
                frames=FRAMES,
                options=(FORM, *((START,) if degree >= 2 else ()), FINAL, LAST),
                reference=f"{_DEIS}, {section}",
                about=f"Multistep: one call per step, a polynomial of degree {degree} in {what}.",
                order_on=where,
                build=partial(builds.multistep, Adams("noise", clock, degree + 1), {}),
                notes={"flow": f"on flow this is flow_ab{degree + 1}: DEIS's idea in the form that is regular there"},
            )


def _deis_runge_kutta() -> Iterable[Solver]:
    for method, label, order in (
        ("heun", "Heun", 2),
        ("midpoint", "Midpoint", 2),
        ("kutta3", "Kutta3", 3),
        ("rk4", "RK4", 4),
    ):
        yield Solver(
            id=f"deis_rhork_{method}",
            label=f"DEIS rhoRK {label}",
            family="DEIS",
            orders={"paper": order},
            form="noise",
            calls=order,
            frames=FRAMES,
            options=(SPLIT, LAST),
            reference=f"{_DEIS}, section 4",
            about=f"Singlestep: blocks of {order} calls, Runge-Kutta on d(x/alpha) = eps d(rho).",
            order_on=(*ON_LAMBDA, *ON_FLOW),
            build=partial(builds.rho_rk, method),
            notes={"flow": "on flow this is the same Runge-Kutta method on dx = v d(sigma)"},
        )


def _flow() -> Iterable[Solver]:
    for points in range(1, 5):
        yield Solver(
            id=f"flow_ab{points}",
            label=f"Flow AB{points}",
            family="Flow",
            orders={"paper": points},
            form="velocity",
            calls=1,
            frames=("flow",),
            options=(*((START,) if points >= 3 else ()), FINAL, LAST),
            reference=f"Adams-Bashforth on dx = v d(sigma); {_DEIS}'s idea in the velocity form",
            about=f"Multistep: one call per step, the velocity a polynomial of degree {points - 1} in sigma.",
            notes=dict.fromkeys(("ve", "vp"), f"its counterpart there is deis_rhoab{points - 1}"),
            order_on=ON_FLOW,
            build=partial(builds.multistep, Adams("velocity", "sigma", points), {}),
        )


def _with_noise(
    row: Solver, id: str, label: str, reference: str, about: str, default: float = 1.0, **of_ode: Any
) -> Solver:
    """A deterministic row with the options eta and s_noise; `of_ode` are options of that row which are settled here."""
    kept = tuple(option for option in row.options if option.name not in of_ode)
    return replace(
        row,
        id=id,
        label=label,
        form=of_ode.get("form", row.form),
        options=(*kept, eta_option(default), S_NOISE),
        reference=reference,
        about=about,
        build=partial(row.build, **of_ode),
        ode=(row.id, of_ode),
        aliases=(),
        notes={},
    )


def _sde(rows: Mapping[str, Solver]) -> Iterable[Solver]:
    same = "at eta 0 it is the ODE solver of that name"
    for ode, id, label, about in (
        ("dpmpp_2s", "dpmpp_2s_sde", "DPM++ 2S SDE", "Singlestep: blocks of 2 calls on one path of noise"),
        ("dpmpp_2m", "dpmpp_2m_sde", "DPM++ 2M SDE", "Multistep: one call per step, linear extrapolation in lambda"),
        ("dpmpp_3m", "dpmpp_3m_sde", "DPM++ 3M SDE", "Multistep: one call per step, quadratic extrapolation in lambda"),
        ("dpm_solver_1s", "dpm_solver_1_sde", "DPM-Solver 1 SDE", "First order, noise form: small steps only"),
        ("dpm_solver_2m", "dpm_solver_2m_sde", "DPM-Solver 2M SDE", "Multistep, noise form: small steps only"),
    ):
        what = f"SDE form: {_DPMPP}, section 4 and appendix B"
        yield _with_noise(rows[ode], id, label, what, f"{about}; {same}.")
    yield _with_noise(
        rows["deis_tab2"], "deis_tab_sde", "DEIS tAB SDE",
        f"{_DEIS}, eq. 15 for the SDE of arXiv 2211.01095, section 4, in the data form",
        "Exponential Adams: one call per step, a polynomial of degree 2 in the model's own time, exact variance.",
        form="data",
    )  # fmt: skip


def _adaptive() -> Iterable[Solver]:
    for stem, label, family, form, paper, orders in (
        (*_DPM_FAMILIES[0], (2, 3)),
        (*_DPM_FAMILIES[1], (3,)),
    ):
        for order in orders:
            yield Solver(
                id=f"{stem}_{order - 1}{order}",
                label=f"{label} {order - 1}{order}",
                family=family,
                orders={"paper": order},
                form=form,
                calls=order,
                frames=FRAMES,
                options=(*ADAPTIVE, LAST),
                reference=f"{_DPM}, section 3.4, adaptive" + ("" if paper == _DPM else f"; data form: {paper}"),
                about=f"Adaptive: steps in lambda as long as the tolerance allows, at {order} calls each; a rejected "
                f"one costs {order - 1} more. Only the ends of the schedule are used.",
                order_on=(),
                build=partial(builds.no_plan, f"{stem}_{order - 1}{order}"),
                adaptive=True,
            )


def rows() -> Iterable[Solver]:
    """Every row, in menu order."""
    families = (_ddim, _first_order, _dpm_singlestep, _dpm_multistep, _deis_multistep, _deis_runge_kutta, _flow)
    deterministic = {row.id: row for family in families for row in family()}
    yield from deterministic.values()
    yield from _sde(deterministic)
    yield from references.rows()
    yield from _adaptive()
