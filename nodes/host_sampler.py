"""The functions that the host calls to sample: k-diffusion's signature around a plan, in the model's own frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from ..samplers.auto import informed
from ..samplers.kdiffusion import Callback, drive, drive_adaptive, label_of, plan_with_repeats, without_repeats
from ..samplers.level import Frame, read_sigmas, snapped
from ..samplers.plan import Plan
from ..samplers.run import Memory, Step
from ..samplers.solvers import Solver, check, solver
from . import cfg_pp as cfgpp
from .inputs import about
from .model_frame import frame_of, model_sampling_of


class Planned(Protocol):
    """What a sampler function carries out: a solver that a person chose, or a tuned plan."""

    @property
    def id(self) -> str: ...

    @property
    def cfg_pp(self) -> bool: ...

    def told(self, guidance: float) -> Planned:
        """The same under the host's guidance."""
        ...

    def plan(self, sigmas: list[float], frame: Frame) -> Plan:
        """The plan on the host's levels, in its model's frame; ValueError where there is none."""
        ...

    def label(self, plan: Plan) -> str:
        """What the progress bar is called while that plan runs."""
        ...


@dataclass(frozen=True)
class Choice:
    """A solver with its options, as a person chose them, before any model is known.

    guidance  the strength of guidance, which `auto` goes by unless its options say another
    """

    row: Solver
    options: Mapping[str, Any] = field(default_factory=dict)
    cfg_pp: bool = False
    guidance: float = 1.0

    def told(self, guidance: float) -> Choice:
        """The same under the host's guidance."""
        return replace(self, guidance=guidance)

    @property
    def id(self) -> str:
        return self.row.id

    def plan(self, sigmas: list[float], frame: Frame) -> Plan:
        """The plan on the host's levels; a repeated one costs its call. ValueError names the input that is wrong."""
        options = cfgpp.options_for(self.row, self.options) if self.cfg_pp else self.options
        options = informed(self.row.options, options, self.guidance)
        with about("sampler_name"):
            check(self.row, frame, options)
            if self.row.adaptive:
                raise ValueError(
                    f"{self.row.id} chooses its steps while it runs, so there is no plan that could be run in part or "
                    "drawn; use it in a Fewstep Sampler node, with SamplerCustom, or choose a solver of fixed steps"
                )
        with about("sigmas"):
            plan = plan_with_repeats(self.row, snapped(sigmas, frame), frame, **options)
        if self.cfg_pp:
            cfgpp.check_plan(plan)
        return plan

    def label(self, plan: Plan) -> str:
        return label_of(self.row, plan)

    def words(self, plan: Plan) -> tuple[str, ...]:
        """What `auto` took for a plan, in words; none where the person chose."""
        return (f"{self.row.id}: {plan.solver}",) if plan.solver != self.row.id else ()


#: draws a schedule alone: DDIM knows no history, so its plan shows the levels and nothing else
BARE = Choice(solver("ddim"))


@dataclass
class Piece:
    """Calls begin..end - 1 of a plan, and what they go on from; after the run, what a further piece goes on from.

    history  the remembered predictions, newest first
    state    the latent as the solver sees it; None before the first run: it is the host's
    seed     of the noise of stochastic plans; None for the host's
    """

    plan: Plan
    begin: int
    end: int
    history: Memory
    state: Tensor | None = None
    seed: int | None = None


#: tell(plan) is called once before the first model call
Tell = Callable[[Plan], None]


def sampler_function(
    choice: Planned,
    *,
    tell: Tell | None = None,
    piece: Piece | None = None,
    watch: Callable[[Step], object] | None = None,
) -> Callable[..., Tensor]:
    """fn(model, x, sigmas, extra_args, callback, disable) for the host's KSAMPLER and its menu.

    Without a `piece` the plan is made for the levels that the host gives, on the model that it gives; n + 1 levels are
    n model calls, n callbacks, and fewer than two levels return x. Adaptive solvers find their steps between the first
    and the last of the levels.
    """

    def fn(
        model: Any,
        x: Tensor,
        sigmas: Tensor,
        extra_args: Mapping[str, Any] | None = None,
        callback: Callback | None = None,
        disable: bool | None = None,
    ) -> Tensor:
        values = read_sigmas(sigmas)
        if len(values) < 2:
            return x
        if isinstance(choice, Choice) and choice.row.adaptive and piece is None and not choice.cfg_pp:
            frame = frame_of(model_sampling_of(model))
            levels = without_repeats(snapped(values, frame))
            return drive_adaptive(
                choice.row, model, x, levels, frame, extra_args, callback, disable,
                count=len(values) - 1, **choice.options,
            )  # fmt: skip
        work = piece or _whole(choice.told(_guidance_of(model)).plan(values, frame_of(model_sampling_of(model))))
        # what a first part left may have waited on another device
        for i, (tensor, factor) in enumerate(work.history):
            work.history[i] = (tensor.to(x.device), factor)
        if work.state is not None:
            x = work.state.to(x)
        if tell is not None:
            tell(work.plan)
        arguments = dict(extra_args or {})
        move = None
        if choice.cfg_pp:
            guidance = cfgpp.Guidance(work.plan)
            arguments, move = guidance.watch(arguments), guidance.move
        if work.seed is None:
            work.seed = int(arguments.get("seed") or 0)
        work.state = drive(
            work.plan, model, x, arguments, callback, disable, label=choice.label(work.plan), move=move, watch=watch,
            begin=work.begin, end=work.end, history=work.history, seed=work.seed,
        )  # fmt: skip
        return work.state

    fn.__name__ = fn.__qualname__ = f"sample_fewstep_{choice.id}"
    fn.fewstep = lambda: choice  # type: ignore[attr-defined]  # Fewstep Sigmas Info asks a SAMPLER for its choice
    return fn


def _guidance_of(model: Any) -> float:
    """The largest scale of the host's guider; a guider of two has them beside a cfg of 1, some have none."""
    guider = getattr(model, "inner_model", None)
    scales = [getattr(guider, name, None) for name in ("cfg", "cfg1", "cfg2")]
    return max((float(scale) for scale in scales if isinstance(scale, (int, float))), default=1.0)


def _whole(plan: Plan) -> Piece:
    return Piece(plan, 0, len(plan), Memory())
