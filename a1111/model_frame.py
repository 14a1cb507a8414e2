"""From the host's denoiser to a frame: the state convention, and the model's own time.

A denoiser is what the host calls `model_wrap`: k-diffusion's wrapper around the network, with its table `sigmas`. Its
properties sigma_min and sigma_max are not touched: Forge's raise TypeError (k_diffusion/external.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..samplers.level import ONE, Frame
from ..samplers.level import frame as make_frame
from ..samplers.times import CosineVP, FlowShift, LogSigma, Table, TimeMap


def frame_of(denoiser: Any) -> Frame:
    """`flow` for a model whose noise the host mixes as (1 - sigma) x0 + sigma noise, otherwise `ve`.

    ValueError for a model whose table of sigmas no sampler can use.
    """
    table = [float(value) for value in denoiser.sigmas.tolist()]  # one read-back
    predictor = getattr(denoiser, "predictor", None)
    if predictor is None:
        # A1111 and reForge; A1111 asks a model for the same attribute before it adds noise
        flow = hasattr(denoiser.inner_model, "add_noise_to_latent")
        model = denoiser.inner_model
    else:
        flow, model = predictor.prediction_type == "const", predictor
    flow = flow and table[-1] <= ONE
    return make_frame("flow" if flow else "ve", _time(model, table, flow))


#: class of Forge's backend.modules.k_prediction -> its time map; other models are tables
_TIMES: dict[str, Callable[[Any, list[float]], TimeMap]] = {
    "PredictionFlux": lambda model, table: FlowShift(math.exp(model.mu), 1.0 / len(table)),
    "PredictionFlow": lambda model, table: FlowShift(float(model.shift), 1.0 / len(table)),
    "PredictionDiscreteFlow": lambda model, table: FlowShift(float(model.shift), 1.0 / len(table)),
    "PredictionEDM": lambda model, table: LogSigma(math.log(table[0]), math.log(table[-1])),
    "PredictionContinuousEDM": lambda model, table: LogSigma(math.log(table[0]), math.log(table[-1])),
    # t = (2/pi) atan(sigma) is the cosine schedule without its offset
    "PredictionContinuousV": lambda model, table: CosineVP(
        0.0, CosineVP(0.0).time(table[0]), CosineVP(0.0).time(table[-1])
    ),
    # A1111's SD3
    "SD3Inferencer": lambda model, table: FlowShift(float(model.shift), 1.0 / len(table)),
}


def _time(model: Any, table: list[float], flow: bool) -> TimeMap:
    make = _TIMES.get(type(model).__name__)
    if make is not None:
        return make(model, table)
    return Table(tuple(_increasing([min(value, 1.0) for value in table] if flow else table)))


def _increasing(table: list[float]) -> list[float]:
    """The table with each run of equal values replaced by a log-linear rise to the next one.

    Rounded tables have such runs: A1111's use_downcasted_alpha_bar (half precision) with its zero terminal SNR makes
    some at both ends. Those at the upper end are infinite there, and a Table refuses them.
    """
    starts = [i for i, value in enumerate(table) if i == 0 or value != table[i - 1]]
    if len(starts) < 2 or table[0] <= 0 or any(table[b] <= table[a] for a, b in pairwise(starts)):
        raise ValueError(
            f"the model's {len(table)} sigmas do not increase from {table[0]:g} to {table[-1]:g}; "
            "an extension or a setting made a table that no sampler can use"
        )
    out: list[float] = []
    for a, b in pairwise(starts):
        rise = math.log(table[b] / table[a]) / (b - a)
        out += [table[a], *(table[a] * math.exp(rise * i) for i in range(1, b - a))]
    return [*out, table[-1]]
