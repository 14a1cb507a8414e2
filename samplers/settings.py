"""Settings to be compared: lists of solvers, schedules and numbers of calls that are multiplied, written as strings.

"SOLVERS SCHEDULES CALLS [NAME=VALUE ...]"     dpmpp_2m,dpmpp_3m karras,beta 5,8,10 last=regular
"profile:NAME CALLS"                           plans that were tuned, which have levels of their own
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .auto import AUTO, GUIDANCE, choose_schedule, informed
from .names import nearest
from .noise_range import NoiseRange
from .options import read_options
from .plan import Plan
from .profile import plan_of_profile
from .profile_folder import PREFIX
from .schedules import Schedule, schedule_row
from .solvers import Solver
from .solvers import plan as published_plan
from .solvers import solver as find_solver
from .task import Setting

_FORM = "expected 'SOLVERS SCHEDULES CALLS [NAME=VALUE ...]', such as 'dpmpp_2m,dpmpp_3m karras 5,8,10 last=regular'"
OWN_LEVELS = "own levels"


@dataclass(frozen=True, eq=False)
class Candidate:
    """One plan of a comparison, or why there is none.

    setting  its solver and schedule; what is the same along a line of a plot
    calls    model calls
    plan     None where this range or frame has no such plan
    reason   why there is none
    notes    what should be known of it
    """

    setting: Setting
    calls: int
    plan: Plan | None = None
    reason: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The setting that asks for this plan alone."""
        words = [self.setting.solver, self.setting.schedule, str(self.calls), *self.setting.words]
        return " ".join(word for word in words if word)


def candidates(
    settings: str | Plan | Candidate | Iterable[str | Plan | Candidate], where: NoiseRange, guidance: float
) -> list[Candidate]:
    """The plans of settings, each name once.

    A setting is a string, a `Plan`, or a `Candidate`. What does not exist on this range is left out, with its reason,
    where it is one of a product; a setting by itself is refused. Raises ValueError with all faults in one message.
    """
    given = [settings] if isinstance(settings, (str, Plan, Candidate)) else list(settings)
    if not given:
        raise ValueError(f"no settings to compare; {_FORM}")
    faults: list[str] = []
    found: dict[str, Candidate] = {}
    for each in given:
        try:
            made = _candidates(each, where, guidance)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        if all(one.plan is None for one in made):
            faults += [f"setting {one.name!r}: {one.reason}" for one in made]
        for one in made:
            found.setdefault(_own_name(one, found).name, _own_name(one, found))
    if faults:
        raise ValueError(faults[0] if len(faults) == 1 else f"{len(faults)} faults: " + "; ".join(faults))
    return list(found.values())


def _own_name(made: Candidate, found: Mapping[str, Candidate]) -> Candidate:
    """The candidate; another plan of the same name is numbered."""
    number = 1
    while (other := found.get(made.name)) is not None and made.setting.schedule == OWN_LEVELS:
        if other.plan == made.plan:
            break
        number += 1
        stem = made.setting.solver.partition("#")[0]
        made = replace(made, setting=replace(made.setting, solver=f"{stem}#{number}"))
    return made


def _candidates(given: Any, where: NoiseRange, guidance: float) -> list[Candidate]:
    if isinstance(given, Candidate):
        return [given if given.plan is None else _checked(given, where)]
    if isinstance(given, Plan):
        return [_checked(Candidate(Setting(given.solver, OWN_LEVELS), len(given), given), where)]
    if not isinstance(given, str):
        raise ValueError(f"a setting is a string or a plan, got {given!r}; {_FORM}")
    words = [word for word in given.split() if "=" not in word]
    pairs = [word for word in given.split() if "=" in word]
    owner = f"setting {given!r}"
    if given.strip().startswith(PREFIX):
        if len(words) < 2 or pairs:
            raise ValueError(f"{owner}: expected '{PREFIX}NAME CALLS', and no options: tuning settled them")
        name = " ".join(words[:-1])
        return [_candidate(Setting(name, ""), n, where, guidance) for n in _numbers(words[-1], owner)]
    if len(words) != 3:
        raise ValueError(f"{owner}: {_FORM}")
    try:
        return _product(words, pairs, where, guidance, owner)
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(owner) else f"{owner}: {error}") from error


