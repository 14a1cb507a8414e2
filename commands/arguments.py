"""Arguments that several commands share, and how text becomes checked values.

Nothing here imports torch, but for a profile.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..samplers.auto import AUTO, informed
from ..samplers.options import read_options
from ..samplers.plan import Plan
from ..samplers.profile_folder import is_profile
from ..samplers.schedules import drawn_by, schedule, schedule_row, schedules
from ..samplers.solvers import plan, solver, solvers
from .defaults import DEFAULTS, defaults_for

#: of the argument that names a solver
OF_SOLVERS = "see 'fewstep list solvers', or profile:NAME, see 'fewstep list profiles'"


def fallback(name: str) -> str:
    """A default as help text: one value, or one for each frame."""
    values = {frame: getattr(row, name) for frame, row in DEFAULTS.items()}
    if len(set(values.values())) == 1:
        return f"default {next(iter(values.values()))}"
    return "default " + ", ".join(f"{value} for {frame}" for frame, value in values.items())


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Schedule, calls, range and options: all of a plan but the solver and the frame."""
    parser.add_argument("--schedule", metavar="ID", help=f"see 'fewstep list schedules' ({fallback('schedule')})")
    parser.add_argument(
        "--calls", type=int, metavar="N", help=f"model calls ({fallback('calls')}; of a profile the most that it has)"
    )
    parser.add_argument("--sigma-min", type=float, metavar="S", help="last positive level (default: the model's)")
    parser.add_argument("--sigma-max", type=float, metavar="S", help="first level (default: the model's)")
    parser.add_argument("--end", choices=("0", "sigma_min"), help="last level of all (default 0)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the solver, repeatable"
    )
    parser.add_argument(
        "--schedule-option", action="append", default=[], metavar="NAME=VALUE", help="of the schedule, repeatable"
    )


def make_plan(
    args: argparse.Namespace, frame: str | None, guidance: float = 1.0, identity: Callable[[], str] = str
) -> Plan:
    """The plan that the arguments ask for; ValueError in the words of the solver and schedule tables.

    frame     None: that of a profile, and otherwise ve
    guidance  of the model, which `auto` goes by
    identity  () -> that of the network, which a profile must have been made for

    Fills in the defaults of the frame: afterwards args.solver, args.schedule and args.calls say what is used.
    """
    if is_profile(args.solver):
        return _tuned_plan(args, frame, identity)
    frame = frame or "ve"
    defaults = defaults_for(frame)
    row = solver(args.solver or defaults.solver)
    args.solver = row.id
    args.schedule = args.schedule or defaults.schedule
    args.calls = defaults.calls if args.calls is None else args.calls
    levels = schedule_row(args.schedule)
    args.schedule = levels.id
    of_schedule = read_options(args.schedule_option, levels.options, "--schedule-option")
    asked: dict[str, Any] = {
        "frame": frame,
        "sigma_min": args.sigma_min,
        "sigma_max": args.sigma_max,
        "end": 0 if args.end in (None, "0") else args.end,
        **informed(levels.options, of_schedule, guidance),
    }
    sigmas = schedule(levels.id, args.calls, **asked)
    made = plan(row, sigmas, frame, **informed(row.options, read_options(args.option, row.options), guidance))
    if row.chooses is not None:
        args.solver = f"{row.id}: {made.solver}"
    if levels.id == AUTO:
        args.schedule = f"{levels.id}: {drawn_by(levels.id, args.calls, **asked)}"
    return made


#: what a plan is made from and a profile has settled
_SETTLED = ("schedule", "sigma_min", "sigma_max", "end", "option", "schedule_option")


def _tuned_plan(args: argparse.Namespace, frame: str | None, identity: Callable[[], str]) -> Plan:
    given = [f"--{name.replace('_', '-')}" for name in _SETTLED if getattr(args, name) not in (None, [])]
    if given:
        raise ValueError(
            f"{', '.join(given)} cannot be given with --solver {args.solver}: tuning settled the levels and the "
            "weights; leave it out, or choose a published solver"
        )
    from ..samplers.profile import load_profile  # torch

    profile = load_profile(args.solver, frame=frame, identity=identity())
    if not profile.entries:
        raise ValueError(f"{args.solver} has no plans yet: its tuning was stopped; go on with fewstep tune")
    args.calls = max(profile.entries) if args.calls is None else args.calls
    args.schedule = "its levels"
    return profile.plan(args.calls)


def check_numbers(count: int, seed: int, guidance: float) -> None:
    """ValueError for numbers that no run can have."""
    if not math.isfinite(guidance):
        raise ValueError(f"--guidance is {guidance}, expected a finite number; 1 is none, 2 suits these networks")
    if count < 1:
        raise ValueError(f"--count is {count}, expected 1 or more pictures")
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed is {seed}, expected a whole number in 0..2^63 - 1")


def output_path(text: str, endings: Sequence[str]) -> Path:
    """Where a picture goes, its folder made; ValueError before any work when it cannot be written."""
    path = Path(text)
    if path.suffix.lower() not in endings:
        raise ValueError(f"--out is {text!r}, expected a file name that ends in {', '.join(endings)}")
    if path.is_dir():
        raise ValueError(f"--out is {text!r}, a folder; give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def known_ids() -> str:
    """The ids of both tables, for the end of a help page."""
    return f"solvers: {', '.join(solvers())}\n\nschedules: {', '.join(schedules())}"
