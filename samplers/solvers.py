"""The solver table: every fixed-step method, its options and what is promised of it.

Menus, the command line, the docs tables and the parametrised tests are made from this table and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from .level import FRAMES, Frame, Level, read_levels
from .level import frame as make_frame
from .methods import adams, blocks
from .names import nearest
from .options import Option, check_options
from .plan import Call, Plan
from .times import TimeMap

#: (frame, schedule id, end) on which a slope is promised. Elsewhere refinement never shrinks the end steps in the
#: method's clock, and the slope is measured but not promised.
Where = tuple[str, str, str]

_LAMBDA_ON: tuple[Where, ...] = (("ve", "exponential", "sigma_min"), ("ve", "karras", "sigma_min"))
_FLOW_ON: tuple[Where, ...] = (("flow", "time_uniform", "0"), ("flow", "flow_shift", "0"))
_TAB_ON: tuple[Where, ...] = (("vp", "time_quadratic", "sigma_min"), *_FLOW_ON)


@dataclass(frozen=True)
class Solver:
    """One published method.

    order     global order of each variant, meant with final="off" and on `order_on`; `order` is that of the default
    calls     model calls per step (a step of k calls spans k intervals, so that n steps of a schedule are n calls)
    frames    state conventions on which it is defined
    """

    id: str
    label: str
    family: str
    orders: Mapping[str, int]
    calls: int
    frames: tuple[str, ...]
    options: tuple[Option, ...]
    reference: str
    about: str
    order_on: tuple[Where, ...]
    build: Callable[..., list[Call]] = field(repr=False)
    aliases: tuple[str, ...] = ()
    stochastic: bool = False
    adaptive: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> int:
        return self.orders[self.variant]

    @property
    def variant(self) -> str:
        """The default variant."""
        return next((str(option.default) for option in self.options if option.name == "variant"), "paper")


# --- options ---------------------------------------------------------------------------------------------------------


def _variant(default: str, **help_of: str) -> Option:
    return Option("variant", default, "; ".join(f"{name}: {text}" for name, text in help_of.items()), tuple(help_of))


_START = Option(
    "start",
    "euler",
    "how the history begins. euler: orders 1, 2, 3, ...; 2s: one second-order block on the first three levels",
    ("euler", "2s"),
)
_FINAL = Option(
    "final",
    "auto",
    "lower order in the last steps. off; on: order min(k, steps left); auto: on where the levels end above sigma 0 "
    "and there are fewer than 10 calls",
    ("auto", "on", "off"),
)


def _last(default: str) -> Option:
    return Option(
        "last",
        default,
        "the step to sigma 0. regular: keeps its order in a form that is regular there; denoise: x = D, first order; "
        "auto: regular for flow, denoise for ve and vp",
        ("auto", "regular", "denoise"),
    )


_FORM = Option("form", "noise", "which prediction is extrapolated (ve and vp)", ("noise", "data"))
_NODES = Option(
    "nodes",
    "schedule",
    "where a block asks the model. schedule: at the schedule's own points; paper: at the papers' fractions of the block",
    ("schedule", "paper"),
)
_SPLIT = Option(
    "split",
    "even",
    "how n calls become blocks. even: orders k and k-1 only; official: the papers' rule, which may end in an order-1 step",
    ("even", "official"),
)


# --- builders: (frame, levels, checked options) -> calls ---------------------------------------------------------------


def _resolve_last(value: str, frame: Frame) -> str:
    return value if value != "auto" else ("regular" if frame.name == "flow" else "denoise")


def _resolve_final(value: str, levels: Sequence[Level]) -> bool:
    return value == "on" or (value == "auto" and levels[-1].sigma > 0.0 and len(levels) - 1 < 10)


def _adams(
    method: adams.Adams, frame: Frame, levels: Sequence[Level], *, variant: str = "paper", start: str = "euler",
    final: str = "off", last: str = "regular", form: str | None = None,
) -> list[Call]:  # fmt: skip
    if form is not None and form != method.form:
        method = adams.Adams(form, method.clock, method.points)
    if method.clock in ("time", "rho") and frame.name == "flow":
        method = adams.Adams("velocity", "sigma", method.points)
    return adams.write(
        method,
        frame,
        levels,
        variant=variant,
        start=start,
        final=_resolve_final(final, levels),
        last=_resolve_last(last, frame),
    )


def _singlestep(form: str, order: int, frame: Frame, levels: Sequence[Level], **options: str) -> list[Call]:
    return blocks.singlestep(
        frame, levels, form, order,
        variant=options.get("variant", "general"), nodes=options.get("nodes", "schedule"),
        split=options.get("split", "even"), last=_resolve_last(options.get("last", "auto"), frame),
    )  # fmt: skip


def _rho_rk(method: str, frame: Frame, levels: Sequence[Level], *, split: str, last: str) -> list[Call]:
    return blocks.rho_rk(frame, levels, method, split=split, last=_resolve_last(last, frame))


# --- rows ------------------------------------------------------------------------------------------------------------

_DPM, _DPMPP, _DEIS = "arXiv 2206.00927", "arXiv 2211.01095", "arXiv 2204.13902"
_FORM_OF = {"dpm_solver": ("noise", "DPM-Solver", _DPM), "dpmpp": ("data", "DPM-Solver++", _DPMPP)}
_ON_FLOW = "on flow this is {}: DEIS's idea in the form that is regular at sigma 1"


def _first_order() -> list[Solver]:
    def row(id: str, label: str, family: str, form: str, reference: str) -> Solver:
        return Solver(
            id, label, family, {"paper": 1}, 1, FRAMES, (), reference,
            "First order; the same method as ddim, dpm_solver_1s and dpmpp_1s.",
            (*_LAMBDA_ON, *_FLOW_ON), partial(_adams, adams.Adams(form, "lambda", 1)),
        )  # fmt: skip

    return [
        row("ddim", "DDIM", "DDIM", "data", "arXiv 2010.02502, eq. 12 with eta 0"),
        row("dpm_solver_1s", "DPM-Solver-1", "DPM-Solver", "noise", f"{_DPM}, eq. 3.7"),
        row("dpmpp_1s", "DPM-Solver++ 1S", "DPM-Solver++", "data", f"{_DPMPP}, eq. 9 at order 1"),
    ]


def _singlesteps() -> list[Solver]:
    rows = []
    for stem, (form, family, paper) in _FORM_OF.items():
        for order, where in ((2, "Algorithm 1"), (3, "Algorithm 2" if stem == "dpm_solver" else "appendix A")):
            texts = {"general": "coefficients right for the given nodes", "paper": "the papers' weights"}
            if order == 3:
                texts["taylor"] = "exact final weights, no coupling term"
            rows.append(
                Solver(
                    f"{stem}_{order}s",
                    f"{family} {order}S",
                    family,
                    dict.fromkeys(texts, order),
                    order,
                    FRAMES,
                    (_variant("general", **texts), _NODES, _SPLIT, _last("auto")),
                    f"{paper}, {where}",
                    f"Singlestep, blocks of {order} calls, no history.",
                    _LAMBDA_ON,
                    partial(_singlestep, form, order),
                    (f"{stem}_fast",) if order == 3 else (),
                )
            )
    return rows


def _lambda_multisteps() -> list[Solver]:
    rows = []
    for stem, (form, family, paper) in _FORM_OF.items():
        rows.append(
            Solver(
                f"{stem}_2m", f"{family} 2M", family, {"paper": 2, "taylor": 2}, 1, FRAMES,
                (
                    _variant("paper", paper="midpoint weights (Algorithm 2)", taylor="exact for linear predictions ('heun' elsewhere)"),
                    _START, _FINAL, _last("auto"),
                ),
                f"{paper}, {'multistep' if stem == 'dpm_solver' else 'Algorithm 2'}",
                "Multistep, one call per step, linear extrapolation in lambda.", _LAMBDA_ON,
                partial(_lambda_2m, form),
            )
        )  # fmt: skip
        rows.append(
            Solver(
                f"{stem}_3m", f"{family} 3M", family, {"paper": 3, "official": 2}, 1, FRAMES,
                (
                    _variant("paper", paper="third order", official="second difference halved, as in the published code (second order)"),
                    _START, _FINAL, _last("auto"),
                ),
                f"{paper}, multistep order 3",
                "Multistep, one call per step, quadratic extrapolation in lambda.", _LAMBDA_ON,
                partial(_adams, adams.Adams(form, "lambda", 3)),
            )
        )  # fmt: skip
    return rows


def _lambda_2m(form: str, frame: Frame, levels: Sequence[Level], *, variant: str, **options: str) -> list[Call]:
    return _adams(
        adams.Adams(form, "lambda", 2), frame, levels, variant={"paper": "midpoint"}.get(variant, variant), **options
    )


def _deis() -> list[Solver]:
    rows = []
    for degree in range(4):
        on_flow = {"flow": _ON_FLOW.format(f"flow_ab{degree + 1}")}
        extra = (_START,) if degree >= 2 else ()
        rows.append(
            Solver(
                f"deis_tab{degree}", f"DEIS tAB{degree}", "DEIS", {"paper": degree + 1}, 1, FRAMES,
                (_FORM, *extra, _FINAL_OFF, _last("auto")), f"{_DEIS}, eq. 15",
                f"Multistep, the prediction a polynomial of degree {degree} in the model's own time.", _TAB_ON,
                partial(_adams, adams.Adams("noise", "time", degree + 1)), notes=on_flow,
            )
        )  # fmt: skip
    for degree in range(4):
        on_flow = {"flow": _ON_FLOW.format(f"flow_ab{degree + 1}")}
        extra = (_START,) if degree >= 2 else ()
        rows.append(
            Solver(
                f"deis_rhoab{degree}", f"DEIS rhoAB{degree}", "DEIS", {"paper": degree + 1}, 1, FRAMES,
                (_FORM, *extra, _FINAL_OFF, _last("auto")), f"{_DEIS}, section 4",
                f"Multistep, the prediction a polynomial of degree {degree} in rho (Adams-Bashforth; lms elsewhere).",
                _LAMBDA_ON, partial(_adams, adams.Adams("noise", "rho", degree + 1)), notes=on_flow,
            )
        )  # fmt: skip
    names = {"heun": ("Heun", 2), "midpoint": ("midpoint", 2), "kutta3": ("Kutta 3", 3), "rk4": ("RK4", 4)}
    for method, (label, order) in names.items():
        rows.append(
            Solver(
                f"deis_rhork_{method}", f"DEIS rhoRK {label}", "DEIS", {"paper": order}, order, FRAMES, (_SPLIT, _last("auto")),
                f"{_DEIS}, section 4", f"Singlestep, blocks of {order} calls: Runge-Kutta on d(x/alpha) = eps d(rho).",
                (*_LAMBDA_ON, *_FLOW_ON), partial(_rho_rk, method),
                notes={"flow": "on flow this is the same tableau in the velocity form"},
            )
        )  # fmt: skip
    return rows


_FINAL_OFF = Option("final", "off", _FINAL.help, _FINAL.choices)


def _flow() -> list[Solver]:
    return [
        Solver(
            f"flow_ab{points}", f"Flow AB{points}", "Flow", {"paper": points}, 1, ("flow",),
            (*((_START,) if points >= 3 else ()), _FINAL_OFF, _last("regular")),
            f"Adams-Bashforth on dx = v d(sigma); {_DEIS}'s idea in the velocity form",
            f"Multistep, the velocity a polynomial of degree {points - 1} in sigma; full order from sigma 1 to 0.", _FLOW_ON,
            partial(_adams, adams.Adams("velocity", "sigma", points)),
        )
        for points in range(1, 5)
    ]  # fmt: skip


@cache
def _table() -> dict[str, Solver]:
    rows = [*_first_order(), *_singlesteps(), *_lambda_multisteps(), *_deis(), *_flow()]
    return {row.id: row for row in rows}


@cache
def _aliases() -> dict[str, str]:
    return {alias: row.id for row in _table().values() for alias in row.aliases}


def solvers() -> dict[str, Solver]:
    """{id: Solver} of every solver, in menu order. Needs neither torch nor numpy."""
    return dict(_table())


def solver(id: str | Solver) -> Solver:
    """The row of an id or alias; ValueError with the nearest match otherwise."""
    if isinstance(id, Solver):
        return id
    known = _aliases().get(id, id)
    if known not in _table():
        raise ValueError(nearest("solver", id, [*_table(), *_aliases()]))
    return _table()[known]


_HINTS = {
    "eta": "it is deterministic, no noise is added; leave eta out",
    "s_noise": "it is deterministic, no noise is added; leave s_noise out",
    "order": "the order is part of the solver's id (for example dpmpp_2m, dpmpp_3m)",
}


def plan(
    id: str | Solver, sigmas: Sequence[float], frame: str | Frame = "ve", *, time: str | TimeMap | Sequence[float] | None = None,
    **options: Any,
) -> Plan:  # fmt: skip
    """The plan of a solver on a schedule: n + 1 strictly decreasing levels give exactly n model calls.

    id       a solver id or alias (`fewstep.solvers()`)
    sigmas   n + 1 host sigmas, highest first; the last may be 0 (a tensor is read back once)
    frame    ve (x = x0 + sigma n), vp (x = alpha x0 + sigma n, sigmas are sigma/alpha) or flow (x = (1 - sigma) x0 + sigma n)
    time     the model's own time t(sigma), for tAB-DEIS: a name, a list of the model's sigmas, or a TimeMap
    options  those of the solver's row

    Raises ValueError for unknown ids and options, values out of range, levels that do not decrease, or a frame on
    which the solver is not defined.
    """
    row, where = solver(id), make_frame(frame, time)
    if where.name not in row.frames:
        raise ValueError(
            f"{row.id} is defined on {', '.join(row.frames)}, not on {where.name}; deis_rhoab0..3 is its counterpart there"
        )
    checked = check_options(options, row.options, row.id, _HINTS)
    levels = read_levels(sigmas, where)
    calls = tuple(row.build(where, levels, **checked))
    order = row.orders[checked.get("variant", "paper")]
    notes = (row.notes[where.name],) if where.name in row.notes else ()
    return Plan(row.id, where, levels, calls, order, checked, row.reference, notes)
