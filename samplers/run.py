"""Runs a plan: one generator, one model call per turn.

Progress, previews and interruption live outside: in whoever takes the next step, or does not. Nothing is read back
from the device, unless the caller asks for checks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .level import Frame, Level
from .noise import NoiseSource, noise_source
from .plan import FROM_DATA, Plan

Tensor = torch.Tensor
#: model(x, sigma[B], **extra_args) -> denoised, same shape as x (k-diffusion's convention)
Model = Callable[..., Tensor]


class Memory(deque[tuple[Tensor, float]]):
    """What a run remembers, newest first: (tensor, factor), whose product is the prediction."""


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
    end: int | None = None,
    history: Iterable[Tensor] | Memory = (),
    seed: int | Sequence[int] = 0,
    noise: str | NoiseSource = "cpu",
) -> Generator[Step, Tensor | None, Tensor]:
    """Yields a `Step` after each model call; the generator's return value is the final latent.

    A tensor that is sent to the generator takes the place of the state that the update starts from (as guidance that
    moves the state does); the model's answer stays what it was.

    plan        what to do; `len(plan)` model calls
    model       model(x, sigma[B], **extra_args) -> denoised, shaped like x; sigma is the host's, float32 or float64
    x           state at the plan's first level, any number of dimensions, batch first; never modified
    check       look at every answer (a read-back per call) and stop with FloatingPointError at the first NaN or inf
    begin, end  index of the first call to make and of the first not to make, by default all; both at the beginning of
                a step
    history     for begin > 0: the predictions remembered from the calls before it, newest first, each of the kind that
                its call keeps. A `Memory` is used in place and holds, when the run is over, what a run that goes on
                from there is given: the pieces then are bit-equal to the whole
    seed        of the noise of stochastic plans; one for all samples, or one for each
    noise       cpu, device or brownian (see `noise.noise_source`), or a source of the caller's

    No gradients are recorded. Keep no reference to a Step longer than needed: each holds two latents. Raises
    ValueError when the model returns another shape, when it was wrapped for another frame, or when `begin`, `end` and
    `history` do not fit the plan.
    """
    # not copied: a host may put other conditions into it between two calls (the refiner of the A1111 family does)
    arguments: Mapping[str, Any] = {} if extra_args is None else extra_args
    updates = plan.updates
    stop = len(plan) if end is None else end
    source = (noise_source(noise, seed) if isinstance(noise, str) else noise) if plan.stochastic else _silent
    if x.ndim == 0:
        raise ValueError("x has no dimensions, expected [batch, ...]")
    remembered = history if isinstance(history, Memory) else Memory((kept, 1.0) for kept in history)
    del history  # or the run would hold its latents to the end
    _check_piece(plan, model, begin, stop, len(remembered))
    # float16 cannot hold sigma; models take float32
    sigma_dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    for i in range(begin, stop):
        call, update = plan.calls[i], updates[i]
        while len(remembered) >= max(plan.memory, 1):
            remembered.pop()  # before the model call, so that a run never holds one prediction too many
        sigma = torch.full((x.shape[0],), call.level.host, dtype=sigma_dtype, device=x.device)
        with torch.no_grad():  # never across a yield: the caller would inherit it
            denoised = model(x, sigma, **arguments)
        _check_answer(i, call.level, x, denoised, check)
        sent = yield Step(i, call.level, sigma, x, denoised)
        if sent is not None:
            x = sent
            del sent  # a latent less until the update is made
        with torch.no_grad():
            if call.keeps:
                remembered.appendleft(_prediction(call.keeps, call.level, x, denoised.to(x.dtype)))
            del denoised
            x = _combine(x, update.scale, update.weights, remembered)
            if update.noise:
                x = _plus(x, source(call.level, call.target, x), update.noise)
    return x


def _silent(start: Level, end: Level, like: Tensor) -> Tensor:
    return torch.zeros_like(like)  # never called: a plan that is not stochastic has no noise to ask for


def history_needed(plan: Plan, begin: int, end: int | None = None) -> int:
    """How many predictions from before call `begin` the calls begin..end - 1 use."""
    needed = kept = 0  # a call that repeats a level uses what is remembered and adds nothing to it
    for call, update in zip(plan.calls[begin:end], plan.updates[begin:end], strict=True):
        kept += bool(call.keeps)
        needed = max(needed, len(update.weights) - kept)
    return min(needed, sum(bool(call.keeps) for call in plan.calls[:begin]))


def check_frame(model: Model, frame: Frame) -> None:
    """ValueError if `fewstep.wrap` made the denoiser for another frame."""
    asked = getattr(model, "fewstep_frame", frame.name)
    if asked != frame.name:
        raise ValueError(
            f"the model was wrapped for frame {asked!r}, but the levels are of frame {frame.name!r}; "
            f"give frame={asked!r}, and a schedule of that frame"
        )


def _check_piece(plan: Plan, model: Model, begin: int, end: int, known: int) -> None:
    check_frame(model, plan.frame)
    for word, i in (("begin", begin), ("end", end)):
        if not plan.opens(i):
            raise ValueError(f"cannot {word} at call {i}: it does not open a step of this plan of {len(plan)} calls")
    if not begin < end:
        raise ValueError(f"cannot begin at call {begin} and end before call {end}: that makes no call")
    needed = history_needed(plan, begin, end)
    if known < needed:
        raise ValueError(f"beginning at call {begin} takes the last {needed} prediction(s), got {known}")


def _prediction(keeps: str, level: Level, x: Tensor, denoised: Tensor) -> tuple[Tensor, float]:
    """(tensor, factor) whose product is the prediction; the factor joins the weights, which saves a pass."""
    if keeps == "data":
        return denoised, 1.0
    on_x, on_denoised = FROM_DATA[keeps](level)
    return _plus(x, denoised, on_denoised / on_x), on_x


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
        out = _plus(x, first, weight)
    elif scale == 0.0:
        out = first * weight
    else:
        out = x * scale
        _plus(out, first, weight, out=out)
    for prediction, weight in rest:
        _plus(out, prediction, weight, out=out)
    return out


def _plus(x: Tensor, y: Tensor, factor: float, out: Tensor | None = None) -> Tensor:
    """x + factor * y in one pass, of the same bits wherever a number stands in its tensor.

    In half precision torch's `add` with a factor rounds the numbers at the end of a CPU tensor otherwise than those
    before, so that a sample would depend on its batch; `addcmul` does not (tests/test_noise.py).
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        return torch.addcmul(x, y.to(x.dtype), x.new_ones(()), value=factor, out=out)
    return torch.add(x, y, alpha=factor, out=out)


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
    seed: int | Sequence[int] = 0,
    *,
    callback: Callable[[Step], Tensor | None] | None = None,
    check: bool = False,
    begin: int = 0,
    end: int | None = None,
    history: Iterable[Tensor] | Memory = (),
    noise: str | NoiseSource = "cpu",
) -> Tensor:
    """Carries out a plan, or the calls begin..end - 1 of it, and returns the latent, shaped and typed like x.

    callback(step) is called after each model call, before the update; a tensor that it returns takes the place of the
    state. See `steps` for the other arguments and what is raised.
    """
    piece: dict[str, Any] = {"begin": begin, "end": end, "history": history}
    turns = steps(plan, model, x, extra_args=extra_args, check=check, seed=seed, noise=noise, **piece)
    del piece
    del x, history  # the run lets go of them as it goes on
    state: Tensor | None = None
    try:
        step = next(turns)
        while True:
            state = callback(step) if callback is not None else None
            del step  # frees the denoised latent before the update allocates
            step = turns.send(state)
    except StopIteration as over:
        final: Tensor = over.value
        return final
