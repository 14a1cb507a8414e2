"""The schedule table: which n + 1 noise levels the n model calls happen between.

Menus, the command line, the docs tables and the parametrised tests are made from this table and from nothing else.
Levels are host sigmas (see `level`): sigma/alpha in the frames ve and vp, sigma = t in flow. All numbers are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from . import schedule_formulas as formulas
from .auto import AUTO, GUIDANCE, Pick, choose_schedule
from .level import FRAMES, Frame
from .level import frame as make_frame
from .names import nearest
from .options import Option, check_options
from .schedule_span import Span, make_span
from .schedule_tables import AYS_TABLES, ays_range
from .times import TimeMap, sigma_range


@dataclass(frozen=True)
class Schedule:
    """One published schedule.

    frames    state conventions on which it is defined
    formula   (Span, **options) -> its positive levels
    range     (**options) -> (sigma_min, sigma_max), for a schedule that belongs to one model; the default range
    aliases   other standard names of the same levels
    """

    id: str
    label: str
    frames: tuple[str, ...]
    options: tuple[Option, ...]
    reference: str
    about: str
    formula: Callable[..., list[float]] = field(repr=False)
    range: Callable[..., tuple[float, float]] | None = field(repr=False, default=None)
    aliases: tuple[str, ...] = ()


def _pick(at: Span, guidance: float) -> Pick:
    return choose_schedule(make_frame(at.frame, at.time), at.n, at.to_zero, guidance=guidance)


def _chosen(at: Span, guidance: float) -> list[float]:
    pick = _pick(at, guidance)
    row = schedule_row(pick.id)
    return row.formula(at, **check_options(pick.options, row.options, f"schedule {row.id!r}"))


_NOT_FLOW = ("ve", "vp")
_FLOW = ("flow",)


def _rho(default: float, low: float, high: float) -> Option:
    return Option("rho", default, "the power; larger puts more levels at low noise", low=low, high=high)


def _growth(what: str) -> Option:
    # the paper's images of 64 pixels and more take linear, its CIFAR-10 takes quadratic
    return Option("growth", "linear", f"growth of the {what}", ("linear", "quadratic"))


_ROWS = (
    Schedule(
        "karras", "Karras", FRAMES, (_rho(7.0, 0.5, 100.0),),
        "Karras et al. 2022, arXiv 2206.00364, eq. 5; k-diffusion get_sigmas_karras",
        "Uniform in sigma^(1/rho); most levels lie at low noise.",
        formulas.power, aliases=("edm",),
    ),
    Schedule(
        "exponential", "Exponential", FRAMES, (),
        "DPM-Solver, arXiv 2206.00927 (official code: logSNR); k-diffusion get_sigmas_exponential",
        "Uniform in log sigma, which in the frames ve and vp is uniform in lambda (in flow it is not).",
        formulas.polyexponential,
    ),
    Schedule(
        "polyexponential", "Polyexponential", FRAMES, (_rho(1.0, 0.2, 3.0),),
        "k-diffusion get_sigmas_polyexponential",
        "A power of a line in log sigma; rho = 1 is exponential.",
        formulas.polyexponential,
    ),
    Schedule(
        "rho_power", "Rho power", _NOT_FLOW,
        (Option("power", 2.0, "uniform in rho^(1/power); 7 is karras", low=0.5, high=100.0),),
        "DEIS, arXiv 2204.13902, ingredient 4 (official code: ts_phase='rho')",
        "Uniform in a power of rho = sigma/alpha, as DEIS draws it; in flow rho is infinite at sigma 1.",
        lambda at, power: formulas.power(at, power),
    ),
    Schedule(
        "time_uniform", "Time uniform", FRAMES, (),
        "DPM-Solver, arXiv 2206.00927 (official code: time_uniform); ComfyUI 'normal'",
        "Uniform in the model's time, from sigma_max to sigma_min.",
        formulas.time_uniform, aliases=("normal", "uniform"),
    ),
    Schedule(
        "time_quadratic", "Time quadratic", FRAMES, (),
        "DDIM, arXiv 2010.02502, appendix D.2; DPM-Solver, arXiv 2206.00927 (official code: time_quadratic)",
        "Uniform in the square root of the model's time, counted from sigma 0.",
        lambda at: formulas.time_power(at, 2.0),
    ),
    Schedule(
        "time_power", "Time power", FRAMES,
        (Option("kappa", 2.0, "uniform in t^(1/kappa); 1 is time_uniform, 2 time_quadratic", low=0.2, high=10.0),),
        "DEIS, arXiv 2204.13902, ingredient 4 (official code: ts_phase='t')",
        "Uniform in a root of the model's time, counted from sigma 0.",
        formulas.time_power,
    ),
    Schedule(
        "sgm_uniform", "SGM uniform", FRAMES, (),
        "'trailing' in arXiv 2305.08891, section 3.3; ComfyUI 'sgm_uniform'",
        "Uniform in the model's time, with 0 in the place of sigma_min.",
        formulas.sgm_uniform, aliases=("trailing",),
    ),
    Schedule(
        "ddim_uniform", "DDIM uniform", FRAMES, (),
        "DDIM, arXiv 2010.02502; 'leading' in arXiv 2305.08891, section 3.3; ComfyUI 'ddim_uniform'",
        "Every (N/n)-th of the model's N entries from the second on; it starts below sigma_max.",
        formulas.ddim_uniform, aliases=("leading", "ddim"),
    ),
    Schedule(
        "simple", "Simple", FRAMES, (),
        "ComfyUI 'simple'; on flow models Flux's own",
        "Every (N/n)-th of the model's N entries from the top down; on flow models uniform in time down to 0.",
        formulas.simple,
    ),
    Schedule(
        "beta", "Beta", FRAMES,
        (
            Option("alpha", 0.6, "below 1 puts more levels at low noise", low=0.3, high=20.0),
            Option("beta", 0.6, "below 1 puts more levels at high noise", low=0.3, high=20.0),
        ),
        "arXiv 2407.12173; ComfyUI 'beta'",
        "Quantiles of a beta distribution in the model's time; dense at both ends.",
        formulas.beta,
    ),
    Schedule(
        "kl_optimal", "KL optimal", FRAMES, (),
        "Align Your Steps, arXiv 2404.14507, theorem 3.1; ComfyUI 'kl_optimal'",
        "Uniform in arctan sigma, which is optimal for DDIM on Gaussian data of unit variance.",
        formulas.kl_optimal,
    ),
    Schedule(
        "linear_quadratic", "Linear-quadratic", _FLOW,
        (Option("threshold", 0.025, "how much noise the first half of the steps removes", low=1e-4, high=0.5),),
        "Mochi 1 (github.com/genmoai/models); Movie Gen, arXiv 2410.13720; ComfyUI 'linear_quadratic'",
        "Small equal steps at the highest noise, then a parabola to 0.",
        formulas.linear_quadratic,
    ),
    Schedule(
        "laplace", "Laplace", _NOT_FLOW,
        (
            Option("mu", 0.0, "log sigma at which the levels are densest", low=-10.0, high=10.0),
            Option("beta", 0.5, "width of the dense part in log sigma", low=0.1, high=10.0),
        ),
        "Hang et al. 2024, arXiv 2407.03297; ComfyUI LaplaceScheduler",
        "Quantiles of a Laplace distribution in log sigma; dense around one noise level.",
        formulas.laplace,
    ),
    Schedule(
        "vp", "VP", _NOT_FLOW,
        (
            Option("beta_d", 19.9, "beta_max - beta_min of the VP SDE", low=0.1, high=100.0),
            Option("beta_min", 0.1, "beta at t = 0", low=0.0, high=10.0),
            Option("eps_s", 1e-3, "the last time; unused where sigma_min is given", low=1e-5, high=0.5),
        ),
        "Score SDE, arXiv 2011.13456, eq. 32; k-diffusion get_sigmas_vp",
        "Uniform in the time of the VP SDE, whatever the model; its own range unless one is given.",
        formulas.vp, formulas.vp_range,
    ),
    Schedule(
        "flow_shift", "Flow shift", _FLOW,
        (Option("shift", 3.0, "1 is uniform, larger spends more steps at high noise", low=0.01, high=100.0),),
        "SD3, arXiv 2403.03206, eq. 23; Flux get_schedule (shift = e^mu)",
        "u uniform down to 0, then sigma = shift u/(1 + (shift - 1) u), whatever the model's own shift.",
        formulas.flow_shift,
    ),
    Schedule(
        "ays", "Align Your Steps", _NOT_FLOW,
        (Option("table", "sd1", "the model that the levels were optimised for", AYS_TABLES),),
        "Align Your Steps, arXiv 2404.14507, table 3",
        "Eleven optimised levels, log-linear between them; stretched to sigma_min and sigma_max if these are given.",
        formulas.ays, ays_range, aliases=("align_your_steps",),
    ),
    Schedule(
        "fastdpm_var", "FastDPM VAR", _NOT_FLOW, (_growth("variances"),),
        "FastDPM, arXiv 2106.00132, noise levels from variances (official code: get_VAR_noise)",
        "The variance 1 - alpha^2 of each step of a short chain grows from the model's first one.",
        formulas.fastdpm_var,
    ),
    Schedule(
        "fastdpm_step", "FastDPM STEP", _NOT_FLOW,
        (_growth("steps of the model; quadratic starts below sigma_max, at 0.8 of them"),),
        "FastDPM, arXiv 2106.00132, noise levels from steps (official code: get_STEP_step)",
        "Whole steps of the model's table, evenly spaced or as the square; with ddim or ddpm it is FastDPM.",
        formulas.fastdpm_step,
    ),
)  # fmt: skip
#: the levels of another schedule: it stands beside the table
_AUTO = Schedule(
    AUTO, "Auto", FRAMES, (GUIDANCE,),
    "docs/decisions/0016-auto.md",
    "The schedule that suits the frame, the number of steps and the guidance.",
    _chosen,
)  # fmt: skip
_TABLE = {row.id: row for row in _ROWS}
_NAMES = {name: row for row in _ROWS for name in (row.id, *row.aliases)}


def schedules() -> dict[str, Schedule]:
    """Every schedule by id, in menu order."""
    return dict(_TABLE)


def offered_schedules() -> dict[str, Schedule]:
    """What a menu may offer, by id: `auto`, then every schedule."""
    return {AUTO: _AUTO, **_TABLE}


def schedule(
    id: str,
    n: int,
    *,
    frame: str | Frame = "ve",
    time: str | TimeMap | Sequence[float] | None = None,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    end: int | str = 0,
    denoise: float = 1.0,
    **options: Any,
) -> list[float]:
    """The n + 1 strictly decreasing noise levels of a schedule, for exactly n model calls.

    id         a name from `schedules()` or one of its aliases; formulas and sources are in its row
    frame      ve, vp or flow: what sigma means; with `time`, the model's own time map (see `frame`)
    sigma_min, sigma_max
               the range in host sigmas; by default that of the time map (of the schedule itself for vp and ays)
    end        0: the formula at n points, then 0.0. "sigma_min": the formula at n + 1 points
    denoise    in (0, 1]: the last n steps of the schedule with int(n/denoise) steps, as for image to image
    options    the row's options

    The first level is sigma_max and the last positive one sigma_min, except where the published formula puts 0 in the
    place of sigma_min (sgm_uniform, simple, beta, linear_quadratic, flow_shift, ays: with end=0 their last positive
    level is another one) and where it starts below sigma_max (ddim_uniform, fastdpm_step with quadratic growth).

    Raises ValueError for unknown names and options, for a frame in which the schedule does not exist, and for values
    out of range.
    """
    row, span, chosen = _read(id, n, make_frame(frame, time), sigma_min, sigma_max, end, denoise, options)
    levels = row.formula(span, **chosen)
    if span.to_zero:
        levels.append(0.0)
    if not all(a > b for a, b in pairwise(levels)):
        raise ValueError(
            f"schedule {row.id!r}: {span.n} steps from sigma {span.high:g} to {span.low:g} do not fit, two levels meet "
            "in float64; take fewer steps, a wider range or options nearer to their defaults"
        )
    return levels[-(n + 1) :]


def drawn_by(
    id: str,
    n: int,
    *,
    frame: str | Frame = "ve",
    time: str | TimeMap | Sequence[float] | None = None,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    end: int | str = 0,
    denoise: float = 1.0,
    **options: Any,
) -> Pick:
    """The schedule, with its options, that `schedule` draws for the same arguments: of `auto` the one that it takes."""
    row, span, chosen = _read(id, n, make_frame(frame, time), sigma_min, sigma_max, end, denoise, options)
    return _pick(span, **chosen) if row is _AUTO else Pick(row.id, options)


def _read(
    id: str,
    n: int,
    where: Frame,
    sigma_min: float | None,
    sigma_max: float | None,
    end: int | str,
    denoise: float,
    options: dict[str, Any],
) -> tuple[Schedule, Span, dict[str, Any]]:
    """What `schedule` is asked, checked: the row, what it divides, and all its options."""
    row = schedule_row(id)
    if where.name not in row.frames:
        raise ValueError(
            f"schedule {row.id!r} exists in frame {' and '.join(row.frames)}, got frame {where.name!r}; "
            f"choose another schedule for {where.name}, for example 'karras'"
        )
    chosen = check_options(options, row.options, f"schedule {row.id!r}")
    default = sigma_range(where.time) if row.range is None else row.range(**chosen)
    return row, make_span(n, denoise, end, sigma_min, sigma_max, default, where), chosen


def schedule_row(name: str) -> Schedule:
    """The row of an id or alias; ValueError with the nearest match otherwise."""
    if not isinstance(name, str):
        raise ValueError(f"a schedule is given by its id, got {name!r}; fewstep.schedules() lists them")
    if name == AUTO:
        return _AUTO
    if name not in _NAMES:
        raise ValueError(nearest("schedule", name, [AUTO, *_NAMES]))
    return _NAMES[name]
