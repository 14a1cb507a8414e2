"""Singlestep methods: blocks of k intervals of the schedule that cost k model calls and need no history.

DPM-Solver-2, -3 and DPM-Solver++(2S, 3S) (arXiv 2206.00927, 2211.01095) and rhoRK-DEIS (arXiv 2204.13902).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..level import Frame, Level
from ..plan import Call
from ..quadrature import CLOCKS, deviation, moments, scale
from ..writer import Writer
from .tableaus import EULER, HEUN, KUTTA3, MIDPOINT, RK4, Tableau, exp_rk2, exp_rk3, rk2, rk3, too_close

# --- how n intervals become blocks -----------------------------------------------------------------------------------


def _official(order: int, n: int) -> list[int]:
    """The papers' rule (DPM-Solver-fast, arXiv 2206.00927, section 3.4): ends in an order-1 step unless n mod 3 = 2."""
    blocks, rest = divmod(n, order)
    if order == 3 and rest == 0:
        return [3] * (blocks - 1) + [2, 1]
    return [order] * blocks + [rest] * (rest > 0)


def _even(order: int, n: int) -> list[int]:
    """As few blocks as possible, of sizes that differ by at most one, the larger first."""
    count = -(-n // order)
    small, larger = divmod(n, count)
    return [small + 1] * larger + [small] * (count - larger)


SPLITS = {"even": _even, "official": _official}


def sizes(order: int, levels: Sequence[Level], split: str, last: str, longest_to_zero: int) -> list[int]:
    """Block sizes for these levels. With last="denoise" the interval to sigma 0 is a block of its own.

    No explicit method of four stages has order 4 without a stage at the end of the block, which at sigma 0 cannot be
    asked; `longest_to_zero` bounds the block that ends there.
    """
    n = len(levels) - 1
    if levels[-1].sigma > 0.0:
        return SPLITS[split](order, n)
    end = min(n, 1 if last == "denoise" else longest_to_zero)
    whole = SPLITS[split](order, n)
    if whole[-1] <= end and last != "denoise":
        return whole
    return [*(SPLITS[split](order, n - end) if n > end else ()), end]


# --- writing one block -----------------------------------------------------------------------------------------------

#: Weight of a prediction in a stage: the tableau's entry times this, at the stage's level, for a block of `width`.
UNITS = {
    ("noise", "lambda"): lambda level, width: -level.sigma * width,
    ("data", "lambda"): lambda level, width: level.alpha * width,
    ("noise", "rho"): lambda level, width: level.alpha * width,
    ("velocity", "sigma"): lambda level, width: width,
}


def _write(writer: Writer, at: Sequence[Level], tableau: Tableau, form: str, clock: str, keeps: str | None) -> None:
    """The stages of a block at the levels `at` (start, inner nodes, end)."""
    s, frame = at[0], writer.frame
    eta = writer.strength(form, s, at[-1]) if clock == "lambda" else 0.0
    width = (CLOCKS[clock](frame, at[-1]) - CLOCKS[clock](frame, s)) * (1.0 + eta)
    rows = [*tableau.a, tableau.b]
    for i, (row, target) in enumerate(zip(rows, at[1:], strict=True)):
        closes = i == len(rows) - 1
        unit = UNITS[form, clock](target, width)
        writer.step(
            target,
            scale(form, s, target, eta),
            [unit * weight for weight in reversed(row)],
            of=form,
            keeps=kept_form(keeps or form, writer),
            clock=clock,
            exact_degree=tableau.exact_degree if closes else 0,
            closes=closes,
            noise=deviation(form, writer.at, target, eta),
        )


#: Above this rho the first call's answer is remembered as data. The noise form then subtracts numbers of size rho to
#: get one of size 1; at alpha 0, where rho is infinite, the noise says nothing of x0 at all.
_NEARLY_NOISE = 200.0


def kept_form(form: str, writer: Writer) -> str:
    """What a method in `form` remembers of the call it is about to make: that form, or data from nearly pure noise."""
    first = not writer.calls
    return "data" if form == "noise" and first and writer.at.rho > _NEARLY_NOISE else form


def write_single(writer: Writer, t: Level, form: str, clock: str, keeps: str | None = None) -> None:
    """One first-order step (DDIM, arXiv 2010.02502; the same in every form and clock)."""
    s = writer.at
    keeps = kept_form(keeps or form, writer)
    form = kept_form(form, writer)
    if t.sigma == 0.0:
        form = keeps = "data"  # x = D: in half precision too, the answer itself and not x - sigma eps
    if not (math.isfinite(s.lam) and math.isfinite(t.lam)):
        clock = writer.frame.regular[1]
    eta = writer.strength(form, s, t)
    mu, noise = moments(form, clock, writer.frame, s, t, 1, eta), deviation(form, s, t, eta)
    writer.step(t, scale(form, s, t, eta), mu, of=form, keeps=keeps, clock=clock, exact_degree=0, noise=noise)


#: Inner nodes of the papers' singlestep methods as fractions of the block, by the number of calls.
PAPER_NODES: Mapping[int, tuple[float, ...]] = {2: (0.0, 0.5), 3: (0.0, 1 / 3, 2 / 3)}


def _level_at(frame: Frame, clock: str, value: float) -> Level:
    return frame.level_at_lam(value) if clock == "lambda" else frame.level(value)


def write_exponential(
    writer: Writer,
    levels: Sequence[Level],
    form: str,
    *,
    variant: str = "general",
    nodes: str = "schedule",
    keeps: str | None = None,
) -> None:
    """One block of exponential Runge-Kutta in lambda, from levels[0] to levels[-1] at len(levels) - 1 calls.

    A block that starts at alpha 0 or ends at sigma 0, where lambda is not finite, is classical Runge-Kutta in the
    frame's regular form instead. nodes: the schedule's own points, or the papers' fractions of the block.
    """

    def tableau(c: Sequence[float]) -> Tableau:
        width = (1.0 + writer.strength(form, levels[0], levels[-1])) * (levels[-1].lam - levels[0].lam)
        z = width if form == "noise" else -width
        return exp_rk2(z, c[1], variant) if len(c) == 2 else exp_rk3(z, c[1], c[2], variant)

    if math.isfinite(levels[0].lam) and math.isfinite(levels[-1].lam):
        again = partial(write_exponential, writer, form=form, variant=variant, nodes=nodes, keeps=keeps)
        _write_nodes(writer, levels, form, "lambda", tableau, nodes, keeps, again)
    else:
        write_regular(writer, levels, nodes=nodes, keeps=keeps)


def write_regular(
    writer: Writer, levels: Sequence[Level], *, nodes: str = "schedule", keeps: str | None = None
) -> None:
    """One block of classical Runge-Kutta in the frame's regular form and clock, never asking at its end."""

    def tableau(c: Sequence[float]) -> Tableau:
        return rk2(c[1]) if len(c) == 2 else rk3(c[1], c[2])

    again = partial(write_regular, writer, nodes=nodes, keeps=keeps)
    _write_nodes(writer, levels, *writer.frame.regular, tableau, nodes, keeps, again)


def _write_nodes(
    writer: Writer,
    levels: Sequence[Level],
    form: str,
    clock: str,
    tableau: Callable[[Sequence[float]], Tableau],
    nodes: str,
    keeps: str | None,
    again: Callable[[Sequence[Level]], None],
) -> None:
    calls = len(levels) - 1
    if calls == 1:
        write_single(writer, levels[-1], form, clock, keeps)
        return
    fractions, at = _nodes(writer.frame, clock, levels, PAPER_NODES[calls] if nodes == "paper" else None)
    close = too_close(fractions)
    if close is None:
        _write(writer, at, tableau(fractions), form, clock, keeps)
        return
    again(levels[: close + 1])
    again(levels[close:])


def _nodes(
    frame: Frame, clock: str, levels: Sequence[Level], fractions: Sequence[float] | None
) -> tuple[tuple[float, ...], list[Level]]:
    """(fractions of the block in the clock, levels: start, inner nodes, end)."""
    start = CLOCKS[clock](frame, levels[0])
    width = CLOCKS[clock](frame, levels[-1]) - start
    if fractions is None:
        return tuple((CLOCKS[clock](frame, level) - start) / width for level in levels[:-1]), list(levels)
    return tuple(fractions), [
        levels[0],
        *(_level_at(frame, clock, start + c * width) for c in fractions[1:]),
        levels[-1],
    ]


#: Published tableaus of rhoRK-DEIS by method and number of calls; the smaller ones use up the remainder.
RHO_RK: Mapping[str, Mapping[int, Tableau]] = {
    "midpoint": {1: EULER, 2: MIDPOINT},
    "heun": {1: EULER, 2: HEUN},
    "kutta3": {1: EULER, 2: HEUN, 3: KUTTA3},
    "rk4": {1: EULER, 2: HEUN, 3: KUTTA3, 4: RK4},
}


def write_published(writer: Writer, levels: Sequence[Level], tableau: Tableau) -> None:
    """One block of a published Runge-Kutta tableau in the frame's regular form, at its published nodes."""
    form, clock = writer.frame.regular
    start, end = levels[0], levels[-1]
    _, at = _nodes(writer.frame, clock, levels, tableau.c)
    # a node at the very end is the end itself, not a number computed nearly equal to it
    at = [end if c == 1.0 else start if c == 0.0 else level for c, level in zip(tableau.c, at, strict=False)]
    _write(writer, [*at, end], tableau, form, clock, None)


# --- whole methods ---------------------------------------------------------------------------------------------------


#: An interval wider than this in lambda is a step of its own. Inside a block the noise form multiplies the errors of
#: its stages by e^width. Zero-SNR schedules begin with an interval of 5.5; others stay below (continuous VP time in 5
#: uniform steps has 4.0, Karras 1.6).
_WIDEST = 5.0


def too_wide(a: Level, b: Level) -> bool:
    """Whether an interval between finite lambdas is wider than a block may span."""
    return _WIDEST < b.lam - a.lam < math.inf


def _narrow(levels: Sequence[Level]) -> list[Sequence[Level]]:
    """The block cut so that every interval wider than _WIDEST stands alone; ends at infinite lambda do not count."""
    cuts = {0, len(levels) - 1}
    for i in range(len(levels) - 1):
        if too_wide(levels[i], levels[i + 1]):
            cuts |= {i, i + 1}
    ends = sorted(cuts)
    return [levels[a : b + 1] for a, b in itertools.pairwise(ends)]


def singlestep(
    frame: Frame,
    levels: Sequence[Level],
    form: str,
    order: int,
    *,
    variant: str,
    nodes: str,
    split: str,
    last: str,
    eta: float = 0.0,
) -> list[Call]:
    """DPM-Solver-order (form noise) or DPM-Solver++(order S) (form data) on n + 1 levels, noise of strength eta."""
    writer, i = Writer(frame, levels, eta), 0
    for size in sizes(order, levels, split, last, longest_to_zero=order):
        block = levels[i : i + size + 1]
        # the papers' own nodes divide a block evenly in lambda
        for part in [block] if nodes == "paper" else _narrow(block):
            write_exponential(writer, part, form, variant=variant, nodes=nodes)
        i += size
    return writer.calls


def rho_rk(frame: Frame, levels: Sequence[Level], method: str, *, split: str, last: str) -> list[Call]:
    """rhoRK-DEIS on n + 1 levels: the published tableau inside each block of k intervals (arXiv 2204.13902, section 4).

    The block that ends at sigma 0 asks at the schedule's own points instead, since the model cannot be asked at 0.
    """
    tableaus = RHO_RK[method]
    writer, i = Writer(frame, levels), 0
    for size in sizes(max(tableaus), levels, split, last, longest_to_zero=3):
        for part in _narrow(levels[i : i + size + 1]):
            if part[-1].sigma == 0.0:
                write_regular(writer, part)
            else:
                write_published(writer, part, tableaus[len(part) - 1])
        i += size
    return writer.calls
