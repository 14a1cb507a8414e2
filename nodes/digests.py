"""Digests of tensors, to tell whether something is what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def digest(named: Iterable[tuple[str, Tensor]]) -> str:
    """A digest of tensors of any type and device, with their names and shapes."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in named:
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # bytes of any dtype: numpy knows no bfloat16
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def tensors_in(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested lists and mappings, such as conditions, by its place; other objects are passed over."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from tensors_in(each, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, each in enumerate(value):
            yield from tensors_in(each, f"{name}.{i}")
