"""`fewstep demo`: the main job of `make demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "compare several solvers on both demo networks, beside a many-call reference"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="out", metavar="FOLDER", help="where the results go (default out)")


def run(args: argparse.Namespace) -> int:
    from .showcase import main  # torch and matplotlib

    return main(Path(args.out))
