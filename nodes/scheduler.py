"""Fewstep Scheduler -> SIGMAS: the levels of a schedule on the model's own range."""

from __future__ import annotations

from typing import Any

from .words import ALIASES, CATEGORY


class FewstepScheduler:
    NAME = "Fewstep Scheduler"
    CATEGORY = CATEGORY
    DESCRIPTION = "Noise levels for exactly `steps` model calls, in the model's own range."
    SEARCH_ALIASES = [*ALIASES, "scheduler", "sigmas", "schedule"]
    RETURN_TYPES = ("SIGMAS",)
    RETURN_NAMES = ("sigmas",)
    OUTPUT_TOOLTIPS = ("steps + 1 noise levels, the last one 0.",)
    FUNCTION = "make"
    HAS_INTERMEDIATE_OUTPUT = True  # newer hosts then send the plot of a cached node again

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        from . import inputs

        return {
            "required": {
                "model": ("MODEL", {"tooltip": "Whose range of noise levels and time are used."}),
                "scheduler": inputs.scheduler(),
                "steps": inputs.steps(),
                "denoise": inputs.denoise(),
            },
            "optional": {"options": inputs.text_options("schedule", "sigma_min=0.1, end=sigma_min")},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, scheduler: Any) -> Any:
        from ..samplers.schedules import schedule_row
        from . import inputs

        return inputs.refusal("scheduler", schedule_row, scheduler)

    def make(self, model: Any, scheduler: str, steps: int, denoise: float, options: str = "") -> dict[str, Any]:
        import torch

        from .levels import make_levels
        from .model_frame import frame_of
        from .plot_data import schedule_plot
        from .ranges import see

        frame = frame_of(model.get_model_object("model_sampling"))
        levels = make_levels(scheduler, steps, denoise, options, frame)
        shown = [schedule_plot(levels, see(frame))] if levels.sigmas else []
        # float32: some devices have no float64
        return {"ui": {"fewstep_plot": shown}, "result": (torch.tensor(levels.sigmas, dtype=torch.float32),)}
