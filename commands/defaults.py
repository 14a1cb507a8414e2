"""What the command line and the demo do where nothing is said: one row for each frame."""

from __future__ import annotations

from dataclasses import dataclass

from ..samplers.auto import AUTO
from ..samplers.names import nearest


@dataclass(frozen=True)
class Defaults:
    """Sampling settings of one frame; guidance is that of the demo network."""

    solver: str
    schedule: str
    calls: int
    guidance: float


DEFAULTS = {
    "ve": Defaults(AUTO, AUTO, 10, 2.0),
    "vp": Defaults(AUTO, AUTO, 10, 2.0),
    "flow": Defaults(AUTO, AUTO, 10, 2.0),
}

_CALLS = "5,8,10,15"
#: frame -> what `fewstep compare` compares: auto, what hosts have, and the papers' best
COMPARED = {
    "vp": (f"auto auto {_CALLS}", f"ddim,dpmpp_2m,dpm_solver_3m,deis_tab2 karras {_CALLS}"),
    "flow": (f"auto auto {_CALLS}", f"flow_ab1,dpmpp_2m,flow_ab2,flow_ab3 beta {_CALLS}"),
}

#: demo network -> the frame that it is sampled in
MODELS = {"vp": "vp", "flow": "flow"}


def defaults_for(frame: str) -> Defaults:
    """The defaults of a frame; ValueError for an unknown one."""
    if frame not in DEFAULTS:
        raise ValueError(nearest("frame", frame, DEFAULTS))
    return DEFAULTS[frame]


def frame_of(model: str) -> str:
    """The frame of a demo network; ValueError for an unknown one."""
    if model not in MODELS:
        raise ValueError(nearest("model", model, MODELS))
    return MODELS[model]
