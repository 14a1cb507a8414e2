"""The history of a multistep method, carried from one sampling node to the next inside the LATENT.

A LATENT is a dictionary; ours travels under KEY beside "samples". Nodes between the two copy the dictionary and change
the samples, so the record holds a fingerprint of what it belongs to and is dropped when that no longer fits.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..samplers.plan import Call, Plan
from ..samplers.run import Memory, history_needed

KEY = "fewstep_history"


@dataclass(frozen=True)
class Record:
    """What calls 0..at - 1 of a plan left behind."""

    fingerprint: str
    calls: tuple[Call, ...]
    at: int
    memory: tuple[tuple[Tensor, float], ...]  # newest first
    model: weakref.ref[Any]


def fingerprint(latent: Mapping[str, Any]) -> str:
    """A digest of the samples and the noise mask of a LATENT."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("samples", "noise_mask"):
        for tensor in _tensors(latent.get(name)):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            # bytes of any dtype: numpy knows no bfloat16
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tensors(value: Any) -> list[Tensor]:
    if value is None:
        return []
    return list(value.unbind()) if getattr(value, "is_nested", False) else [value]


def carry(latent: dict[str, Any], plan: Plan, at: int, memory: Memory, model: Any) -> None:
    """Puts the record into a LATENT that holds the state before call `at`; the tensors move to the samples' device."""
    kept = list(memory)[: history_needed(plan, at)]
    device = _tensors(latent["samples"])[0].device
    latent[KEY] = Record(
        fingerprint(latent),
        plan.calls,
        at,
        tuple((tensor.to(device), factor) for tensor, factor in kept),
        weakref.ref(model),
    )


def carried(latent: Mapping[str, Any], plan: Plan, at: int, model: Any) -> tuple[Memory | None, str]:
    """(what a run that begins at call `at` remembers or None, one sentence for the report)."""
    record = latent.get(KEY)
    if record is None:
        return None, "no history came with the latent: the method starts anew"
    for wrong, reason in (
        (record.calls != plan.calls, "the plan of the first part was another one"),
        (record.at != at, f"the first part ended before call {record.at + 1}, this one begins at call {at + 1}"),
        (record.model() is not model, "the model is another one"),
        (record.fingerprint != fingerprint(latent), "the latent was changed in between"),
    ):
        if wrong:
            return None, f"history dropped, {reason}: the method starts anew"
    return Memory(record.memory), "history carried over: the parts are one run"
