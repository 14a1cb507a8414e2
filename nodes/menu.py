"""Our names in the host's own menus: appended in place, nothing of the host replaced.

The host looks a sampler up as `sample_NAME` in comfy.k_diffusion.sampling and shows three lists, two of which may be
the same object. The schedule menu is left alone unless a setting asks for it: packs that copied that list when they
were imported then see "Return type mismatch between linked nodes".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..samplers.menu import PREFIX, menu
from .settings import VARIABLE, Settings

if TYPE_CHECKING:
    from ..samplers.schedules import Schedule
    from .host_sampler import Choice

log = logging.getLogger("fewstep")


def register(settings: Settings) -> None:
    """Appends what the settings ask for. Twice is as good as once, and a name that is taken is left to its owner."""
    import comfy.k_diffusion.sampling as functions
    import comfy.samplers as host

    # forks keep the first two elsewhere
    lists = (getattr(host, "KSAMPLER_NAMES", []), getattr(host, "SAMPLER_NAMES", []), host.KSampler.SAMPLERS)
    for name, id in menu(settings.size, bare=True).items():
        attribute = f"sample_{name}"
        if not hasattr(functions, attribute):
            setattr(functions, attribute, _sampler(attribute, id))
        _append(lists, name)
    if settings.size == "none":
        log.info(
            "fewstep: the sampler menus are left alone (%s or fewstep.json says none); "
            "workflows that use a %s... name in them are refused",
            VARIABLE,
            PREFIX,
        )
    if settings.schedules:
        from ..samplers.schedules import offered_schedules

        for id, levels in offered_schedules().items():
            if id not in host.SCHEDULER_HANDLERS:
                name = PREFIX + id
                host.SCHEDULER_HANDLERS.setdefault(name, host.SchedulerHandler(_handler(levels), use_ms=True))
                _append((host.SCHEDULER_NAMES, host.KSampler.SCHEDULERS), name)


def _append(lists: tuple[list[str], ...], name: str) -> None:
    for names in lists:
        if name not in names:
            names.append(name)


def _sampler(attribute: str, id: str) -> Any:
    """A sampler function that loads its solver when it is first called."""

    def choice() -> Choice:
        from ..samplers.solvers import solver
        from .host_sampler import Choice

        return Choice(solver(id))

    def fn(*args: Any, **kwargs: Any) -> Any:
        from .host_sampler import sampler_function

        return sampler_function(choice())(*args, **kwargs)

    fn.__name__ = fn.__qualname__ = attribute
    fn.fewstep = choice  # type: ignore[attr-defined]  # as in host_sampler.py
    return fn


def _handler(row: Schedule) -> Any:
    def levels(model_sampling: Any, steps: int) -> Any:
        import torch

        from ..samplers.auto import informed
        from ..samplers.level import as_float32
        from ..samplers.schedules import schedule
        from .model_frame import frame_of

        # the host tells a schedule no guidance
        options = informed(row.options, {}, 1.0)
        return torch.tensor(as_float32(schedule(row.id, steps, frame=frame_of(model_sampling), **options)))

    return levels
