"""The history of a multistep method, carried from one sampling node to the next inside the LATENT.

A LATENT is a dictionary; ours travels under KEY beside "samples". Nodes between the two copy the dictionary and change
the samples, so the record holds a fingerprint of what it belongs to and is dropped when that no longer fits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..samplers.plan import Call, Plan
from ..samplers.run import history_needed
from .digests import digest
from .host_sampler import Piece

KEY = "fewstep_history"


@dataclass(frozen=True)
class Record:
    """What calls 0..at - 1 of a plan left behind, and to what it belongs.

    state   what the solver goes on from: the latent as the model sees it, before the host scales it for the way
    memory  the remembered predictions, newest first
    masked  under a noise mask: (samples, noise) of the first part, from which the host makes what the mask leaves out
    seed    of the noise that is added on the way
    model   a weak reference; it does not travel to another process, and the method then starts anew
    """

    fingerprint: str
    calls: tuple[Call, ...]
    cfg_pp: bool
    at: int
    state: Tensor
    memory: tuple[tuple[Tensor, float], ...]
    masked: tuple[Any, Any] | None
    seed: int | None
    model: Callable[[], Any]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "model": _no_model}

    def __deepcopy__(self, memo: Any) -> Record:
        return self  # nothing in it is ever changed, and a copy in this process keeps its model


def _no_model() -> None:
    """In the place of a reference that was pickled."""


def fingerprint(latent: Mapping[str, Any]) -> str:
    """A digest of the samples and the noise mask of a LATENT."""
    return digest((name, tensor) for name in ("samples", "noise_mask") for tensor in _tensors(latent.get(name)))


def _tensors(value: Any) -> list[Tensor]:
    if value is None:
        return []
    return list(value.unbind()) if getattr(value, "is_nested", False) else [value]


def carry(latent: dict[str, Any], piece: Piece, cfg_pp: bool, masked: tuple[Any, Any] | None, model: Any) -> None:
    """Puts into a LATENT what a piece that was run left behind; its tensors move to where the samples are."""
    if piece.state is None:
        raise ValueError("the piece was not run")
    device = _tensors(latent["samples"])[0].device
    kept = list(piece.history)[: history_needed(piece.plan, piece.end)]
    latent[KEY] = Record(
        fingerprint(latent),
        piece.plan.calls,
        cfg_pp,
        piece.end,
        piece.state.to(device),
        tuple((tensor.to(device), factor) for tensor, factor in kept),
        masked,
        piece.seed,
        weakref.ref(model),
    )


def carried(latent: Mapping[str, Any], plan: Plan, cfg_pp: bool, at: int, model: Any) -> tuple[Record | None, str]:
    """(the record that a run beginning at call `at` goes on from, or None; one sentence for the report)."""
    record = latent.get(KEY)
    if record is None:
        return None, "no history came with the latent: the method starts anew"
    for wrong, reason in (
        (record.calls != plan.calls, "the plan of the first part was another one"),
        (record.cfg_pp != cfg_pp, "cfg_pp was switched in between"),
        (record.at != at, f"the first part ended before call {record.at + 1}, this one begins at call {at + 1}"),
        (record.model() is not model, "the model is another one"),
        (record.fingerprint != fingerprint(latent), "the latent was changed in between"),
    ):
        if wrong:
            return None, f"history dropped, {reason}: the method starts anew"
    return record, "history carried over: the parts are one run"
