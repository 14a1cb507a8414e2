"""Whether one plan is better than another, on samples that neither was made with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


@dataclass(frozen=True)
class Gain:
    """tuned/untuned error, with the ends of a 90 % interval. Below 1 is better."""

    ratio: float
    low: float
    high: float

    def proven(self, ratio: float = 1.0) -> bool:
        """Whether all of the interval lies below a ratio: with 1, whether it is a gain."""
        return self.high < ratio

    @property
    def open(self) -> bool:
        """Whether the interval says neither that the one is better nor that the other is."""
        return self.low <= 1.0 <= self.high

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f}..{self.high:.2f})"


def gain(tuned: NDArray[np.float64], untuned: NDArray[np.float64], seed: int = 0) -> Gain:
    """Compares the medians of errors [S] of the same samples, with their paired-bootstrap 90 % interval.

    Pairs are drawn, S of them with replacement, 2000 times (Efron 1979).
    """
    if tuned.shape != untuned.shape or tuned.ndim != 1 or not len(tuned):
        raise ValueError(f"got errors of shapes {tuned.shape} and {untuned.shape}, expected one a sample of both")
    drawn = _drawn(len(tuned), seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.median(tuned[drawn], axis=1) / np.median(untuned[drawn], axis=1)
        whole = float(np.median(tuned) / np.median(untuned))
    # 0/0: both are exact, and neither is better
    ratios = np.nan_to_num(ratios, nan=1.0, posinf=np.inf)
    return Gain(1.0 if np.isnan(whole) else whole, *_ends(ratios))


def mean_gain(tuned: NDArray[np.float64], untuned: NDArray[np.float64]) -> Gain:
    """The geometric mean of tuned/untuned over errors [S] of the same samples, with Student's 90 % interval.

    What pairs have in common cancels in it, as it does not in medians, so that it shows smaller gains. Errors of 0 and
    inf have no logarithm; where there are any it is `gain`.
    """
    from scipy.special import stdtrit

    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(tuned) - np.log(untuned) if tuned.shape == untuned.shape else np.empty(0)
    count = len(logs)
    if count < 2 or not np.isfinite(logs).all():
        return gain(tuned, untuned)
    middle, half = logs.mean(), stdtrit(count - 1, 0.95) * logs.std(ddof=1) / np.sqrt(count)
    return Gain(*(float(np.exp(value)) for value in (middle, middle - half, middle + half)))


def interval(errors: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """The ends of the bootstrap 90 % interval of the median of errors [S], drawn as `gain` draws them."""
    return _ends(np.median(errors[_drawn(len(errors), seed)], axis=1))


def _ends(resampled: NDArray[np.float64]) -> tuple[float, float]:
    """The 5th and 95th of a hundred; values that occur, since between two infinite ones there is no number."""
    values = np.sort(resampled)
    last = len(values) - 1
    return float(values[round(0.05 * last)]), float(values[round(0.95 * last)])


def _drawn(samples: int, seed: int) -> NDArray[np.int64]:
    """Indices of the samples, drawn with replacement: [resamples, samples]."""
    return np.random.default_rng(seed).integers(samples, size=(_RESAMPLES, samples))
