"""Fewstep Sampler -> SAMPLER: a solver with its options, for the host's SamplerCustom nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .words import ALIASES, CATEGORY

if TYPE_CHECKING:
    from ..samplers.plan import Plan


#: options that came after cfg_pp was published: saved work refers to widgets by their place
_LATER = ("eta", "s_noise")


class FewstepSampler:
    NAME = "Fewstep Sampler"
    CATEGORY = CATEGORY
    DESCRIPTION = "A DPM-Solver, DPM-Solver++ or DEIS sampler: n steps are exactly n model calls."
    SEARCH_ALIASES = [*ALIASES, "sampler", "solver"]
    RETURN_TYPES = ("SAMPLER",)
    RETURN_NAMES = ("sampler",)
    OUTPUT_TOOLTIPS = ("For SamplerCustom and SamplerCustomAdvanced.",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        from . import inputs

        options = inputs.solver_options()
        later = {name: options.pop(name) for name in _LATER}
        return {
            "required": {"sampler_name": inputs.sampler_name()},
            "optional": {**options, "cfg_pp": inputs.cfg_pp(), **later},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, sampler_name: Any) -> Any:
        """Takes ids, aliases and old names; a linked name is looked at when it is known."""
        from ..samplers.solvers import solver
        from . import inputs

        return inputs.refusal("sampler_name", solver, sampler_name)

    def make(self, sampler_name: str, cfg_pp: bool = False, unique_id: str | None = None, **options: Any) -> tuple[Any]:
        import comfy.samplers

        from . import inputs, live
        from .host_sampler import Choice, sampler_function
        from .plot_data import plot
        from .ranges import see

        row, chosen = inputs.chosen_solver(sampler_name, options)
        choice = Choice(row, chosen, cfg_pp)

        def tell(plan: Plan) -> None:
            live.show(unique_id, plot(plan, see(plan.frame)))

        return (comfy.samplers.KSAMPLER(sampler_function(choice, tell=tell)),)
