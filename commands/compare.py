"""`fewstep compare`: settings on a demo network, beside a converged run: table, plot, grid of pictures, a sentence."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import check_numbers, fallback
from .defaults import COMPARED, MODELS, defaults_for, frame_of

if TYPE_CHECKING:
    from ..samplers.compare import Progress
    from ..samplers.comparison import Comparison

HELP = "compare settings on a demo network: error, intervals, cost, and what to use"
#: samples that are kept of each setting, for a grid without several numbers of calls
_KEPT = 10


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="SETTING",
        help="'SOLVERS SCHEDULES CALLS [NAME=VALUE ...]', lists with commas, which are multiplied, such as "
        "'dpmpp_2m,dpmpp_3m karras,beta 5,8,10'; or 'profile:NAME CALLS' (default: a short list)",
    )
    parser.add_argument("--model", default="flow", metavar="M", help=f"{' or '.join(MODELS)} (default flow)")
    parser.add_argument("--guidance", type=float, metavar="G", help=f"1 is none ({fallback('guidance')})")
    parser.add_argument("--classes", metavar="LIST", help="numbers 0-9 or names, with commas (default: all ten)")
    parser.add_argument(
        "--count", type=int, default=20, metavar="N", help="samples, of the classes in turn (default 20)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the starting noise (default 0)")
    parser.add_argument(
        "--reference-calls", type=int, default=200, metavar="N", help="model calls of the reference (default 200)"
    )
    parser.add_argument(
        "--reference-last",
        default="auto",
        metavar="HOW",
        help="its step to sigma 0: regular, denoise or auto, as solvers make it (default auto)",
    )
    parser.add_argument(
        "--within",
        type=float,
        metavar="D",
        help="distance to the reference that is near enough, black to white being 2 (default 0.02 of the pictures' "
        "standard deviation)",
    )
    parser.add_argument("--batch", type=int, default=10, metavar="N", help="samples in a model call (default 10)")
    parser.add_argument("--out", default="out/compare", metavar="FOLDER", help="results (default out/compare)")
    parser.add_argument("--steps", action="store_true", help="print where along each run its error is made")
    parser.add_argument("--json", action="store_true", help="print the table as JSON, show no progress bar")


def run(args: argparse.Namespace) -> int:
    guidance = defaults_for(frame_of(args.model)).guidance if args.guidance is None else args.guidance
    check_numbers(args.count, args.seed, guidance)
    settings = args.settings or COMPARED[frame_of(args.model)]
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out is {args.out!r}, which is a file; give a folder")

    from tqdm import tqdm

    from ..demo import models  # torch, only once the arguments are known to be good
    from ..samplers.comparison_file import load_comparison

    saved = out / "comparison.safetensors"
    known = load_comparison(saved) if saved.is_file() else None
    seen = _Seen(saved, known, tqdm(desc=f"compare on {args.model}", unit="call", disable=args.json, delay=0.01))
    try:
        found = models.compared(
            args.model, settings, args.count, models.class_ids(args.classes), guidance, args.seed,
            reference_calls=args.reference_calls, reference_last=args.reference_last, within=args.within, keep=_KEPT,
            batch=args.batch, resume=known, callback=seen.turn,
        )  # fmt: skip
    except ValueError as error:
        if known is not None and "to go on with" in str(error):
            raise ValueError(f"{saved} is of another comparison ({error}); give another --out, or delete it") from None
        raise
    except KeyboardInterrupt:
        seen.bar.close()
        print(seen.stopped(), file=sys.stderr)
        raise
    seen.bar.close()
    found.save(saved)
    (out / "table.csv").write_text(found.csv(), encoding="utf-8")
    (out / "table.json").write_text(found.json() + "\n", encoding="utf-8")
    print(found.json() if args.json else _told(found, args.steps))
    # last, since of settings that all failed there is no picture
    found.plot(out / "plot.png")
    found.grid(out / "grid.png", columns="calls" if len({row.calls for row in found.rows}) > 1 else "samples")
    if not args.json:
        print(f"wrote {', '.join(str(out / name) for name in ('table.csv', 'table.json', 'plot.png', 'grid.png'))}")
    return 0


class _Seen:
    """What was seen of a comparison so far, kept in a file."""

    def __init__(self, saved: Path, known: Comparison | None, bar: Any) -> None:
        self.saved, self.found, self.bar = saved, known, bar

    def turn(self, progress: Progress) -> None:
        self.bar.total = progress.most
        self.bar.set_postfix_str(progress.message or progress.stage, refresh=False)
        self.bar.update(progress.done - self.bar.n)
        now, before = progress.comparison, self.found
        if now is not None and (before is None or len(now.rows) > len(before.rows)):
            self.found = now
            now.save(self.saved)  # so that not even a power cut costs more than a row

    def stopped(self) -> str:
        if self.found is None:
            return "stopped before the reference was made: nothing is kept"
        count = len(self.found.rows)
        return f"stopped; the reference and {count} setting(s) are in {self.saved}: the same command goes on from there"


def _told(found: Comparison, with_steps: bool) -> str:
    from ..samplers.embedded import lines, told

    parts = []
    for row in found.rows if with_steps else ():
        if row.steps:
            parts += [f"{row.name}: {told(row.steps)}", *lines(row.steps), ""]
    return "\n".join([*parts, str(found)])
