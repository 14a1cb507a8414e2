"""The phi functions of exponential integrators, in float64.

phi_0(z) = e^z and phi_{k+1}(z) = (phi_k(z) - 1/k!)/z, so phi_k(0) = 1/k!
(Hochbruck & Ostermann, SIAM J. Numer. Anal. 43, 2005, eq. 2.8).
"""

from __future__ import annotations

import math

#: The recurrence divides a difference by z at every order, so it loses digits for small |z|. Below this bound the
#: highest phi comes from its power series and the recurrence runs downwards, where it loses none.
_SERIES_BELOW = 2.5
_INVERSE_FACTORIAL = tuple(1.0 / math.factorial(k) for k in range(40))


def phi(z: float, highest: int) -> list[float]:
    """phi_0(z) ... phi_highest(z), to about 1e-15 relative.

    >>> [round(value, 6) for value in phi(1.0, 2)]
    [2.718282, 1.718282, 0.718282]
    """
    values = [0.0] * (highest + 1)
    if abs(z) < _SERIES_BELOW:
        # so many terms leave a remainder below 1e-17 relative over the whole range
        top, terms = 0.0, 12 + int(5 * abs(z))
        for j in range(highest + terms, highest - 1, -1):
            top = top * z + _INVERSE_FACTORIAL[j]
        values[highest] = top
        for k in range(highest - 1, -1, -1):
            values[k] = z * values[k + 1] + _INVERSE_FACTORIAL[k]
        return values
    values[0] = math.exp(z)
    if highest:
        values[1] = math.expm1(z) / z
    for k in range(2, highest + 1):
        values[k] = (values[k - 1] - _INVERSE_FACTORIAL[k - 1]) / z
    return values
