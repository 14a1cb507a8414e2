"""Safetensors files with JSON text beside the numbers; reading one runs nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

Tensor = torch.Tensor


def write_file(where: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Writes a file whole or not at all, its folder made; returns where."""
    from safetensors.torch import save_file

    where.parent.mkdir(parents=True, exist_ok=True)
    unfinished = where.with_name(f".{where.name}.{os.getpid()}")
    try:
        save_file({name: each.contiguous() for name, each in tensors.items()}, unfinished, metadata=dict(metadata))
        unfinished.replace(where)
    finally:
        unfinished.unlink(missing_ok=True)
    return where


def read_file(where: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """(metadata, tensors) of a file; ValueError for what is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(where, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{where} is damaged, or no safetensors file: {error}") from error
