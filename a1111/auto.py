"""What `auto` goes by in a run of the host, and what it took: both are on the host's processing object `p`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..samplers.auto import AUTO
from .words import ATTRIBUTE, KEY

_DRAWING: ContextVar[Any] = ContextVar("fewstep_drawing", default=None)
#: (key of the infotext, attribute of `p`) of a run, or of its first pass, and of the second pass of hires fix
_FIRST, _SECOND = ((KEY + name, ATTRIBUTE + name.replace(" ", "_")) for name in (AUTO, f"hires {AUTO}"))


@contextmanager
def drawing_for(p: Any) -> Iterator[None]:
    """While the host draws levels for a sampler of ours: it does not tell a schedule's function for whom."""
    token = _DRAWING.set(p)
    try:
        yield
    finally:
        _DRAWING.reset(token)


def drawn_for() -> Any:
    """The `p` whose levels are being drawn; None where a sampler of the host asks for them."""
    return _DRAWING.get()


def guidance_of(p: Any) -> float:
    """The host's CFG scale; Forge and reForge have another for the second pass of hires fix. 1 where `p` is None."""
    scale = getattr(p, "hr_cfg", None) if getattr(p, "is_hr_pass", False) else None
    return float(getattr(p, "cfg_scale", 1.0) if scale is None else scale)


def note(p: Any, **taken: str) -> None:
    """Adds what was taken, schedule= and then solver=, to the infotext."""
    parameters = getattr(p, "extra_generation_params", None)
    if parameters is None:
        return
    key, place = _SECOND if getattr(p, "is_hr_pass", False) else _FIRST
    known = {**getattr(p, place, {}), **taken}
    setattr(p, place, known)
    parameters[key] = " on ".join(known[name] for name in ("solver", "schedule") if name in known)


def noted(p: Any) -> str:
    """What the infotext says of the first pass; empty where nothing was taken."""
    return str(p.extra_generation_params.get(_FIRST[0], ""))


def forget(p: Any) -> None:
    """Before a run: a copy of `p` shares the infotext's parameters with the run before (X/Y/Z plot)."""
    parameters = getattr(p, "extra_generation_params", None)
    if parameters is None:
        return
    for key, place in (_FIRST, _SECOND):
        parameters.pop(key, None)
        vars(p).pop(place, None)
