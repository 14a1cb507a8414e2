"""`fewstep plot`: a plan as text and picture, or as JSON."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from ..samplers.level import Level
from ..samplers.plan import Plan
from .arguments import add_plan_arguments, fallback, make_plan, output_path
from .defaults import DEFAULTS

HELP = "draw a plan: its levels, where the model is called, the degree of each update"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("solver", nargs="?", metavar="SOLVER", help=f"solver id ({fallback('solver')})")
    parser.add_argument("--frame", default="ve", metavar="F", help=f"{', '.join(DEFAULTS)} (default ve)")
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


def record(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values; an infinite lambda or rho is null."""
    return {
        "solver": plan.solver,
        "frame": plan.frame.name,
        "order": plan.order,
        "options": dict(plan.options),
        "reference": plan.reference,
        "notes": list(plan.notes),
        "memory": plan.memory,
        "sigmas": [level.host for level in plan.levels],
        "calls": [
            {
                "level": _level(call.level),
                "target": _level(call.target),
                "keeps": call.keeps,
                "form": call.form,
                "clock": call.clock,
                "exact_degree": call.exact_degree,
                "closes": call.closes,
                "scale": call.scale,
                "weights": list(call.weights),
            }
            for call in plan
        ],
    }


def _level(level: Level) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in level._asdict().items()}
