"""What a comparison is asked to do, and how it is known again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from .comparison import Comparison, Reference
from .level import Frame
from .noise_range import NoiseRange
from .plan import Plan
from .profile import time_record
from .report import record

Tensor = torch.Tensor


@dataclass(frozen=True)
class ComparisonTask:
    """What is asked of a comparison, and what `resume` must have in common with it.

    where, guidance  of the runs;  teacher, other: the plans of the reference and of its check
    within           the distance that is near enough; None: the default
    key              hash of the start states
    keep             samples that are kept of each setting
    conditions       what the caller said of the model
    """

    where: NoiseRange
    guidance: float
    teacher: Plan
    other: Plan
    within: float | None
    key: str
    keep: int
    conditions: str

    @property
    def reference(self) -> Reference:
        """The reference, before it is known how sure it is."""
        (name, other), (calls, half) = map(_named, (self.teacher, self.other)), map(len, (self.teacher, self.other))
        return Reference(name, calls, other, half, 0.0)

    def check(self, resume: Comparison) -> None:
        """ValueError if that belongs to another comparison."""
        mine = self.reference
        pairs: dict[str, tuple[Any, Any]] = {
            "a hash of its noise": (resume.key, self.key),
            "frame": (resume.range.frame.name, self.where.frame.name),
            "time map": (_time(resume.range.frame), _time(self.where.frame)),
            "guidance": (resume.guidance, self.guidance),
            "conditions": (resume.conditions, self.conditions),
            "reference": (str(resume.reference), str(mine)),
        }
        pairs |= {
            name: (getattr(resume.range, name), getattr(self.where, name)) for name in ("sigma_max", "sigma_min", "end")
        }
        for name, (old, new) in pairs.items():
            if old != new:
                texts = [f"{value!r:.80}" for value in (old, new)]
                raise ValueError(
                    f"the comparison to go on with has {name} {texts[0]}, but now it is {texts[1]}; "
                    "leave resume out to begin again"
                )


def _time(frame: Frame) -> object:
    """What two equal time maps have in common: two tables of the same numbers are two objects."""
    try:
        return json.dumps(time_record(frame.time))
    except ValueError:  # a map of the caller's own
        return frame.time


def _named(plan: Plan) -> str:
    return f"{plan.solver} last={plan.options['last']}"


def noise_key(noise: Tensor) -> str:
    """A hash of start states, their shape and type."""
    found = hashlib.sha256(repr((tuple(noise.shape), str(noise.dtype))).encode())
    # as bytes, since numpy has no bfloat16
    found.update(noise.detach().to("cpu").contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def plan_key(plan: Plan) -> str:
    """A hash of all of a plan."""
    return hashlib.sha256(json.dumps(record(plan)).encode()).hexdigest()[:16]
