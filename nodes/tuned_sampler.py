"""Fewstep Tuned Sampler -> SAMPLER and SIGMAS: a plan of a profile, for the host's SamplerCustom nodes."""

from __future__ import annotations

from typing import Any

from .words import ALIASES, CATEGORY


class FewstepTunedSampler:
    NAME = "Fewstep Tuned Sampler"
    CATEGORY = CATEGORY
    DESCRIPTION = "Samples with a plan that Fewstep Tune fitted to this model: `steps` calls, on levels of its own."
    SEARCH_ALIASES = [*ALIASES, "tuned", "profile", "sampler", "调优"]
    RETURN_TYPES = ("SAMPLER", "SIGMAS", "STRING")
    RETURN_NAMES = ("sampler", "sigmas", "report")
    OUTPUT_TOOLTIPS = (
        "For SamplerCustom and SamplerCustomAdvanced, with the sigmas of this node.",
        "The plan's own levels; the sampler runs on no others.",
        "What was gained, on what it was judged, and every call.",
    )
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        from . import inputs, profiles

        steps = "Exactly so many model calls; one of the numbers that were tuned for."
        check = "Whether the profile must be of these very weights. Off: for a finetune, at your own risk."
        name = "A profile by name, from Fewstep Tune; it takes the place of the one that is chosen."
        return {
            "required": {
                "model": ("MODEL", {"tooltip": "The model that will be sampled; it is compared with the profile's."}),
                "profile": profiles.profile_menu(),
                "steps": ("INT", {"default": 8, "min": 1, "max": 10000, "tooltip": steps}),
            },
            "optional": {
                "name": ("STRING", {"forceInput": True, "tooltip": name}),
                "check_model": inputs.switch(check, True),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, profile: Any) -> Any:
        """Any name passes: it may be linked, be made by this very graph, or have been taken away. The node says so."""
        return True

    @classmethod
    def IS_CHANGED(cls, **inputs: Any) -> Any:
        from . import profiles

        return profiles.stamp()

    def make(
        self,
        model: Any,
        profile: str,
        steps: int,
        name: str = "",
        check_model: bool = True,
    ) -> tuple[Any, Any, str]:
        import comfy.samplers
        import torch

        from ..samplers.identity import identity
        from . import inside, tuning
        from .host_sampler import sampler_function
        from .inputs import about
        from .profiles import Tuned, find

        where, chosen = inside.range_of(model), name or profile
        with about("name" if name else "profile"):
            found = find(chosen)
        with about("steps"):
            plan = found.plan(steps)
        tuned = Tuned(found, chosen, steps)
        with about("model"):
            found.check_frame(where.frame)
            tuned.check_range(where)
            if check_model:
                found.check(identity=identity(model.model.diffusion_model))
        sampler = comfy.samplers.KSAMPLER(sampler_function(tuned))
        report = "\n".join([f"Profile {chosen!r}", tuning.gains(found, (steps,)), "", str(plan)])
        return sampler, torch.tensor(tuned.levels, dtype=torch.float32), report
