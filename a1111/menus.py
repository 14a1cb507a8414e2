"""Our entries in the host's sampler and schedule menus: added in place, nothing of the host replaced.

Every solver and schedule is in the host's maps, so that the API and the infotext of a picture find it whatever the size
of the menu; the lists, from which menus are made, hold what the settings ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from modules import sd_samplers, sd_samplers_common, sd_samplers_kdiffusion, sd_schedulers

from ..samplers.auto import AUTO
from ..samplers.menu import menu
from ..samplers.names import nearest
from ..samplers.schedules import Schedule, offered_schedules, schedule_row
from ..samplers.solvers import Solver, offered_solvers, solver
from .auto import drawing_for
from .levels import levels_function, rho_of
from .sampling import sampler_function
from .words import ATTRIBUTE, sampler_label, schedule_label, schedule_name

#: what these hosts lack, or compute otherwise than published, or wrongly on flow models; append-only but for the first
SHORT_SCHEDULES = (
    AUTO,
    "beta",
    "time_uniform",
    "time_quadratic",
    "sgm_uniform",
    "rho_power",
    "linear_quadratic",
    "flow_shift",
)
_SCHEDULE_SIZES: dict[str, Callable[[], tuple[str, ...]]] = {
    "short": lambda: SHORT_SCHEDULES,
    "all": lambda: tuple(offered_schedules()),
    "none": tuple,
}

#: what "Automatic" means with our samplers. The host's own meaning is wrong on Forge's flow models.
AUTOMATIC = AUTO


def schedule_menu(size: str) -> tuple[str, ...]:
    """The schedule ids of a size of menu: short, all or none. ValueError for any other word."""
    if size not in _SCHEDULE_SIZES:
        raise ValueError(nearest("size of menu", size, _SCHEDULE_SIZES))
    return _SCHEDULE_SIZES[size]()


def offer_schedules(size: str) -> None:
    entries = _schedule_entries()
    for label, entry in entries.items():
        for name in (label, entry.name):
            sd_schedulers.schedulers_map.setdefault(name, entry)
    wanted = [schedule_label(schedule_row(id)) for id in schedule_menu(size)]
    _show(sd_schedulers.schedulers, [each.label for each in sd_schedulers.schedulers], entries, wanted)
    _forget()


def offer_samplers(size: str) -> None:
    entries = _sampler_entries()
    for label, entry in entries.items():
        sd_samplers.all_samplers_map.setdefault(label, entry)
    wanted = dict.fromkeys(sampler_label(solver(id)) for id in menu(size).values())
    _show(sd_samplers.all_samplers, [each.name for each in sd_samplers.all_samplers], entries, wanted)
    sd_samplers.set_samplers()
    _forget()


def _show(listed: list[Any], labels: Sequence[str], entries: dict[str, Any], wanted: Iterable[str]) -> None:
    """Makes the wanted ones of our entries stand in a list of the host, in that order, where the first of ours stood.

    An entry of somebody else under one of our labels is not ours, and we leave the label to it.
    """
    rows = list(zip(list(listed), labels, strict=True))
    others = [(each, label) for each, label in rows if entries.get(label) is not each]
    place = next((i for i, (each, label) in enumerate(rows) if entries.get(label) is each), len(rows))
    taken = {label for _, label in others}
    own = [entries[label] for label in wanted if label not in taken]
    listed[:] = [each for each, _ in others]
    listed[place:place] = own


def _forget() -> None:
    """Empties the host's memory of which names mean what."""
    getattr(sd_samplers.get_sampler_and_scheduler, "cache_clear", lambda: None)()


# made once: after "Reload UI" they tell our own entries in the host's lists from others
@cache
def _sampler_entries() -> dict[str, Any]:
    return {sampler_label(row): _sampler_entry(row) for row in offered_solvers().values()}


@cache
def _schedule_entries() -> dict[str, Any]:
    return {schedule_label(row): _schedule_entry(row) for row in offered_schedules().values()}


def _sampler_entry(row: Solver) -> Any:
    fn = sampler_function(row)
    return sd_samplers_common.SamplerData(
        sampler_label(row),
        # n steps are n calls, so the host's own total_steps is right
        lambda model: _sampler(fn, model),
        [ATTRIBUTE + id for id in (row.id, *row.aliases)],
        {"scheduler": schedule_name(AUTOMATIC)},  # values: what every host's API model takes, texts
    )


def _sampler(fn: Callable[..., Any], model: Any) -> Any:
    """The host's sampler around a function of ours; while it has levels drawn, `auto` sees for which run."""
    made = sd_samplers_kdiffusion.KDiffusionSampler(fn, model)
    draw = made.get_sigmas

    def get_sigmas(p: Any, *args: Any, **kwargs: Any) -> Any:
        with drawing_for(p):
            return draw(p, *args, **kwargs)

    made.get_sigmas = get_sigmas
    return made


def _schedule_entry(row: Schedule) -> Any:
    return sd_schedulers.Scheduler(
        schedule_name(row.id),
        schedule_label(row),
        levels_function(row),
        default_rho=rho_of(row),
        need_inner_model=True,
    )
