"""The Fréchet distance of two sets of features, and standard errors by resampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Tensor = torch.Tensor
#: resamplings of a bootstrap: its standard error is then itself good to 5 %
RESAMPLED = 200


def frechet(a: Tensor, b: Tensor) -> float:
    """|mean difference|^2 + tr(A + B - 2 (A B)^1/2) for the covariances A, B of features [N, d] (arXiv 1706.08500)."""
    means, covariances = zip(*(moments(each) for each in (a, b)), strict=True)
    return frechet_of_moments(means[0], covariances[0], means[1], covariances[1])


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """(mean [d], covariance [d, d])."""
    return features.mean(0), torch.cov(features.T)


def frechet_of_moments(mean: Tensor, covariance: Tensor, other_mean: Tensor, other: Tensor) -> float:
    """The same for means and covariances."""
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    # tr (A B)^1/2 by the symmetric matrix that has the eigenvalues of A B
    cross = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0.0).sqrt().sum()
    apart = (mean - other_mean).square().sum()
    return float(apart + torch.trace(covariance) + torch.trace(other) - 2.0 * cross)


def resampled(sets: Sequence[Tensor], statistic: Callable[..., float], seed: int = 0) -> Tensor:
    """`statistic(*sets)` on RESAMPLED draws with replacement; all sets are drawn alike, so pairs stay pairs."""
    generator = torch.Generator().manual_seed(seed)
    count = len(sets[0])
    found = []
    for _ in range(RESAMPLED):
        rows = torch.randint(count, (count,), generator=generator)
        found.append(statistic(*(each[rows] for each in sets)))
    return torch.tensor(found, dtype=torch.float64)


def standard_error(sets: Sequence[Tensor], statistic: Callable[..., float], seed: int = 0) -> float:
    """Of `statistic(*sets)`."""
    return float(resampled(sets, statistic, seed).std())
