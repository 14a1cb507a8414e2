"""The accordion's words on a sampler, and the picture of its plan on the levels that the host would give it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from modules import sd_samplers, shared

from ..samplers.plan_picture import draw
from ..samplers.solvers import Solver, solvers
from .request import put
from .sampling import make_plan
from .words import sampler_label

_NONE = "These options belong to the samplers whose names begin with Fewstep; the chosen one is the host's own."


def row_of(label: Any) -> Solver | None:
    return next((row for row in solvers().values() if sampler_label(row) == label), None)


def words(label: Any) -> str:
    """What the chosen sampler is, and which of the fields it has, in Markdown."""
    row = row_of(label)
    if row is None:
        return _NONE
    lines = [f"**{row.label}**: {row.about} {row.reference}."]
    lines += [f"- **{option.name}**: {option.help} (default {option.default})" for option in row.options]
    return "\n".join(lines)


def plan_picture(label: Any, scheduler: Any, steps: Any, values: Sequence[Any]) -> tuple[Any, str]:
    """(picture or None, words in Markdown) for what the page shows: the host's own levels for its own model."""
    row = row_of(label)
    if row is None:
        return None, _NONE
    if not _loaded():
        return None, "No model is loaded yet. Make a picture first: the plan depends on the model's noise levels."
    try:
        sampler = sd_samplers.create_sampler(label, shared.sd_model)
        p = SimpleNamespace(
            is_hr_pass=False,
            scheduler=scheduler,
            hr_scheduler=None,
            sampler_noise_scheduler_override=None,
            extra_generation_params={},
        )
        asked = put(p, values)
        plan = make_plan(row, sampler.get_sigmas(p, int(steps)), sampler.model_wrap, asked)
    except ValueError as error:
        return None, f"**{error}**"
    settled = ", ".join(f"{name} {value}" for name, value in plan.options.items())
    notes = "".join(f"\n- {note}" for note in plan.notes)
    return draw(plan), f"**{row.label}**, {len(plan)} model calls. {settled}{notes}"


def _loaded() -> bool:
    # Forge has a stand-in until the first picture is made
    model = shared.sd_model
    return model is not None and type(model).__name__ != "FakeInitialModel"
