"""`fewstep statistics`: measures a demo network for the solvers that use statistics, and writes the file."""

from __future__ import annotations

import argparse
import json

from ..samplers.statistics import statistics_folder, statistics_path
from .defaults import MODELS, frame_of

HELP = "measure the statistics of a demo network, which analytic_ddpm and analytic_ddim use"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="flow", metavar="M", help=f"{' or '.join(MODELS)} (default flow)")
    parser.add_argument("--calls", type=int, default=50, metavar="N", help="model calls for each sample (default 50)")
    parser.add_argument("--count", type=int, default=50, metavar="N", help="samples, of all classes (default 50)")
    parser.add_argument("--guidance", type=float, default=1.0, metavar="G", help="1 is none (default 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the starting noise (default 0)")
    parser.add_argument(
        "--out", metavar="NAME", help="a name in the data folder, or a path with a slash (default demo_ and the model)"
    )
    parser.add_argument("--json", action="store_true", help="print the statistics, show no progress bar")


def run(args: argparse.Namespace) -> int:
    frame = frame_of(args.model)
    out = args.out or f"demo_{args.model}"
    statistics_path(out)  # a name that cannot be is reported before any work
    if args.count < 2:
        raise ValueError(f"--count is {args.count}, expected 2 or more samples; 16 to 64 are good")

    from tqdm import tqdm

    from ..demo import models  # torch, only once the arguments are known to be good

    with tqdm(desc=f"statistics of {args.model}", unit="call", disable=args.json) as bar:

        def moved(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = models.statistics(args.model, args.count, args.calls, args.guidance, args.seed, moved)
    path = found.save(out)
    facts = {"path": str(path), "frame": frame, "calls": found.calls, "samples": found.samples, "dims": found.dims}
    if args.json:
        print(json.dumps(facts | {"sigmas": found.sigmas, "variances": found.variances}, indent=2))
    else:
        print(f"{found}; wrote {path}")
        if path.parent == statistics_folder():
            print(f"use it: fewstep sample --model {args.model} --solver analytic_ddpm --option statistics={path.stem}")
    return 0
