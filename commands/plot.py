"""`fewstep plot`: a plan as text and picture, or as JSON."""

from __future__ import annotations

import argparse
import json

from ..samplers.report import record
from .arguments import OF_SOLVERS, add_plan_arguments, fallback, make_plan, output_path
from .defaults import DEFAULTS

HELP = "draw a plan: its levels, where the model is called, the degree of each update"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("solver", nargs="?", metavar="SOLVER", help=f"{OF_SOLVERS} ({fallback('solver')})")
    parser.add_argument("--frame", metavar="F", help=f"{', '.join(DEFAULTS)} (default ve, or a profile's)")
    add_plan_arguments(parser)
    parser.add_argument("--out", default="out/plan.png", metavar="FILE", help="picture (default out/plan.png)")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON, draw nothing")


def run(args: argparse.Namespace) -> int:
    plan = make_plan(args, args.frame)
    if args.json:
        print(json.dumps({"schedule": args.schedule, **record(plan)}, indent=2, allow_nan=False))
        return 0
    path = output_path(args.out, (".png", ".svg", ".pdf"))
    from .plan_figure import draw  # matplotlib

    draw([plan], [args.schedule], path)
    print(plan)
    print(f"wrote {path}")
    return 0
