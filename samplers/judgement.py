"""Whether one plan is better than another, on samples that neither was made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Errors = NDArray[np.float64]

_RESAMPLES = 2000


def medians(errors: Errors) -> Errors:
    """Of the last dimension."""
    middle: Errors = np.median(errors, axis=-1)
    return middle


def geometric_means(errors: Errors) -> Errors:
    """Of the last dimension. Pairs cancel in a ratio of these: its interval is narrower than that of medians."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle: Errors = np.exp(np.log(errors).mean(axis=-1))
    return middle


@dataclass(frozen=True)
class Gain:
    """tuned/untuned error in the middle, with the ends of its paired-bootstrap 90 % interval. Below 1 is better."""

    ratio: float
    low: float
    high: float

    @property
    def proven(self) -> bool:
        """Whether all of the interval is a gain."""
        return self.high < 1.0

    @property
    def open(self) -> bool:
        """Whether the interval says neither that the one is better nor that the other is."""
        return self.low <= 1.0 <= self.high

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f}..{self.high:.2f})"


def gain(tuned: Errors, untuned: Errors, seed: int = 0, middle: Callable[[Errors], Errors] = medians) -> Gain:
    """Compares errors [S] of the same samples: pairs are drawn, S of them with replacement, 2000 times (Efron 1979).

    middle   of errors [..., S] over the last dimension
    """
    if tuned.shape != untuned.shape or tuned.ndim != 1 or not len(tuned):
        raise ValueError(f"got errors of shapes {tuned.shape} and {untuned.shape}, expected one a sample of both")
    drawn = _drawn(len(tuned), seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = middle(tuned[drawn]) / middle(untuned[drawn])
        whole = float(middle(tuned) / middle(untuned))
    # 0/0: both are exact, and neither is better
    ratios = np.nan_to_num(ratios, nan=1.0, posinf=np.inf)
    return Gain(1.0 if np.isnan(whole) else whole, *_ends(ratios))


def interval(errors: Errors, seed: int = 0) -> tuple[float, float]:
    """The ends of the bootstrap 90 % interval of the median of errors [S], drawn as `gain` draws them."""
    return _ends(medians(errors[_drawn(len(errors), seed)]))


def _ends(resampled: Errors) -> tuple[float, float]:
    """The 5th and 95th of a hundred; values that occur, since between two infinite ones there is no number."""
    values = np.sort(resampled)
    last = len(values) - 1
    return float(values[round(0.05 * last)]), float(values[round(0.95 * last)])


def _drawn(samples: int, seed: int) -> NDArray[np.int64]:
    """Indices of the samples, drawn with replacement: [resamples, samples]."""
    return np.random.default_rng(seed).integers(samples, size=(_RESAMPLES, samples))
