"""Published noise levels that no formula gives: Align Your Steps (Sabour, Fidler, Kreis, arXiv 2404.14507, table 3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from .times import scaled_linear

# Ten steps, eleven levels, highest first. The authors give the two Stable Diffusion tables as timesteps of the model
# (https://research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html), so their sigmas come from the model's own
# table; ComfyUI 0.8.0 lists the same sigmas with ten decimals (comfy_extras/nodes_align_your_steps.py). The paper's
# table 3 rounds them to three.
_SD1 = (999, 850, 736, 645, 545, 455, 343, 233, 124, 24, 0)
_SDXL = (999, 845, 730, 587, 443, 310, 193, 116, 53, 13, 0)
_SVD = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002)

AYS_TABLES = ("sd1", "sdxl", "svd")


@cache
def ays() -> Mapping[str, tuple[float, ...]]:
    """Align-Your-Steps levels (sigma, decreasing) of each table."""
    model = scaled_linear().sigmas
    levels = (tuple(model[t] for t in _SD1), tuple(model[t] for t in _SDXL), _SVD)
    return MappingProxyType(dict(zip(AYS_TABLES, levels, strict=True)))


def ays_range(table: str) -> tuple[float, float]:
    """(sigma_min, sigma_max) of a table."""
    levels = ays()[table]
    return levels[-1], levels[0]
