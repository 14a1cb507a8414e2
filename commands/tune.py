"""`fewstep tune`: fits plans to a demo network and keeps them as a profile, which `--solver profile:NAME` uses."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..samplers.profile_folder import PREFIX, profile_path
from .arguments import check_numbers, fallback
from .defaults import MODELS, defaults_for, frame_of

if TYPE_CHECKING:
    from ..samplers.profile import Profile
    from ..samplers.task import Task
    from ..samplers.tune import Progress

HELP = "fit plans to a demo network, and keep each where it beats the published solvers"

_BAR = "{desc} {percentage:3.0f}%|{bar:12}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="flow", metavar="M", help=f"{' or '.join(MODELS)} (default flow)")
    parser.add_argument("--calls", default="8", metavar="LIST", help="model calls, a plan for each: 5,8,10 (default 8)")
    parser.add_argument("--guidance", type=float, metavar="G", help=f"1 is none ({fallback('guidance')})")
    parser.add_argument("--classes", metavar="LIST", help="numbers 0-9 or names, with commas (default: all ten)")
    parser.add_argument(
        "--count", type=int, default=64, metavar="N", help="samples: half fit, a quarter judges (default 64)"
    )
    parser.add_argument(
        "--teacher-calls", type=int, default=120, metavar="N", help="of the run taken for the truth (default 120)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the starting noise (default 0)")
    parser.add_argument("--name", metavar="NAME", help="of the profile (default demo_ and the model)")
    parser.add_argument("--json", action="store_true", help="print a record of the profile, show no progress bar")


def run(args: argparse.Namespace) -> int:
    frame = frame_of(args.model)
    name = args.name or f"demo_{args.model}"
    path = profile_path(PREFIX + name)  # a name that cannot be is reported before any work
    guidance = defaults_for(frame).guidance if args.guidance is None else args.guidance
    check_numbers(args.count, args.seed, guidance)
    calls = _numbers(args.calls)

    from ..demo import models  # torch, only once the arguments are known to be good
    from ..demo.networks import CLASSES
    from ..samplers.level import frame as make_frame
    from ..samplers.task import Task
    from ..samplers.times import sigma_range
    from .profiles import record

    classes = models.class_ids(args.classes)
    named = ", ".join(CLASSES[each] for each in classes) if args.classes else "all classes"
    # the samples too: plans that were judged on others do not go on as one profile
    conditions = f"{named}, guidance {guidance:g}, {args.count} samples of seed {args.seed}"
    where = make_frame(frame)
    low, high = sigma_range(where.time)
    task = Task(where, high, low, calls, teacher_calls=args.teacher_calls)
    task.cost(args.count)  # checks the count
    profile = _kept(path, task, models.identity_of(args.model), conditions)
    left = tuple(n for n in calls if profile is None or n not in profile.entries)
    facts: dict[str, Any] = {"model": args.model, "cost": None, "evaluations": 0, "seconds": 0.0}
    if profile is None or left:
        task = replace(task, calls=left)
        cost = task.cost(args.count)
        if not args.json:
            twice = "" if guidance == 1.0 else "; with guidance each is two of the network"
            print(f"{args.model}, {conditions}: {cost}{twice}", flush=True)
        began = time.perf_counter()
        work = partial(models.tune, args.model, task, classes, guidance, args.count, args.seed)
        work = partial(work, conditions=conditions, resume=profile)
        profile, done = _carried_out(work, path, cost.total, args.json)
        facts |= {"cost": asdict(cost), "evaluations": done, "seconds": round(time.perf_counter() - began, 1)}
    if args.json:
        print(json.dumps(facts | record(name, profile), indent=2, allow_nan=False))
        return 0
    for entry in profile.entries.values():
        print(entry)
    print(f"{facts['evaluations']} evaluations, {facts['seconds']:.1f} s; the profile is {path}")
    print(f"use it: fewstep sample --model {args.model} --guidance {guidance:g} --solver {PREFIX}{name}")
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(each) for each in text.split(",")))
    except ValueError:
        raise ValueError(f"--calls is {text!r}, expected numbers of model calls with commas, such as 5,8,10") from None


def _kept(path: Path, task: Task, identity: str, conditions: str) -> Profile | None:
    """The profile that the same command has made or begun; ValueError for that of another one."""
    if not path.exists():
        return None
    from ..samplers.profile import Profile, load_profile

    try:
        return Profile.begun(task, identity, conditions, load_profile(path))
    except ValueError as error:
        raise ValueError(f"{error}: give --name, or delete {path}") from error


def _carried_out(work: Callable[..., Profile], path: Path, most: int, quiet: bool) -> tuple[Profile, int]:
    """The profile, and how many evaluations it took; each plan is in the file as soon as it is done."""
    from tqdm import tqdm

    done = 0
    kept: list[int] = []
    with tqdm(total=most, disable=quiet, bar_format=_BAR) as bar:

        def moved(progress: Progress) -> None:
            nonlocal done
            done = progress.done
            stage = progress.stage + (f", {progress.calls} calls" if progress.calls else "")
            bar.set_description_str(stage, refresh=False)
            bar.set_postfix_str(progress.message, refresh=False)
            bar.update(done - bar.n)
            if len(progress.profile.entries) > len(kept):
                kept[:] = progress.profile.entries
                progress.profile.save(path)

        try:
            profile = work(callback=moved)
        except KeyboardInterrupt:
            bar.close()
            plans = f"plans of {', '.join(map(str, kept))} calls are kept in {path}" if kept else "no plan is done yet"
            print(f"fewstep: {plans}; the same command goes on", end="", file=sys.stderr)
            raise
        bar.total = done  # most fits end early
        bar.refresh()
    return profile, done
