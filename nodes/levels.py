"""The levels that a scheduler widget asks for, as the host passes them on: float32."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..samplers.auto import AUTO, informed
from ..samplers.level import Frame, as_float32
from ..samplers.schedules import drawn_by, schedule, schedule_row
from ..samplers.solvers import Solver
from .inputs import about, read_options_text


class Levels(NamedTuple):
    """What the widgets of a schedule come to.

    sigmas     steps + 1 levels of float32 precision
    of_solver  the solver's options that the text names
    words      what `auto` took, in words; none where the person chose
    """

    sigmas: list[float]
    of_solver: dict[str, Any]
    words: tuple[str, ...] = ()


def make_levels(
    scheduler: Any,
    steps: int,
    denoise: float,
    text: Any,
    frame: Frame,
    row: Solver | None = None,
    guidance: float = 1.0,
) -> Levels:
    """The levels, and what was read on the way.

    guidance  the strength of guidance, which `auto` goes by unless the text says another

    denoise 0 gives no levels at all, as the host's own schedulers do. ValueError names the input that is wrong.
    """
    with about("scheduler"):
        levels = schedule_row(scheduler)
    of_solver, of_schedule = read_options_text(text, levels, row)
    if denoise <= 0.0:
        return Levels([], of_solver)
    # the host's samplers take a denoise this near to 1 as 1
    share = 1.0 if denoise > 0.9999 else denoise
    asked = {"frame": frame, "denoise": share, **informed(levels.options, of_schedule, guidance)}
    with about("options" if of_schedule else "scheduler"):
        found = as_float32(schedule(levels.id, steps, **asked))
        if not all(found[:-1]):
            raise ValueError(f"sigma_min is too small: in float32 {found.count(0.0)} of {steps + 1} levels are 0")
        words = (f"{AUTO}: {drawn_by(AUTO, steps, **asked)}",) if levels.id == AUTO else ()
    return Levels(found, of_solver, words)
