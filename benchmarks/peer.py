"""What others offer, as the benchmarks run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Tensor = torch.Tensor
#: D(x, sigma): a model in frame ve or flow, sigma a number
Denoiser = Callable[[Tensor, float], Tensor]


def at_most(calls: int, model: Denoiser) -> Denoiser:
    """The model; ValueError where it is asked more often."""
    asked = 0

    def counted(x: Tensor, sigma: float) -> Tensor:
        nonlocal asked
        asked += 1
        if asked > calls:
            raise ValueError(f"makes more than {calls} calls")
        return model(x, sigma)

    return counted


@dataclass(frozen=True)
class Ready:
    """A peer made for a number of calls: host sigmas of its first and last level, and run(model, x) -> x."""

    first: float
    last: float
    run: Callable[[Denoiser, Tensor], Tensor]

    def within(self, calls: int, model: Denoiser, x: Tensor) -> Tensor:
        """The run; ValueError where it asks the model more often."""
        return self.run(at_most(calls, model), x)


@dataclass(frozen=True)
class Peer:
    """library, solver and levels as they are called there; make(n) may raise whatever the library raises."""

    library: str
    solver: str
    levels: str
    make: Callable[[int], Ready]

    def __str__(self) -> str:
        return f"{self.library} {self.solver}, {self.levels}"
