"""Fewstep Sampler -> SAMPLER: a solver with its options, for the host's SamplerCustom nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .words import ALIASES, CATEGORY

if TYPE_CHECKING:
    from ..samplers.plan import Plan


#: the options that were there when cfg_pp was published: saved work refers to widgets by their place
_BEFORE_CFG_PP = ("variant", "nodes", "split", "last", "final", "start", "form")


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
        first = {name: options.pop(name) for name in _BEFORE_CFG_PP}
        return {
            "required": {"sampler_name": inputs.sampler_name()},
            "optional": {**first, "cfg_pp": inputs.cfg_pp(), **options},
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
            live.show(unique_id, plot(plan, see(plan.frame), chosen=choice.words(plan)))

        return (comfy.samplers.KSAMPLER(sampler_function(choice, tell=tell)),)
