"""phi functions against 60-digit arithmetic."""

from __future__ import annotations

import math

import mpmath
import pytest
from fewstep.samplers.phi import phi


def exact_phi(k: int, z: float) -> float:
    with mpmath.workdps(60):
        value = mpmath.mpf(z)
        series = mpmath.exp(value)
        for j in range(k):
            series = (series - 1 / mpmath.factorial(j)) / value
        return float(series)


@pytest.mark.parametrize("size", [1e-8, 1e-5, 1e-3, 0.03, 0.2, 0.5, 0.99, 1.0, 1.7, 2.49, 2.51, 4.0, 9.0, 20.0, 50.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_phi_is_exact_to_1e_14(size: float, sign: int) -> None:
    values = phi(sign * size, 4)
    for k in range(5):
        assert values[k] == pytest.approx(exact_phi(k, sign * size), rel=1e-14), k


def test_phi_at_zero() -> None:
    assert phi(0.0, 4) == [1 / math.factorial(k) for k in range(5)]
