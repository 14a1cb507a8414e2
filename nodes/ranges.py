"""The ranges of noise levels that the plot on a node is drawn on: assumed ones, and those of models that were seen."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..samplers.level import FRAMES, Frame, frame
from ..samplers.names import nearest
from ..samplers.times import FlowShift, LogSigma, sigma_range


@dataclass(frozen=True)
class Range:
    """A frame, its time map included, under a name that the page and the server both know."""

    id: str
    label: str
    frame: Frame
    assumed: bool

    def facts(self) -> dict[str, Any]:
        return {"id": self.id, "label": self.label, "assumed": self.assumed}


def _row(id: str, label: str, name: str, time: Any) -> Range:
    return Range(id, label, frame(name, time), True)


#: what a node is drawn on before it has run
ASSUMED = {
    row.id: row
    for row in (
        _row("sd", "SD 1.5, SDXL (0.029-14.6)", "ve", "scaled_linear"),
        _row("zero_snr", "v, zero SNR (0.029-4519)", "ve", "zero_snr"),
        _row("edm", "EDM (0.002-80)", "ve", LogSigma()),
        _row("flow_3", "flow, shift 3 (SD3)", "flow", FlowShift(3.0)),
        _row("flow", "flow, no shift", "flow", FlowShift(1.0)),
        _row("flux", "Flux, mu 1.15", "flow", FlowShift(math.exp(1.15), 1e-4)),
    )
}
AUTO = "auto"
_MOST = 64
_seen: OrderedDict[str, Range] = OrderedDict()


def see(where: Frame) -> Range:
    """The range of a model that was sampled, to be found again by its id."""
    low, high = sigma_range(where.time)
    text = f"{where.name} {where.time!r} {low!r} {high!r}"
    id = "seen-" + hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    found = Range(id, f"{where.name}, the model's levels ({low:.3g}-{high:.3g})", where, False)
    _seen[id] = found
    _seen.move_to_end(id)
    while len(_seen) > _MOST:
        _seen.popitem(last=False)
    return found


def find(id: Any, frames: Collection[str] = FRAMES) -> Range:
    """The range of an id. `auto`, and a seen one that the server has forgotten, is the first in one of the frames."""
    if not isinstance(id, str):
        raise ValueError(f"range: got {id!r}, expected a name")
    if id in ASSUMED:
        return ASSUMED[id]
    found = _seen.get(id)  # in one step: the route and the sampling node may be in two threads
    if found is not None:
        return found
    if id != AUTO and not id.startswith("seen-"):
        raise ValueError(nearest("range", id, (AUTO, *ASSUMED)))
    return next((row for row in ASSUMED.values() if row.frame.name in frames), ASSUMED["sd"])
