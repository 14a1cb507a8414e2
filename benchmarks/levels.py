"""The levels that solvers are tried on, ours and the samplers of others: all schedules, some with other options too."""

from __future__ import annotations

from collections.abc import Iterator

import fewstep

#: options of schedules that are tried beside their defaults
_MORE: dict[str, list[dict[str, float]]] = {
    "polyexponential": [{"rho": 0.7}],
    "rho_power": [{"power": 3.0}, {"power": 5.0}],
    "flow_shift": [{"shift": 0.5}, {"shift": 1.5}],
    "time_power": [{"kappa": 1.3}],
}


def schedules(frame: str) -> Iterator[tuple[str, dict[str, float]]]:
    """(id, options) of all that a frame has."""
    for id, row in fewstep.schedules().items():
        if frame in row.frames:
            yield from ((id, options) for options in [{}, *_MORE.get(id, [])])
