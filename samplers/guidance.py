"""Guidance and thresholding as functions from denoiser to denoiser, so that they can be put around each other.

A denoiser is `denoiser(x[B, ...], sigma[B], **kwargs) -> x0`, from `models.wrap` or a host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .inputs import LabelFunction, network_inputs, per_sample, spread, stretch, work_dtype
from .level import Frame
from .times import TimeMap

#: Keyword arguments of the network by name; a bare tensor c means {"cond": c}.
Condition = Mapping[str, Any] | Tensor

Denoiser = Callable[..., Tensor]


def _each(function: Callable[..., Any], name: str, first: Any, *others: Any) -> Any:
    """`function(name, *values)` at every leaf of equally built dicts, lists and tuples (some networks nest them)."""
    if isinstance(first, Mapping):
        if any(not isinstance(other, Mapping) or other.keys() != first.keys() for other in others):
            kinds = " and ".join(
                str(sorted(tree)) if isinstance(tree, Mapping) else type(tree).__name__ for tree in (first, *others)
            )
            raise ValueError(f"{name} differ in their entries: {kinds}; both go through the network in one batch")
        return {key: _each(function, f"{name}[{key!r}]", *(tree[key] for tree in (first, *others))) for key in first}
    if type(first) in (list, tuple):
        if any(type(other) is not type(first) or len(other) != len(first) for other in others):
            raise ValueError(f"{name} differ in length; both go through the network in one batch")
        return type(first)(
            _each(function, f"{name}[{i}]", *trees) for i, trees in enumerate(zip(first, *others, strict=True))
        )
    return function(name, first, *others)


def _filled(value: Any, batch: int, name: str) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.dim() and len(value) not in (1, batch):
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}, expected a first dimension of 1 or of the batch, {batch}"
        )
    return value.expand(batch, *value.shape[1:])


def _stacked(batch: int) -> Callable[[str, Any, Any], Any]:
    def stack(name: str, first: Any, second: Any) -> Any:
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            if first.shape[1:] != second.shape[1:]:
                raise ValueError(
                    f"{name} have shapes {tuple(first.shape)} and {tuple(second.shape)}, which cannot go through the "
                    "network in one batch; pad the shorter one"
                )
            return torch.cat([_filled(first, batch, name), _filled(second, batch, name)])
        if isinstance(first, Tensor) or isinstance(second, Tensor) or first != second:
            raise ValueError(f"{name} are {first!r} and {second!r}; give tensors, or the same value in both")
        return first

    return stack


def _named(condition: Condition) -> Mapping[str, Any]:
    return {"cond": condition} if isinstance(condition, Tensor) else condition


def classifier_free(
    denoiser: Denoiser, cond: Condition, uncond: Condition | None = None, scale: float = 1.0
) -> Denoiser:
    """Classifier-free guidance, D_u + scale (D_c - D_u), in one pass with the batch cat[uncond, cond].

    arXiv 2207.12598, eq. 6, where scale is 1 + w. With scale 1 only cond is computed, in one pass with
    batch B, and uncond may be left out.

    cond, uncond  the network's keyword arguments, as {"name": value}; a bare tensor c means {"cond": c}. Tensors have a
                  first dimension of B or 1; other values must be equal. Dicts, lists and tuples may be nested.
    scale         1 is no guidance, 0 is uncond

    Of the keyword arguments of a call, tensors with a first dimension of B go to both halves, all others as they are.
    Raises ValueError for another scale without uncond and, when called, for conditions that do not fit each other or
    the batch.
    """
    wanted = _named(cond)
    if uncond is None and scale != 1.0:
        raise ValueError(
            f"got guidance scale {scale} without uncond; give uncond= what the network reads as no condition"
        )
    if uncond is None or scale == 1.0:

        def conditional(x: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
            filled = _each(lambda name, value: _filled(value, len(x), name), "cond", wanted)
            return denoiser(x, sigma, **filled, **kwargs)

        return conditional
    unwanted = _named(uncond)

    def guided(x: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        def twice(name: str, value: Any) -> Any:
            return torch.cat([value, value]) if isinstance(value, Tensor) and value.shape[:1] == x.shape[:1] else value

        joined = _each(_stacked(len(x)), "uncond and cond", unwanted, wanted)
        shared = _each(twice, "argument", kwargs)
        level = per_sample(sigma, x)
        without, within = denoiser(torch.cat([x, x]), torch.cat([level, level]), **joined, **shared).chunk(2)
        return torch.lerp(without, within, scale)

    return guided


def _flow_reach(sigma: Tensor) -> Tensor:
    # At sigma 1 the state holds nothing of x0 or y: the gradient is 0 there and its factor infinite, so leave it out.
    return torch.where(sigma < 1.0, sigma * sigma / (1.0 - sigma), 0.0)


#: frame -> sigma^2/alpha of the state
_REACH: dict[str, Callable[[Tensor], Tensor]] = {
    "ve": lambda rho: rho * rho,
    "vp": lambda rho: rho * rho / stretch(rho),
    "flow": _flow_reach,
}


def classifier(
    denoiser: Denoiser,
    log_prob: Callable[[Tensor, Tensor], Tensor],
    scale: float = 1.0,
    *,
    frame: str | Frame,
    time: str | TimeMap | Sequence[float] | None = None,
    native: str | None = None,
    label: str | LabelFunction | None = None,
    label_scale: float | None = None,
) -> Denoiser:
    """Classifier guidance, eps - scale sigma grad_x log p(y|x) (arXiv 2105.05233, algorithm 2), that is

        D + scale (sigma^2/alpha) grad_x log p(y|x),    at flow sigma 1: D

    log_prob(input, label[B]) -> log p(y|x) [B] is a classifier of noisy states. It knows its own y, and takes input and
    label like a network in `models.wrap`, where time, native, label and label_scale are explained; frame is that of the
    denoiser. The gradient is also taken under torch.no_grad and torch.inference_mode (but the classifier must not have
    been built in inference_mode). Raises ValueError for unknown names, and in a call if log_prob's result has another
    shape or does not depend on its input.
    """
    inputs = network_inputs(frame, time, native, label, label_scale)
    reach = _REACH[inputs.frame.name]

    def guided(x: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        level = per_sample(sigma, x)
        with torch.inference_mode(False), torch.enable_grad():
            # Clones made here are ordinary tensors, which autograd may save, also when x and sigma come out of
            # inference mode.
            leaf = x.detach().clone().requires_grad_()
            chance = log_prob(*inputs(leaf, level.detach().clone()))
            if chance.shape != x.shape[:1] or not chance.requires_grad:
                gradient = "with" if chance.requires_grad else "without"
                raise ValueError(
                    f"log_prob returned shape {tuple(chance.shape)} {gradient} a gradient, expected log p(y|x) of "
                    f"shape ({len(x)},), computed by differentiable operations; pick the column of y in log_softmax"
                )
            (slope,) = torch.autograd.grad(chance.sum(), leaf)
        free = denoiser(x, level, **kwargs)
        return (free + scale * spread(reach(level), x) * slope).to(x.dtype)

    return guided


def threshold(x0: Tensor, percentile: float = 0.995, max_val: float = 1.0) -> Tensor:
    """clamp(D, -s, s) max_val/s with s = max(quantile of |D| in each sample, max_val) (arXiv 2205.11487, section 2.3).

    x0 is [B, ...], its type is kept. `dynamic_thresholding` explains the arguments.
    """
    sizes = x0.to(work_dtype(x0)).abs().flatten(1)
    # torch.quantile takes neither half precision nor more than 16M numbers, and sorts them all; only the top is needed.
    position = percentile * (sizes.shape[1] - 1)
    below = min(math.floor(position), max(sizes.shape[1] - 2, 0))
    top = sizes.topk(sizes.shape[1] - below, dim=1).values  # decreasing; the last is the order statistic `below`
    quantile = torch.lerp(top[:, -1], top[:, max(top.shape[1] - 2, 0)], position - below)
    bound = spread(quantile.clamp(min=max_val), x0)
    return (x0.clamp(-bound, bound) * (max_val / bound)).to(x0.dtype)


def dynamic_thresholding(denoiser: Denoiser, percentile: float = 0.995, max_val: float = 1.0) -> Denoiser:
    """Dynamic thresholding of D (arXiv 2205.11487, section 2.3): clamp(D, -s, s) max_val/s.

    s = max(quantile of |D| in each sample, max_val): D is never stretched, and left alone inside -max_val..max_val.

    percentile  of |D|, above 0, at most 1
    max_val     largest size of a true x0: 1 for pixels in -1..1. Not for latents, which have no such bound.

    Raises ValueError for values outside of these ranges.
    """
    if not 0.0 < percentile <= 1.0:
        raise ValueError(f"percentile is {percentile!r}, expected a fraction above 0 and at most 1, such as 0.995")
    if not 0.0 < max_val < math.inf:
        raise ValueError(f"max_val is {max_val!r}, expected the largest size of x0, a positive number such as 1.0")

    def thresholded(x: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        return threshold(denoiser(x, sigma, **kwargs), percentile, max_val)

    return thresholded
