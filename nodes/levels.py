"""The levels that a scheduler widget asks for, as the host passes them on: float32."""

from __future__ import annotations

from typing import Any

from ..samplers.level import Frame, as_float32
from ..samplers.schedules import schedule, schedule_row
from ..samplers.solvers import Solver
from .inputs import about, read_options_text


def make_levels(
    scheduler: Any, steps: int, denoise: float, text: Any, frame: Frame, row: Solver | None = None
) -> tuple[list[float], dict[str, Any]]:
    """(steps + 1 levels of float32 precision, the solver's options that the text names).

    denoise 0 gives no levels at all, as the host's own schedulers do. ValueError names the input that is wrong.
    """
    with about("scheduler"):
        levels = schedule_row(scheduler)
    of_solver, of_schedule = read_options_text(text, levels, row)
    if denoise <= 0.0:
        return [], of_solver
    # the host's samplers take a denoise this near to 1 as 1
    share = 1.0 if denoise > 0.9999 else denoise
    with about("options" if of_schedule else "scheduler"):
        found = as_float32(schedule(levels.id, steps, frame=frame, denoise=share, **of_schedule))
        if not all(found[:-1]):
            raise ValueError(f"sigma_min is too small: in float32 {found.count(0.0)} of {steps + 1} levels are 0")
    return found, of_solver
