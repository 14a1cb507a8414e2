"""`fewstep sample`: pictures from one of the demo networks, as a labelled grid."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from .arguments import OF_SOLVERS, add_plan_arguments, check_numbers, fallback, make_plan, output_path
from .defaults import MODELS, defaults_for, frame_of

HELP = "sample pictures of clothes from a demo network"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="flow", metavar="M", help=f"{' or '.join(MODELS)} (default flow)")
    parser.add_argument("--solver", metavar="ID", help=f"{OF_SOLVERS} ({fallback('solver')})")
    add_plan_arguments(parser)
    parser.add_argument("--guidance", type=float, metavar="G", help=f"1 is none ({fallback('guidance')})")
    parser.add_argument("--classes", metavar="LIST", help="numbers 0-9 or names, with commas (default: all ten)")
    parser.add_argument("--count", type=int, default=4, metavar="N", help="pictures of each class (default 4)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the starting noise (default 0)")
    parser.add_argument("--out", default="out/sample.png", metavar="FILE", help="picture (default out/sample.png)")
    parser.add_argument("--report", action="store_true", help="say where the run makes its error, call by call")
    parser.add_argument("--json", action="store_true", help="print a record of the run, show no progress bar")


def run(args: argparse.Namespace) -> int:
    frame = frame_of(args.model)
    guidance = defaults_for(frame).guidance if args.guidance is None else args.guidance
    check_numbers(args.count, args.seed, guidance)
    plan = make_plan(args, frame, guidance, lambda: _identity(args.model))
    path = output_path(args.out, (".png", ".jpg", ".jpeg", ".webp"))

    from tqdm import tqdm

    from ..demo import models, pictures  # torch, only once the arguments are known to be good
    from ..demo.networks import CLASSES
    from ..samplers.embedded import report

    told = report(plan) if args.report else None
    classes = models.class_ids(args.classes)
    noise = models.noise(plan, len(classes) * args.count, args.seed)
    denoiser = models.denoiser(args.model, classes * args.count, guidance)
    began = time.perf_counter()
    with tqdm(total=len(plan), desc=args.solver, unit="call", disable=args.json) as bar:
        latents = models.draw(plan, denoiser, noise, bar, told)
    seconds = time.perf_counter() - began
    title = f"{args.model}: {args.solver}, {args.schedule}, {len(plan)} calls, guidance {guidance:g}, seed {args.seed}"
    rows = [pictures.row("", each) for each in latents.reshape(args.count, -1, *latents.shape[1:])]
    pictures.grid(title, [CLASSES[each] for each in classes], rows).save(path)
    facts = {"model": args.model, "solver": args.solver, "schedule": args.schedule, "frame": frame}
    facts |= {"calls": len(plan), "options": dict(plan.options), "guidance": guidance, "seed": args.seed}
    facts |= {"count": args.count, "classes": classes, "seconds": round(seconds, 3), "path": str(path)}
    if told is not None:
        facts["report"] = told.record()
    _say(facts, path, args.json)
    if told is not None and not args.json:
        print(told)
    return 0


def _identity(model: str) -> str:
    from ..demo import models

    return models.identity_of(model)


def _say(facts: dict[str, Any], path: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        number = len(facts["classes"]) * facts["count"]
        print(f"{number} pictures, {facts['calls']} model calls each, {facts['seconds']:.2f} s; wrote {path}")