def _product(
    words: Sequence[str], pairs: Sequence[str], where: NoiseRange, guidance: float, owner: str
) -> list[Candidate]:
    solvers = [find_solver(_solver_id(word)) for word in _list(words[0], owner)]
    schedules = [schedule_row(word) for word in _list(words[1], owner)]
    numbers = _numbers(words[2], owner)
    rows: list[Solver | Schedule] = [*schedules, *solvers]
    offered = {option.name: option for row in rows for option in row.options}
    options = read_options(pairs, offered.values(), owner)
    for name in options:
        if name not in offered:
            raise ValueError(
                nearest("option", name, offered) if offered else f"none of these has options, got {name!r}"
            )
    made = []
    for row, levels in itertools.product(solvers, schedules):
        mine, theirs = {option.name for option in row.options}, {option.name for option in levels.options}
        of_solver = {name: value for name, value in options.items() if name in mine}
        of_schedule = {name: value for name, value in options.items() if name in theirs}
        setting = Setting(row.id, levels.id, of_solver, of_schedule)
        missing = [name for name in options if name not in mine | theirs]
        if missing:
            reason = f"neither {row.id} nor {levels.id} has the option {', '.join(missing)}"
            made += [Candidate(setting, n, None, reason) for n in numbers]
        else:
            made += [_candidate(setting, n, where, guidance) for n in numbers]
    return made


def _solver_id(word: str) -> str:
    if word.startswith(PREFIX):
        raise ValueError(f"{word} has levels of its own, so it is a setting by itself: '{PREFIX}NAME CALLS'")
    return word


def _list(word: str, owner: str) -> list[str]:
    found = word.split(",")
    if not all(found):
        raise ValueError(f"{owner}: {word!r} has an empty place between its commas")
    return found


def _numbers(word: str, owner: str) -> list[int]:
    found = _list(word, owner)
    for each in found:
        if not each.isdecimal() or not int(each):
            raise ValueError(f"{owner}: CALLS is {word!r}, expected whole numbers from 1, with commas; {_FORM}")
    return [int(each) for each in found]


def _candidate(setting: Setting, calls: int, where: NoiseRange, guidance: float) -> Candidate:
    """The plan of a setting, or the reason why there is none."""
    try:
        made = Candidate(
            setting, calls, _plan(setting, calls, where, guidance), notes=_chosen(setting, calls, where, guidance)
        )
        return _checked(made, where)
    except (ValueError, OSError) as error:
        return Candidate(setting, calls, None, str(error))


def _plan(setting: Setting, calls: int, where: NoiseRange, guidance: float) -> Plan:
    if not setting.schedule:
        # a profile looks at the ends and the number of levels alone
        share = [(calls - i) / calls for i in range(calls + 1)]
        ends = [where.last + each * (where.sigma_max - where.last) for each in share]
        return plan_of_profile(setting.solver, ends, where.frame)
    row, levels = find_solver(setting.solver), schedule_row(setting.schedule)
    if row.adaptive:
        raise ValueError(f"{row.id} chooses its number of calls while it runs; compare solvers of fixed steps")
    sigmas = where.sigmas(levels.id, calls, **informed(levels.options, setting.schedule_options, guidance))
    return published_plan(row, sigmas, where.frame, **informed(row.options, setting.options, guidance))


def _chosen(setting: Setting, calls: int, where: NoiseRange, guidance: float) -> tuple[str, ...]:
    """What auto chose for the levels; a plan says itself what was chosen for the solver."""
    if setting.schedule != AUTO:
        return ()
    given = float(setting.schedule_options.get(GUIDANCE.name, guidance))
    return (f"{AUTO} levels are {choose_schedule(where.frame, calls, where.last == 0.0, guidance=given)}",)


def _checked(made: Candidate, where: NoiseRange) -> Candidate:
    """The candidate with its notes. ValueError for a plan that does not go through this range, or that adds noise."""
    plan = made.plan
    assert plan is not None
    if plan.frame.name != where.frame.name:
        raise ValueError(
            f"{made.name}: this plan is for frame {plan.frame.name!r}, the comparison's is {where.frame.name!r}"
        )
    if plan.stochastic:
        eta = plan.options.get("eta")
        what = "give eta=0, or a solver that adds none" if eta is not None else "choose a solver that adds none"
        raise ValueError(
            f"{made.setting.solver} adds noise, and its distance to where the ODE ends says nothing of it; {what}"
        )
    first, last = plan.levels[0].host, plan.levels[-1].host
    if first > where.sigma_max * (1.0 + 1e-6):  # hosts hold levels in float32
        raise ValueError(f"{made.name}: it begins at sigma {first:g}, above sigma_max {where.sigma_max:g}")
    if not math.isclose(last, where.last, rel_tol=1e-6):
        raise ValueError(f"{made.name}: it ends at sigma {last:g}, the comparison at {where.last:g}")
    notes = [*made.notes, *plan.notes]
    if plan.solver != made.setting.solver and made.setting.solver == AUTO:
        notes.append(f"{AUTO} is {plan.solver}")
    if not math.isclose(first, where.sigma_max, rel_tol=1e-6):
        notes.append(f"begins at sigma {first:.4g}, from the noise scaled to it")
    return replace(made, notes=tuple(notes))
