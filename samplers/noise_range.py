"""The range of noise that runs go through: from where, down to where, in which frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .level import Frame
from .names import nearest
from .schedules import schedule

#: name of an end -> what a schedule is asked for
ENDS: dict[str, int | str] = {"zero": 0, "sigma_min": "sigma_min"}


@dataclass(frozen=True)
class NoiseRange:
    """Host sigmas: of the start, the lowest at which the model is asked, and where runs end: zero or sigma_min."""

    frame: Frame
    sigma_max: float
    sigma_min: float
    end: str = "zero"

    def __post_init__(self) -> None:
        if self.end not in ENDS:
            raise ValueError(nearest("end", self.end, ENDS))

    @property
    def last(self) -> float:
        """Host sigma of the end."""
        return 0.0 if self.end == "zero" else self.sigma_min

    def sigmas(self, id: str, n: int, **options: Any) -> list[float]:
        """A schedule's n + 1 levels on this range."""
        low, high, end = self.sigma_min, self.sigma_max, ENDS[self.end]
        return schedule(id, n, frame=self.frame, sigma_min=low, sigma_max=high, end=end, **options)
