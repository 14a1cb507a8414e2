"""What a network is asked at a noise level: its scaled input and its time label, as tensors.

`times.py` maps one sigma on the host, before sampling; here sigma is a tensor, perhaps on a GPU, never read back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .level import Frame
from .level import frame as frame_of
from .names import nearest
from .times import EDM, ContinuousVP, CosineVP, FlowShift, LogSigma, RectifiedVE, Table, TimeMap

LabelFunction = Callable[[Tensor], Tensor]


def work_dtype(x: Tensor) -> torch.dtype:
    """The type in which latents of x's type are combined: float32, or float64 for float64."""
    return torch.promote_types(x.dtype, torch.float32)


def per_sample(sigma: Tensor | float, x: Tensor) -> Tensor:
    """sigma[B] on x's device, at least as fine as float32. One level (0-dim or a number) serves the whole batch.

    Raises ValueError for any other shape.
    """
    if not isinstance(sigma, Tensor):
        sigma = torch.full((), sigma, dtype=work_dtype(x), device=x.device)
    if x.dim() < 1 or sigma.dim() > 1 or (sigma.dim() == 1 and sigma.shape != x.shape[:1]):
        raise ValueError(
            f"got sigma of shape {tuple(sigma.shape)} for x of shape {tuple(x.shape)}, expected one level per sample, "
            "sigma[B]; use sigma.expand(len(x)) or a 0-dim sigma where all samples share a level"
        )
    level = sigma.to(device=x.device, dtype=torch.promote_types(sigma.dtype, work_dtype(x)))
    return level.expand(len(x))


def spread(values: Tensor, x: Tensor) -> Tensor:
    """values[B] as [B, 1, ...], in x's working type, to be multiplied with x."""
    return values.to(work_dtype(x)).reshape(-1, *[1] * (x.dim() - 1))


def stretch(rho: Tensor) -> Tensor:
    """1/alpha = sqrt(1 + rho^2) of a variance-preserving state."""
    return torch.hypot(torch.ones_like(rho), rho)


@lru_cache(maxsize=64)
def _table_tensors(table: Table, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    logs = torch.tensor([math.log(sigma) for sigma in table.sigmas], dtype=torch.float64)
    # the slopes come from differences of nearly equal numbers, so they are rounded last
    return logs.to(dtype).to(device), (1.0 / logs.diff()).to(dtype).to(device)  # some devices have no float64


def _table_time(time: Table, sigma: Tensor) -> Tensor:
    logs, slopes = _table_tensors(time, sigma.dtype, sigma.device)
    value = sigma.log()
    i = (torch.searchsorted(logs, value, right=True) - 1).clamp(0, len(slopes) - 1)
    return i + (value - logs[i]) * slopes[i]


def _continuous_vp_time(time: ContinuousVP, sigma: Tensor) -> Tensor:
    integral = torch.log1p(sigma * sigma)
    growth = time.beta_max - time.beta_min
    return 2.0 * integral / (time.beta_min + (time.beta_min**2 + 2.0 * growth * integral).sqrt())


def _cosine_vp_time(time: CosineVP, sigma: Tensor) -> Tensor:
    start = 0.5 * math.pi * time.s / (1.0 + time.s)
    scaled = sigma / math.cos(start)
    tan_a = math.tan(start)
    tan_b = torch.hypot(torch.full_like(scaled, tan_a), scaled)
    return torch.atan(scaled**2 / ((tan_b + tan_a) * (1.0 + tan_a * tan_b))) * (1.0 + time.s) * 2.0 / math.pi


def _edm_time(time: EDM, sigma: Tensor) -> Tensor:
    return sigma


def _flow_time(time: FlowShift, sigma: Tensor) -> Tensor:
    return sigma / (sigma + time.shift * (1.0 - sigma))


_TIMES: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Table: _table_time,
    ContinuousVP: _continuous_vp_time,
    CosineVP: _cosine_vp_time,
    EDM: _edm_time,
    LogSigma: lambda time, sigma: sigma.log(),
    RectifiedVE: lambda time, sigma: sigma / (1.0 + sigma),
    FlowShift: _flow_time,
}


