"""From the host's `model_sampling` object to a frame: the state convention, and the model's own time.

The host has two conventions (comfy/k_diffusion/sampling.py makes the same test): CONST is x = (1 - sigma) x0 +
sigma noise, everything else x = x0 + sigma noise. A `noise_scale` on a CONST model scales the noise, not the ODE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..samplers.level import ONE, Frame
from ..samplers.level import frame as make_frame
from ..samplers.times import CosineVP, FlowShift, LogSigma, RectifiedVE, Table, TimeMap
from .inputs import about


def model_sampling_of(model: Any) -> Any:
    """The `model_sampling` that a sampler function's model samples with, patches of the model included.

    model  what the host calls a sampler function with; its `inner_model` is the guider. ValueError for anything else.
    """
    link = model
    while link is not None:
        patcher = getattr(link, "model_patcher", None)
        if patcher is not None:
            return patcher.get_model_object("model_sampling")
        if hasattr(link, "model_sampling"):
            return link.model_sampling
        link = getattr(link, "inner_model", None)
    raise ValueError(
        f"got a model of type {type(model).__name__} without a model_sampling; "
        "a Fewstep sampler needs a model that ComfyUI's guiders call"
    )


def frame_of(model_sampling: Any) -> Frame:
    """The frame of a model: `flow` for CONST, otherwise `ve`, with the time map of its parameterisation.

    A CONST model whose sigmas exceed 1 (IMG_TO_IMG_FLOW) goes to `ve`: dx/dsigma = (x - D)/sigma is the ODE of both
    conventions, and log((1 - sigma)/sigma) does not exist there.
    """
    import comfy.model_sampling as kinds

    with about("model"):
        table = _table(model_sampling)
        flow = isinstance(model_sampling, kinds.CONST) and table[-1] <= ONE
        return make_frame("flow" if flow else "ve", _time_map(kinds, model_sampling, table))


def _table(model_sampling: Any) -> list[float]:
    """The model's sigmas, lowest first; its two ends where it keeps no table."""
    sigmas = getattr(model_sampling, "sigmas", None)
    if sigmas is None or len(sigmas) < 2:
        return [float(model_sampling.sigma_min), float(model_sampling.sigma_max)]
    return [float(value) for value in sigmas.tolist()]  # one read-back


def _between(time: Callable[[float], float], table: list[float]) -> tuple[float, float]:
    return time(table[0]), time(table[-1])


#: class of comfy.model_sampling -> its time map; derived classes before the ones they derive from
_TIMES: tuple[tuple[str, Callable[[Any, list[float]], TimeMap]], ...] = (
    ("ModelSamplingFlux", lambda model, table: FlowShift(math.exp(model.shift), 1.0 / len(table))),
    ("ModelSamplingDiscreteFlow", lambda model, table: FlowShift(float(model.shift), 1.0 / len(table))),
    ("ModelSamplingCosmosRFlow", lambda model, table: RectifiedVE(*_between(RectifiedVE().time, table))),
    # t = (2/pi) atan(sigma) is the cosine schedule without its offset
    ("ModelSamplingContinuousV", lambda model, table: CosineVP(0.0, *_between(CosineVP(0.0).time, table))),
    ("ModelSamplingContinuousEDM", lambda model, table: LogSigma(*_between(math.log, table))),
    ("ModelSamplingDiscreteEDM", lambda model, table: LogSigma(*_between(math.log, table))),
)


def _time_map(kinds: Any, model_sampling: Any, table: list[float]) -> TimeMap:
    for name, make in _TIMES:
        kind = getattr(kinds, name, None)  # older hosts lack some
        if kind is not None and isinstance(model_sampling, kind):
            return make(model_sampling, table)
    return Table(tuple(_strict(table)))


def _strict(table: list[float]) -> list[float]:
    """The table without what is clamped at its ends (Stable Cascade), so that its index stays affine in time."""
    first = max((i for i, value in enumerate(table) if value == table[0]), default=0)
    last = min(i for i, value in enumerate(table) if value == table[-1])
    strict = table[first : last + 1]
    if len(strict) < 2 or any(b <= a for a, b in pairwise(strict)):
        raise ValueError(
            f"the model's {len(table)} sigmas do not increase from {table[0]:g} to {table[-1]:g}; "
            "the node that changed its sampling (ModelSampling...) made a table that no sampler can use"
        )
    return strict
