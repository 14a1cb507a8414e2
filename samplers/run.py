"""Runs a plan: one generator, one model call per turn.

Progress, previews and interruption live outside: in whoever takes the next step, or does not. Nothing is read back
from the device, unless the caller asks for checks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .level import Level
from .plan import FROM_DATA, Plan

Tensor = torch.Tensor
#: model(x, sigma[B], **extra_args) -> denoised, same shape as x (k-diffusion's convention)
Model = Callable[..., Tensor]


@dataclass(frozen=True)
class Step:
    """What a run shows after each model call: the state that the model saw, and its answer."""

    i: int
    level: Level
    sigma: Tensor  # [B], what the model was called with
    x: Tensor
    denoised: Tensor


def steps(
    plan: Plan,
    model: Model,
    x: Tensor,
    *,
    extra_args: Mapping[str, Any] | None = None,
    check: bool = False,
    begin: int = 0,
    history: Iterable[Tensor] = (),
) -> Generator[Step, None, Tensor]:
    """Yields a `Step` after each model call; the generator's return value is the final latent.

    plan        what to do; `len(plan)` model calls
    model       model(x, sigma[B], **extra_args) -> denoised, shaped like x; sigma is the host's, float32 or float64
    x           state at the plan's first level, any number of dimensions, batch first; never modified
    check       look at every answer (a read-back per call) and stop with FloatingPointError at the first NaN or inf
    begin       index of the first call to make (a call that opens a step), with `history` the predictions remembered
                from the calls before it, newest first, each of the kind that its call keeps

    No gradients are recorded. Keep no reference to a Step longer than needed: each holds two latents. Raises
    ValueError when the model returns another shape, when it was wrapped for another frame, or when `begin` and
    `history` do not fit the plan.
    """
    arguments = dict(extra_args or {})
    updates = plan.updates
    history = list(history)
    if x.ndim == 0:
        raise ValueError("x has no dimensions, expected [batch, ...]")
    _check_start(plan, model, begin, history)
    # float16 cannot hold sigma; models take float32
    sigma_dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    remembered: deque[tuple[Tensor, float]] = deque((kept, 1.0) for kept in history)
    del history  # or the run would hold its latents to the end
    for i in range(begin, len(plan)):
        call, update = plan.calls[i], updates[i]
        while len(remembered) >= max(plan.memory, 1):
            remembered.pop()  # before the model call, so that a run never holds one prediction too many
        sigma = torch.full((x.shape[0],), call.level.host, dtype=sigma_dtype, device=x.device)
        with torch.no_grad():  # never across a yield: the caller would inherit it
            denoised = model(x, sigma, **arguments)
        _check_answer(i, call.level, x, denoised, check)
        yield Step(i, call.level, sigma, x, denoised)
        with torch.no_grad():
            if call.keeps:
                remembered.appendleft(_prediction(call.keeps, call.level, x, denoised.to(x.dtype)))
            del denoised
            x = _combine(x, update.scale, update.weights, remembered)
    return x


def _check_start(plan: Plan, model: Model, begin: int, history: list[Tensor]) -> None:
    asked = getattr(model, "fewstep_frame", plan.frame.name)  # what fewstep.wrap made the denoiser for
    if asked != plan.frame.name:
        raise ValueError(
            f"the model was wrapped for frame {asked!r}, but the levels are of frame {plan.frame.name!r}; "
            f"give frame={asked!r}, and a schedule of that frame"
        )
    if not 0 <= begin < len(plan) or (begin and not plan.calls[begin - 1].closes):
        raise ValueError(f"cannot begin at call {begin}: it does not open a step of this plan of {len(plan)} calls")
    # call i uses predictions up to len(weights) - 1 calls back
    needed = max((len(update.weights) - 1 - j for j, update in enumerate(plan.updates[begin:])), default=0)
    needed = min(needed, begin)
    if len(history) < needed:
        raise ValueError(f"beginning at call {begin} takes the last {needed} prediction(s), got {len(history)}")


def _prediction(keeps: str, level: Level, x: Tensor, denoised: Tensor) -> tuple[Tensor, float]:
    """(tensor, factor) whose product is the prediction; the factor joins the weights, which saves a pass."""
    if keeps == "data":
        return denoised, 1.0
    on_x, on_denoised = FROM_DATA[keeps](level)
    return torch.sub(x, denoised, alpha=-on_denoised / on_x), on_x


def _combine(x: Tensor, scale: float, weights: tuple[float, ...], remembered: Iterable[tuple[Tensor, float]]) -> Tensor:
    terms = [
        (prediction, weight * factor)
        for weight, (prediction, factor) in zip(weights, remembered, strict=False)
        if weight
    ]
    if not terms:
        return x if scale == 1.0 else x * scale
    (first, weight), *rest = terms
    # one pass less where the state itself is not scaled; scale 0 must not spread a NaN of the state
    if scale == 1.0:
        out = torch.add(x, first, alpha=weight)
    elif scale == 0.0:
        out = first * weight
    else:
        out = (x * scale).add_(first, alpha=weight)
    for prediction, weight in rest:
        out.add_(prediction, alpha=weight)
    return out


def _check_answer(i: int, level: Level, x: Tensor, denoised: Tensor, check: bool) -> None:
    if not isinstance(denoised, torch.Tensor):
        raise ValueError(
            f"the model returned a {type(denoised).__name__} at call {i} (sigma {level.host:g}), expected a tensor: x0"
        )
    if denoised.shape != x.shape:
        raise ValueError(
            f"the model returned shape {tuple(denoised.shape)} at call {i} (sigma {level.host:g}), "
            f"expected {tuple(x.shape)}; a denoiser returns x0, shaped like x"
        )
    if check and not bool(torch.isfinite(denoised).all()):
        raise FloatingPointError(
            f"the model returned NaN or inf at call {i} (sigma {level.host:g}); "
            "often float16 overflow: try bfloat16 or float32, or a lower guidance scale"
        )


def run(
    plan: Plan,
    model: Model,
    x: Tensor,
    extra_args: Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    callback: Callable[[Step], None] | None = None,
    check: bool = False,
) -> Tensor:
    """Carries out a plan and returns the final latent, shaped and typed like x.

    callback(step) is called after each model call, before the update. `seed` seeds the noise of stochastic plans.
    See `steps` for the other arguments and what is raised.
    """
    turns = steps(plan, model, x, extra_args=extra_args, check=check)
    while True:
        try:
            step = next(turns)
        except StopIteration as end:
            final: Tensor = end.value
            return final
        if callback is not None:
            callback(step)
        del step  # frees the denoised latent before the update allocates