def tensor_time(time: TimeMap, sigma: Tensor) -> Tensor:
    """`time.time(sigma)` for a tensor of sigmas of float32 or float64, without leaving its device.

    Raises ValueError for a kind of time map that has no tensor form.
    """
    if type(time) not in _TIMES:
        known = ", ".join(sorted(kind.__name__ for kind in _TIMES))
        raise ValueError(
            f"got a {type(time).__name__}, but the time map must be one of {known} to be computed on the device; "
            "give label= a function from sigma[B] to the network's label[B]"
        )
    return _TIMES[type(time)](time, sigma)


def _nearest_index(time: TimeMap, sigma: Tensor) -> Tensor:
    # int64, so that networks with an embedding table can look it up, and never outside of that table
    return tensor_time(time, sigma).round().clamp(0.0, time.t_max).to(torch.int64)


_LABELS: dict[str, Callable[[TimeMap, Tensor], Tensor]] = {
    "continuous": tensor_time,
    "rounded": _nearest_index,
    "sigma": lambda time, sigma: sigma,
    "log_sigma": lambda time, sigma: sigma.log(),
}


@dataclass(frozen=True)
class _Native:
    """Defaults for networks trained in one frame."""

    label: str
    scale: float


#: A flow network's label is its own (shifted) sigma; trained on 1000 steps, it counts in thousandths (SD3, Flux).
_NATIVES = {"vp": _Native("continuous", 1.0), "ve": _Native("sigma", 1.0), "flow": _Native("sigma", 1000.0)}

#: (frame of the state, frame of the network's training) -> factor from the state to the network's input
_SCALES: dict[tuple[str, str], Callable[[Tensor], Tensor] | None] = {
    ("ve", "vp"): lambda rho: 1.0 / stretch(rho),
    ("ve", "ve"): None,
    ("vp", "vp"): None,
    ("vp", "ve"): stretch,
    ("flow", "flow"): None,
}


@dataclass(frozen=True)
class Inputs:
    """Maps a state x and its sigma[B] to what the network takes: (input, label[B]). Made by `network_inputs`."""

    frame: Frame
    native: str
    label: LabelFunction

    def __call__(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        scale = _SCALES[self.frame.name, self.native]
        label = self.label(sigma)
        if label.is_floating_point():
            label = label.to(work_dtype(x))
        return x if scale is None else (x * spread(scale(sigma), x)).to(x.dtype), label


def network_inputs(
    frame: str | Frame,
    time: str | TimeMap | Sequence[float] | None = None,
    native: str | None = None,
    label: str | LabelFunction | None = None,
    label_scale: float | None = None,
) -> Inputs:
    """The inputs of a network; `models.wrap` explains the arguments. ValueError for what does not fit together."""
    where = frame_of(frame, time)
    native = native or ("flow" if where.name == "flow" else "vp")
    if native not in _NATIVES:
        raise ValueError(nearest("native frame", native, _NATIVES))
    if (where.name, native) not in _SCALES:
        fitting = " or ".join(repr(state) for state, trained in _SCALES if trained == native)
        raise ValueError(
            f"a network with native={native!r} cannot be asked in frame {where.name!r}; use frame={fitting}"
        )
    if callable(label):
        function, default = label, 1.0
    else:
        kind = label or _NATIVES[native].label
        function, default = _named_label(kind, where.time), _NATIVES[native].scale
    scale = default if label_scale is None else float(label_scale)
    return Inputs(where, native, function if scale == 1.0 else lambda sigma: function(sigma).to(sigma.dtype) * scale)


def _named_label(kind: str, time: TimeMap) -> LabelFunction:
    if kind not in _LABELS:
        raise ValueError(nearest("label", kind, _LABELS))
    if kind == "rounded" and not isinstance(time, Table):
        raise ValueError(
            f"label='rounded' needs a table of sigmas, but the time map is a continuous {type(time).__name__}; "
            "use label='continuous', or give time= the network's table"
        )
    if kind in ("continuous", "rounded"):
        tensor_time(time, torch.ones(1))  # an unknown kind of map is better reported here than in the first call
    read = _LABELS[kind]
    return lambda sigma: read(time, sigma)
