"""Fewstep Sigmas Info: the levels of any SIGMAS as a table and as a picture."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .words import ALIASES, CATEGORY

if TYPE_CHECKING:
    from ..samplers.level import Frame, Level
    from ..samplers.plan import Plan


class FewstepSigmasInfo:
    NAME = "Fewstep Sigmas Info"
    CATEGORY = CATEGORY
    DESCRIPTION = "Shows noise levels, their steps in lambda = log(alpha/sigma), and what a Fewstep sampler does there."
    SEARCH_ALIASES = [*ALIASES, "sigmas", "plot", "preview"]
    RETURN_TYPES = ("STRING", "IMAGE")
    RETURN_NAMES = ("text", "image")
    OUTPUT_TOOLTIPS = ("A line for each model call.", "The levels over lambda, with the order of each call.")
    FUNCTION = "show"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"sigmas": ("SIGMAS", {"tooltip": "Noise levels, from any scheduler node."})},
            "optional": {
                "model": ("MODEL", {"tooltip": "Says what sigma means. Without it: flow up to 1, else VE-scaled."}),
                "sampler": ("SAMPLER", {"tooltip": "A Fewstep sampler whose plan on these levels is shown."}),
            },
        }

    def show(self, sigmas: Any, model: Any = None, sampler: Any = None) -> tuple[str, Any]:
        from ..samplers.level import frame, read_sigmas
        from .host_sampler import BARE
        from .model_frame import frame_of

        values = read_sigmas(sigmas)
        if len(values) < 2:
            raise ValueError(f"sigmas: got {len(values)} level(s), expected n + 1 >= 2 levels for n model calls")
        # without a model: flow levels lie in 0..1
        assumed = frame("flow" if values[0] <= 1.0 else "ve")
        where = assumed if model is None else frame_of(model.get_model_object("model_sampling"))
        ours = getattr(getattr(sampler, "sampler_function", None), "fewstep", None)
        if sampler is not None and ours is None:
            raise ValueError("sampler: only Fewstep samplers can show a plan; leave this input free")
        choice = ours() if ours else None
        plan = (choice or BARE).plan(values, where)
        said = (*choice.words(plan), str(plan)) if choice else ()
        return _table(plan, where, values, said, model is None), _image(plan, choice is not None)


def _image(plan: Plan, named: bool) -> Any:
    from ..samplers.plan_picture import draw
    from .images import image

    return image(draw(plan, named))


def _table(plan: Plan, where: Frame, values: list[float], said: tuple[str, ...], assumed: bool) -> str:
    from ..samplers.level import snapped

    levels = [where.level(value) for value in snapped(values, where)]
    head = f"{len(levels) - 1} model calls, {where.name}{' (assumed: no model is connected)' if assumed else ''}"
    lines = [head, "call      sigma   -> sigma     lambda     step in lambda"]
    lines += [_line(i, a, b) for i, (a, b) in enumerate(pairwise(levels), 1)]
    return "\n".join([*lines, *(["", *said] if said else [])])


def _line(i: int, a: Level, b: Level) -> str:
    step = b.lam - a.lam if math.isfinite(a.lam) or math.isfinite(b.lam) else math.inf
    return f"{i:4d} {a.host:>10.5g} -> {b.host:<10.5g} {a.lam:>9.4g}  {step:>9.4g}"
