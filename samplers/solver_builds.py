"""From a row's options to its calls: what the rows of the solver table build with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import auto
from .level import Frame, Level
from .methods import adams, blocks, ddim
from .plan import Call
from .statistics import Statistics


def ddim_steps(frame: Frame, levels: Sequence[Level], *, eta: float, s_noise: float) -> list[Call]:
    return ddim.ddim(frame, levels, eta)


def analytic_steps(
    eta: float, frame: Frame, levels: Sequence[Level], *, statistics: Statistics, s_noise: float
) -> list[Call]:
    return ddim.ddim(frame, levels, eta, statistics.variance)


def no_plan(id: str, *_: Any, **__: Any) -> list[Call]:
    """Of solvers without steps of their own."""
    raise ValueError(
        f"{id} chooses its steps while it runs, so it has no plan; use fewstep.sample(..., solver={id!r}) "
        "or fewstep.adaptive, or a solver of fixed steps such as dpmpp_2m"
    )


def choose(where: Frame, levels: Sequence[Level], options: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    to_zero = levels[-1].sigma == 0.0
    pick = auto.choose_solver(where, len(levels) - 1, to_zero, guidance=options["guidance"], eta=options["eta"])
    return pick.id, {**pick.options, **({"s_noise": options["s_noise"]} if options["eta"] else {})}


def multistep(
    method: adams.Adams,
    rules: Mapping[str, adams.MomentRule | None],
    frame: Frame,
    levels: Sequence[Level],
    *,
    variant: str = "paper",
    form: str = "",
    start: str = "euler",
    final: str = "off",
    last: str = "denoise",
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> list[Call]:
    _check_last(last, levels, eta)
    if frame.name == "flow" and method.clock in ("time", "rho") and not eta:
        method = replace(method, form="velocity", clock="sigma")  # DEIS on flow; see the rows' notes
    elif form:
        method = replace(method, form=form)
    rule = rules.get(variant)
    return adams.multistep(method, frame, levels, rule=rule, start=start, final=final == "on", last=last, eta=eta)


def _check_last(last: str, levels: Sequence[Level], eta: float) -> None:
    if eta and last == "regular" and levels[-1].sigma == 0.0:
        raise ValueError("last is 'regular', but with noise the step to sigma 0 is x = D; leave it at auto or denoise")


def singlestep(
    form: str,
    order: int,
    frame: Frame,
    levels: Sequence[Level],
    *,
    eta: float = 0.0,
    s_noise: float = 1.0,
    last: str,
    **options: str,
) -> list[Call]:
    _check_last(last, levels, eta)
    return blocks.singlestep(frame, levels, form, order, last=last, eta=eta, **options)


def rho_rk(method: str, frame: Frame, levels: Sequence[Level], **options: str) -> list[Call]:
    return blocks.rho_rk(frame, levels, method, **options)
