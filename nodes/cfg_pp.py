"""CFG++ (arXiv 2406.08070): guidance moves the clean picture, but noise is added again with the unguided prediction.

A step of DDIM becomes x' = alpha' D + sigma' eps_u with eps_u = (x - alpha D_u)/sigma. That is the ordinary step from
the state x + alpha (D - D_u), and so it is put here: after each model call the state is moved, and whatever solver of
one call per step goes on from there. Its noise prediction (state - alpha D)/sigma then is eps_u.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..samplers.plan import Plan
from ..samplers.run import Step
from ..samplers.solvers import Solver


def options_for(row: Solver, given: Mapping[str, Any]) -> dict[str, Any]:
    """The solver's options under CFG++: an ordinary start and the last step x = D, unless asked for otherwise.

    Raises ValueError for solvers and options that make more than one call per step.
    """
    if row.chooses is not None:
        raise ValueError(
            f"cfg_pp: {row.id} may choose a solver that begins with a step of two calls, and CFG++ is defined for one; "
            "switch cfg_pp off or choose a multistep solver, for example dpmpp_2m"
        )
    if row.calls > 1:
        raise ValueError(
            f"cfg_pp: {row.id} makes {row.calls} calls per step, and CFG++ is defined for one; "
            "switch cfg_pp off or choose a multistep solver, for example dpmpp_2m"
        )
    if given.get("start") == "2s":
        raise ValueError("cfg_pp: start=2s begins with a step of two calls, and CFG++ is defined for one; use euler")
    wanted = {"start": "euler", "last": "denoise"}
    names = {option.name for option in row.options}
    # "auto" asks for nothing, and might come to a start of two calls
    asked = {name: value for name, value in given.items() if value != "auto"}
    return {name: value for name, value in wanted.items() if name in names} | asked


def check_plan(plan: Plan) -> None:
    """ValueError where the plan draws noise, or converts an earlier prediction to another kind.

    Such a conversion works its way back to the state that the prediction was made for, through updates that know
    nothing of the moves in between.
    """
    if plan.stochastic:
        raise ValueError(f"cfg_pp: {plan.solver} adds noise on the way; set eta to 0, or choose for example dpmpp_2m")
    kept: list[str] = []
    for call in plan:
        if call.keeps:
            kept.insert(0, call.keeps)
        older = kept[1 : len(call.weights)]
        if any(kind != call.form for kind in older):
            raise ValueError(
                f"cfg_pp: {plan.solver} on these levels turns earlier {older[0]} predictions into {call.form} ones, "
                "and would take their states for unmoved; leave last at auto, or choose for example dpmpp_2m"
            )


class Guidance:
    """Watches the host's guider for the negative's prediction and moves the state by it.

    Used as `extra_args = guidance.watch(extra_args)` before a run of the plan and `move=guidance.move` in it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._unguided: Tensor | None = None

    def watch(self, extra_args: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the model calls, with a listener added to a copy of the model options."""
        import comfy.model_patcher

        options = comfy.model_patcher.set_model_options_post_cfg_function(
            # at cfg 1 the host leaves the negative out unless told not to, and hands on zeros in its place
            dict(extra_args.get("model_options", {})),
            self._listen,
            disable_cfg1_optimization=True,
        )
        return {**extra_args, "model_options": options}

    def _listen(self, given: Mapping[str, Any]) -> Tensor:
        if given.get("uncond") is None:
            raise ValueError(
                "cfg_pp: the guider gives no negative prediction; use a guider with a negative (CFGGuider), "
                "or switch cfg_pp off"
            )
        self._unguided = given["uncond_denoised"]
        denoised: Tensor = given["denoised"]
        return denoised

    def move(self, step: Step) -> Tensor | None:
        unguided, self._unguided = self._unguided, None
        if unguided is None:
            raise ValueError("cfg_pp: this model's guider does not report predictions; switch cfg_pp off")
        if step.level.alpha == 0.0 or not self._plan.calls[step.i].keeps:
            return None  # no signal yet, or an idle call at a repeated level, which changes nothing
        return step.x + step.level.alpha * (step.denoised - unguided.to(step.x.dtype))
