"""Noise with a contract: what is added between two levels depends on the seed, the sample and the two levels alone.

So a sample is the same in a batch and alone, in one run and in two halves, and whatever else the run does. A source is
a callable (start, end, like) -> standard normal tensor shaped and typed like `like` [B, ...], fresh for each pair of
levels. Hosts that have a noise of their own hand one in.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from .level import Level
from .names import nearest

Tensor = torch.Tensor


class NoiseSource(Protocol):
    def __call__(self, start: Level, end: Level, like: Tensor) -> Tensor:
        """Standard normal noise for the step from `start` to `end`, shaped and typed like `like`."""


def key(*parts: float) -> int:
    """64 bits that depend on every bit of the numbers: neighbouring seeds and levels give unrelated streams."""
    packed = struct.pack(f"<{len(parts)}d", *parts)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")


def _seeds(seed: int | Sequence[int], batch: int) -> list[tuple[int, int]]:
    """(seed, index) of each sample: one seed for all, told apart by their index, or one seed each."""
    if isinstance(seed, int):
        return [(seed, index) for index in range(batch)]
    if len(seed) != batch:
        raise ValueError(f"got {len(seed)} seeds for a batch of {batch}; give one seed, or one for each sample")
    return [(each, 0) for each in seed]


def _halves(seed: int) -> tuple[float, float]:
    # a float64 holds 53 bits; seeds of hosts have 64
    return float(seed >> 32), float(seed & 0xFFFFFFFF)


def _drawn(device: str | None) -> Callable[[int | Sequence[int]], NoiseSource]:
    def make(seed: int | Sequence[int]) -> NoiseSource:
        def noise(start: Level, end: Level, like: Tensor) -> Tensor:
            where = torch.device(device) if device else like.device
            out = torch.empty_like(like)
            for i, (each, index) in enumerate(_seeds(seed, len(like))):
                generator = torch.Generator(where)
                generator.manual_seed(key(*_halves(each), index, start.host, end.host))
                # float32 whatever the type of the state, so that half precision sees the same noise
                drawn = torch.randn(like.shape[1:], generator=generator, device=where, dtype=torch.float32)
                out[i].copy_(drawn)
            return out

        return noise

    return make


#: of the trees; a shorter part of a cell is left out, and a step shorter than `_RESOLVED` is no part of the path
_TOLERANCE = 1e-6
_RESOLVED = 1e-4


def _brownian(seed: int | Sequence[int]) -> NoiseSource:
    """Increments of one Brownian path per sample: the same path whatever the levels are.

    With eta 1 the noise between two levels is an increment of B(u), u = (alpha/sigma)^2 = 1/rho^2. Each doubling of u
    has a tree of its own (torchsde), so that the path needs no range, and a step touches one or two of them.
    """
    unresolved = SOURCES["cpu"](seed)

    def noise(start: Level, end: Level, like: Tensor) -> Tensor:
        from torchsde import BrownianTree

        u, stop = start.rho**-2, end.rho**-2
        if stop - u < _RESOLVED * stop:
            return unresolved(start, end, like)
        cells = range(math.floor(math.log2(u)), math.ceil(math.log2(stop)))
        out = torch.empty_like(like)
        still = torch.zeros(like.shape[1:], dtype=torch.float32)
        for i, (each, index) in enumerate(_seeds(seed, len(like))):
            total = still.clone()
            for cell in cells:
                a, b = 2.0**cell, 2.0 ** (cell + 1)
                # in units of the cell, so that the tree's tolerance is relative
                tree = BrownianTree(0.0, still, 1.0, entropy=key(*_halves(each), index, cell), tol=_TOLERANCE)
                begin, stops = (max(u, a) - a) / (b - a), (min(stop, b) - a) / (b - a)
                if stops - begin > _TOLERANCE:
                    total.add_(tree(begin, stops), alpha=math.sqrt((b - a) / (stop - u)))
            out[i].copy_(total)
        return out

    return noise


#: name -> what makes a source from a seed
SOURCES: dict[str, Callable[[int | Sequence[int]], NoiseSource]] = {
    "cpu": _drawn("cpu"),
    "device": _drawn(None),
    "brownian": _brownian,
}


def noise_source(name: str, seed: int | Sequence[int] = 0) -> NoiseSource:
    """A source by name. ValueError for an unknown one.

    cpu       drawn on the CPU in float32: the same on every device and in every precision
    device    drawn where the state is: faster there, the same on one kind of device
    brownian  increments of a path that does not depend on the number of steps
    """
    if name not in SOURCES:
        raise ValueError(nearest("noise", name, SOURCES))
    return SOURCES[name](seed)
