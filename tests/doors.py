"""One function of (x, sigma) that stands in the place of the model in every door: there the doors must agree."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch


def answer(x, sigma):
    """A nonlinear x0; no types in its text, which is also run in hosts' processes."""
    return torch.tanh(1.5 * x / (1.0 + sigma.view(-1, *[1] * (x.ndim - 1)) ** 2).sqrt() + 0.2)


SOURCE = inspect.getsource(answer)


def python_door(x: torch.Tensor, sigmas: Sequence[float], solver: str, frame: str, **options: Any) -> torch.Tensor:
    import fewstep

    return fewstep.sample(answer, x, sigmas, solver=solver, frame=frame, **options)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """RMS of a - b relative to that of b."""
    return float((a - b).double().norm() / b.double().norm())
