"""The accordion's words on a sampler, and the picture of its plan on the levels that the host would give it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from modules import sd_samplers, sd_samplers_common, shared

from ..samplers.choices import Choice
from ..samplers.options import Option
from ..samplers.plan_picture import draw
from ..samplers.profile import load_profile
from ..samplers.profile_folder import PREFIX
from ..samplers.solvers import Solver, offered_solvers
from .auto import noted
from .fields import ALWAYS, ORDER
from .request import Request, put
from .sampling import make_plan
from .words import sampler_label

_NONE = (
    "These options are for the samplers whose names begin with Fewstep. The sampling method chosen above is the host's "
    "own, which they do not change."
)
_CANNOT = "No picture can be made with these options"
#: the accordion is 400 to 600 pixels wide on most screens; twice as many for sharp letters
_PICTURE: dict[str, Any] = {"size": (560, 280), "zoom": 2}


def row_of(label: Any) -> Solver | None:
    return next((row for row in offered_solvers().values() if sampler_label(row) == label), None)


def field_label(name: str, label: Any) -> str:
    """The field's name, and whether the chosen sampler is one of ours that does without it."""
    row = row_of(label)
    offered: list[Option | Choice] = [*(row.options if row else ()), *ALWAYS]
    used = row is None or any(each.name == name for each in offered)
    return name if used else f"{name} (unused)"


def words(label: Any, values: Sequence[Any] = ()) -> str:
    """What the chosen sampler is, and what is wrong with the fields' values, in Markdown."""
    row = row_of(label)
    if row is None:
        return _NONE
    asked = put(SimpleNamespace(), values)
    wrong = _problem(row, asked)
    said = _profile_words(row, asked.profile) if asked.profile else f"**{row.label}**: {row.about} {row.reference}."
    return said + (f"\n\n**{_CANNOT}: {wrong}**" if wrong else "")


def _profile_words(row: Solver, name: str) -> str:
    try:
        profile = load_profile(PREFIX + name)
    except (ValueError, OSError) as error:
        return f"**{error}**"
    plans = "; ".join(map(str, profile.entries.values())) or "none yet"
    return (
        f"**Profile {name}** in the place of {row.label}, which runs by itself in the second pass of hires fix. Tuned "
        f"with {profile.conditions or 'conditions not named'}. Plans: {plans}."
    )


def meanings(label: Any) -> str:
    """What the fields of the chosen sampler mean, in Markdown."""
    row = row_of(label)
    if row is None:
        return ""
    # guidance is no field: the host's own is taken
    shown = [option for option in row.options if option.name in ORDER]
    lines = [f"- **{option.name}**: {option.help} (default {option.default})" for option in shown]
    return "\n".join([*lines, *(f"- **{each.name}**: {each.help}" for each in ALWAYS)])


def _problem(row: Solver, asked: Request) -> str:
    try:
        asked.options(row)
    except ValueError as error:
        return str(error)
    return ""


def plan_picture(
    label: Any, scheduler: Any, steps: Any, values: Sequence[Any], cfg_scale: Any = 1.0, strength: Any = None
) -> tuple[Any, str]:
    """(picture or None, words in Markdown) for what the page shows: the host's own levels for its own model.

    cfg_scale  what `auto` goes by
    strength   img2img's denoising strength, of which the levels are the end; None for all of them
    """
    row = row_of(label)
    if row is None:
        return None, "Only samplers whose names begin with Fewstep have a plan to show."
    asked = put(SimpleNamespace(), values)
    if row.adaptive and not asked.profile:
        return None, "Adaptive samplers find their steps while they run: there is no plan to show before."
    if not _loaded():
        return None, "No model is loaded yet, and the plan depends on its noise levels. Make a picture, then ask again."
    try:
        p = SimpleNamespace(
            is_hr_pass=False,
            steps=int(steps),
            cfg_scale=cfg_scale,
            denoising_strength=strength,
            scheduler=scheduler,
            hr_scheduler=None,
            sampler_noise_scheduler_override=None,
            extra_generation_params={},
        )
        put(p, values)
        if _problem(row, asked):
            return None, f"{_CANNOT}."
        plan = make_plan(row, *_levels(label, p), p)
    except ValueError as error:
        return None, f"**{error}**"
    settled = ", ".join(f"{name} {value}" for name, value in plan.options.items())
    notes = "".join(f"\n- {note}" for note in plan.notes)
    taken = f"Auto: {noted(p)}. " if noted(p) else ""
    from modules.paths_internal import roboto_ttf_file  # A1111 has a Pillow whose own font is tiny

    return draw(plan, font=roboto_ttf_file, **_PICTURE), f"{taken}{len(plan)} model calls. {settled}{notes}"


def _levels(label: str, p: Any) -> tuple[Any, Any]:
    """(sigmas, denoiser), as the host makes them for a sampler function."""
    sampler = sd_samplers.create_sampler(label, shared.sd_model)
    if p.denoising_strength is None:
        return sampler.get_sigmas(p, p.steps), sampler.model_wrap
    steps, last = sd_samplers_common.setup_img2img_steps(p)
    return sampler.get_sigmas(p, steps)[steps - last - 1 :], sampler.model_wrap


def _loaded() -> bool:
    # Forge has a stand-in until the first picture is made
    model = shared.sd_model
    return model is not None and type(model).__name__ != "FakeInitialModel"
