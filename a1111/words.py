"""The names under which solvers and schedules stand in this host family's menus."""

from __future__ import annotations

from ..samplers.schedules import Schedule
from ..samplers.solvers import Solver

TITLE = "Fewstep"
#: before a name in the infotext, where another extension may use the same word
KEY = "Fewstep "
#: before an attribute of the host's processing object
ATTRIBUTE = "fewstep_"

#: The hosts cut the name of a schedule from the end of a sampler's name ("DPM++ 2M Karras"), and DDIM is one.
_LABELS = {"ddim": "DDIM solver"}


def sampler_label(row: Solver) -> str:
    return f"{TITLE} {_LABELS.get(row.id, row.label)}"


def schedule_name(id: str) -> str:
    return f"{ATTRIBUTE}{id}"


def schedule_label(row: Schedule) -> str:
    return f"{TITLE} {row.label}"
