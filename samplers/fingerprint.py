"""A model's answers at fixed places, by which a profile knows what it was made for.

They are compared and not hashed, since they differ in the last digits between devices and types. They depend on the
prompt and the guidance as much as on the network: on the demo networks another class moves them by 30 to 180 percent,
half the guidance by 10 to 80. So a model is asked with the conditions that it was tuned with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .level import Frame
from .noise_range import NoiseRange
from .run import Model
from .samples import Samples, Work

Tensor = torch.Tensor

_SEED = 20240229
_NUMBERS = 64
#: shares of the way in t = sigma/(alpha + sigma): in the middle, where answers say most of a model
_PLACES = (0.35, 0.5, 0.65)
#: relative distance of one model's answers in bfloat16 and float32: 0.02 at most on the demo networks
_SAME = 0.05


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """answers [places, numbers], float64: numbers of the denoised probe of `shape`, thinned evenly, at `sigmas`."""

    shape: tuple[int, ...]
    sigmas: tuple[float, ...]
    answers: Tensor

    def distance(self, other: Fingerprint) -> float:
        """Relative distance of another's answers to the same probe."""
        return float((other.answers - self.answers).norm() / self.answers.norm())

    def same(self, other: Fingerprint) -> bool:
        """Whether another's answers to the same probe are the same but for rounding."""
        return self.distance(other) <= _SAME


def fingerprint(samples: Samples, where: NoiseRange) -> Work[Fingerprint]:
    """That of the model that samples ask, with the arguments of the first of them."""
    first = samples.taken(0, 1)
    shape, sigmas = tuple(first.x.shape[1:]), probe_sigmas(where)
    extra = first.arguments(slice(0, 1))
    found = ask(first.asking, where.frame, shape, sigmas, extra, first.device, first.x.dtype)
    yield len(sigmas)
    return found


def probe_sigmas(where: NoiseRange) -> tuple[float, ...]:
    """Host sigmas at which a model of this range is asked."""
    top, low = (where.frame.level(host) for host in (where.sigma_max, where.sigma_min))
    start, stop = (level.sigma / (level.alpha + level.sigma) for level in (top, low))
    times = [start + share * (stop - start) for share in _PLACES]
    return tuple(where.frame.level_at_lam(math.log1p(-t) - math.log(t)).host for t in times)


def ask(
    model: Model,
    frame: Frame,
    shape: Sequence[int],
    sigmas: Sequence[float],
    extra_args: Mapping[str, Any],
    device: torch.device | str,
    dtype: torch.dtype,
) -> Fingerprint:
    """A model's fingerprint: a call with one sample at each of the sigmas."""
    generator = torch.Generator().manual_seed(_SEED)
    probe = torch.randn(1, *shape, generator=generator)
    rows = []
    for host in sigmas:
        x = (frame.level(host).sigma * probe).to(device, dtype)
        wide = torch.promote_types(dtype, torch.float32)
        with torch.no_grad():
            denoised = model(x, torch.full((1,), host, device=device, dtype=wide), **extra_args)
        flat = denoised.to("cpu", torch.float64).flatten()
        step = -(-len(flat) // _NUMBERS)
        rows.append(flat[::step])
    return Fingerprint(tuple(shape), tuple(sigmas), torch.stack(rows))
