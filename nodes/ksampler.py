"""Fewstep KSampler -> LATENT: model, schedule and solver in one node, whole or as one part of a split run."""

from __future__ import annotations

from typing import Any

from .words import ALIASES, CATEGORY

_ENABLE, _DISABLE = "enable", "disable"


class FewstepKSampler:
    NAME = "Fewstep KSampler"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Samples a latent with exactly `steps` model calls. Two of them in a row are one run: set end_at_step and "
        "return_with_leftover_noise in the first, start_at_step and add_noise=disable in the second."
    )
    SEARCH_ALIASES = [*ALIASES, "ksampler", "sampler", "txt2img", "img2img"]
    RETURN_TYPES = ("LATENT", "LATENT", "STRING")
    RETURN_NAMES = ("latent", "denoised", "report")
    OUTPUT_TOOLTIPS = (
        "The sampled latent.",
        "The model's last answer: the clean picture as it was seen from the last level.",
        "What was done: every call, its level and its weights, the time it took, and where its error is made.",
    )
    FUNCTION = "sample"
    HAS_INTERMEDIATE_OUTPUT = True  # newer hosts then send the plot of a cached node again

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        from . import inputs

        whole = {"min": 0, "max": 10000, "advanced": True}
        return {
            "required": {
                "model": ("MODEL", {"tooltip": "The model that is called."}),
                "seed": inputs.seed("Of the starting noise.", moves=True),
                "steps": inputs.steps(),
                "cfg": inputs.cfg("Strength of classifier-free guidance; 1 is none."),
                "sampler_name": inputs.sampler_name(),
                "scheduler": inputs.scheduler(),
                "positive": ("CONDITIONING", {"tooltip": "What the picture should show."}),
                "negative": ("CONDITIONING", {"tooltip": "What it should not show."}),
                "latent_image": ("LATENT", {"tooltip": "An empty latent, or a picture to start from."}),
                "denoise": inputs.denoise(),
            },
            "optional": {
                "add_noise": (
                    [_ENABLE, _DISABLE],
                    {
                        "default": _ENABLE,
                        "tooltip": "disable: the latent comes with its noise, from a first part.",
                        "advanced": True,
                    },
                ),
                "start_at_step": ("INT", {"default": 0, "tooltip": "The first model call to make, from 0.", **whole}),
                "end_at_step": ("INT", {"default": 10000, "tooltip": "The first model call not to make.", **whole}),
                "return_with_leftover_noise": (
                    [_DISABLE, _ENABLE],
                    {
                        "default": _DISABLE,
                        "tooltip": "enable: stop at the level of end_at_step. disable: go to sigma 0 from there.",
                        "advanced": True,
                    },
                ),
                "options": inputs.text_options("solver and the schedule", "last=denoise, sigma_min=0.1"),
                "cfg_pp": inputs.cfg_pp(),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, sampler_name: Any, scheduler: Any) -> Any:
        """Takes ids, aliases and old names; a linked name is looked at when it is known."""
        from ..samplers.schedules import schedule_row
        from ..samplers.solvers import solver
        from . import inputs

        refused = inputs.refusal("sampler_name", solver, sampler_name)
        return refused if refused is not True else inputs.refusal("scheduler", schedule_row, scheduler)

    def sample(
        self,
        model: Any,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        denoise: float,
        add_noise: str = _ENABLE,
        start_at_step: int = 0,
        end_at_step: int = 10000,
        return_with_leftover_noise: str = _DISABLE,
        options: str = "",
        cfg_pp: bool = False,
    ) -> dict[str, Any]:
        from . import inputs
        from .host_sampler import Choice
        from .levels import make_levels
        from .model_frame import frame_of
        from .parts import Part, choose
        from .plot_data import plot
        from .ranges import see
        from .sampling import sample_part, unsampled

        row, _ = inputs.chosen_solver(sampler_name)
        frame = frame_of(model.get_model_object("model_sampling"))
        levels = make_levels(scheduler, steps, denoise, options, frame, row, cfg)
        choice = Choice(row, levels.of_solver, cfg_pp, cfg)
        part = Part(start_at_step, end_at_step, add_noise == _ENABLE, return_with_leftover_noise == _ENABLE)
        work = choose(choice, levels.sigmas, frame, part, latent_image, model)
        if work is None:
            return {"ui": {"fewstep_plot": []}, "result": unsampled(model, latent_image, part, steps, denoise)}
        chosen = [*choice.words(work.shown), *levels.words]
        result = sample_part(work, choice, model, seed, cfg, positive, negative, latent_image, part, chosen)
        return {"ui": {"fewstep_plot": [plot(work.shown, see(frame), *work.span, chosen=chosen)]}, "result": result}
