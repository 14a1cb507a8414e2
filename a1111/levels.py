"""The functions behind the host's schedule types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..samplers.auto import AUTO, informed
from ..samplers.level import as_float32
from ..samplers.schedules import Schedule, drawn_by, schedule
from ..samplers.times import sigma_range
from .auto import drawn_for, guidance_of, note
from .model_frame import frame_of
from .refusal import refusing

#: schedule -> the options that depend on the model
_OPTIONS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "ays": lambda model: {"table": "sdxl" if getattr(model, "is_sdxl", False) else "sd1"},
}


def rho_of(row: Schedule) -> float:
    """The default of the option that the host's setting "rho" changes; -1, the host's word for none."""
    return next((float(option.default) for option in row.options if option.name == "rho"), -1.0)


def levels_function(row: Schedule) -> Callable[..., torch.Tensor]:
    """fn(n, sigma_min, sigma_max, inner_model, device) -> n + 1 levels in float32, the last one 0.

    The host takes as many from the end as img2img needs. Where the strength is 0 and the number of steps is prescribed,
    as in the second pass of hires fix, n is 0: the picture stays. RefusedError where the model has no such schedule.
    """

    def fn(
        n: int, sigma_min: Any, sigma_max: Any, inner_model: Any, device: Any = None, rho: float | None = None
    ) -> torch.Tensor:
        if int(n) < 1:
            return torch.zeros(1, device=device)
        with refusing():
            where = frame_of(inner_model)
            options = _OPTIONS[row.id](inner_model.inner_model) if row.id in _OPTIONS else {}
            if rho is not None:
                options["rho"] = rho
            # The host gives its model's ends unless a setting says otherwise. A schedule that belongs to a model
            # knows its own, so what is not asked for is not passed on.
            ends = as_float32(sigma_range(where.time))
            for name, value, own in zip(("sigma_min", "sigma_max"), (sigma_min, sigma_max), ends, strict=True):
                if abs(float(value) - own) > 1e-5 * own:
                    options[name] = float(value)
            p = drawn_for()
            asked = {"frame": where, **informed(row.options, options, guidance_of(p))}
            levels = as_float32(schedule(row.id, int(n), **asked))
            if row.id == AUTO:
                note(p, schedule=str(drawn_by(AUTO, int(n), **asked)))
            return torch.tensor(levels, dtype=torch.float32, device=device)

    fn.__name__ = fn.__qualname__ = f"fewstep_{row.id}"
    return fn
