"""Which calls of which plan a sampling node makes: the whole run, or its part of one that several nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..samplers.level import Frame
from ..samplers.plan import Plan
from ..samplers.run import Memory, history_needed
from .history import carried
from .host_sampler import Choice, Piece


@dataclass(frozen=True)
class Part:
    """Calls start..end - 1 of the schedule (as KSamplerAdvanced counts its steps), and what happens at the two ends."""

    start: int
    end: int
    add_noise: bool
    keep_noise: bool


@dataclass(frozen=True)
class Work:
    """A part, decided.

    piece   what is run
    sigmas  the levels that the host is given: they scale the noise and count the progress
    shown   the plan to draw, and the `span` of its calls that are made here
    shared  whether `shown` is the plan of the whole schedule, which a further part can go on with
    masked  samples and noise that the host is given instead of the latent and its noise, see `history.Record`
    note    what became of the history, for the report; empty for an unsplit run
    """

    piece: Piece
    sigmas: list[float]
    shown: Plan
    span: tuple[int, int]
    shared: bool
    masked: tuple[Any, Any] | None
    note: str


def choose(
    choice: Choice,
    levels: list[float],
    frame: Frame,
    part: Part,
    latent: Mapping[str, Any] | None = None,
    model: Any = None,
) -> Work | None:
    """The work of a part; None when it makes no call. ValueError names the input that is wrong.

    Without a latent (to draw a part before it runs) a history is taken to come with it.

    A part that begins and ends between two steps is cut out of the plan of the whole schedule, so that its predictions
    can be handed on. Otherwise (the end inside a step of several calls, a forced end at sigma 0, no history) it is a
    run of its own on its levels.
    """
    n = max(len(levels) - 1, 0)
    start, end = part.start, min(part.end, n)
    if start >= end:
        return None
    sigmas = levels[start : end + 1]
    forced = end < n and not part.keep_noise
    if forced:
        sigmas[-1] = 0.0
    whole = choice.plan(levels, frame)
    piece, masked, note = _piece(choice, whole, start, end, forced, part, latent, model)
    if piece is not None:
        return Work(piece, sigmas, whole, (start, end), True, masked, note)
    own = choice.plan(sigmas, frame)
    if start and not part.add_noise and latent and latent.get("noise_mask") is not None:
        note += "; what the noise mask leaves out keeps the noise that it came with"
    return Work(Piece(own, 0, len(own), Memory()), sigmas, own, (0, len(own)), False, None, note)


def _piece(
    choice: Choice,
    whole: Plan,
    start: int,
    end: int,
    forced: bool,
    part: Part,
    latent: Mapping[str, Any] | None,
    model: Any,
) -> tuple[Piece | None, tuple[Any, Any] | None, str]:
    """(the piece of the whole plan, None for a run of its own; samples and noise of the first part; the report's note).

    The record of the first part is also used where no history is needed: it holds the very state, and what a noise mask
    asks for. forced: the part goes to sigma 0 from its last call, before the schedule does.
    """
    if forced:
        note = "it ends at sigma 0 before the schedule does: this part is a run of its own"
        return None, None, note if start else ""
    if not (whole.opens(start) and whole.opens(end)):
        return None, None, "the cut lies inside a step of several calls: this part is a run of its own"
    if start == 0:
        return Piece(whole, start, end, Memory()), None, ""
    if part.add_noise:
        return None, None, "noise is added, so this part starts anew"
    if latent is None:
        return Piece(whole, start, end, Memory()), None, ""
    record, note = carried(latent, whole, choice.cfg_pp, start, model.model)
    if record is not None:
        return Piece(whole, start, end, Memory(record.memory), record.state, record.seed), record.masked, note
    if latent.get("noise_mask") is None and not history_needed(whole, start):
        return Piece(whole, start, end, Memory()), None, "no history is needed at this cut: the parts are one run"
    return None, None, note
