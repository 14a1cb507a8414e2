"""The parser and the exit codes: 0 done, 1 the run failed, 2 bad input (one line on stderr), 130 interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from . import comfy, compare, demo, list, plot, sample, statistics, tune
from .arguments import known_ids

#: in the order of the help page; each module has HELP, add(parser) and run(args) -> exit status
COMMANDS = {
    "list": list,
    "plot": plot,
    "sample": sample,
    "compare": compare,
    "tune": tune,
    "statistics": statistics,
    "demo": demo,
    "comfy": comfy,
}
#: those that take ids of solvers and schedules: their help pages end with a list of these
_TAKE_IDS = ("list", "plot", "sample", "compare")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse prints the usage too."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    # the folder of a checkout may have any name; people type `fewstep`
    parser = _Parser(
        prog="fewstep",
        description="DEIS, DPM-Solver and DPM-Solver++ as plans: n steps are n model calls.",
        epilog="fewstep COMMAND --help says more, fewstep list shows all solvers and schedules.",
    )
    parser.add_argument("--version", action="version", version=f"fewstep {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        each = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=_wrapped(known_ids()) if name in _TAKE_IDS else "",
        )
        module.add(each)
    return parser


def _wrapped(text: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(each, 78, subsequent_indent="  ") for each in paragraphs)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; errors of use become one line on stderr."""
    args = _parser().parse_args(argv)
    try:
        status: int = COMMANDS[args.command].run(args)
        sys.stdout.flush()  # here, so that a reader that has gone away is noticed below
        return status
    except (ValueError, FloatingPointError, ModuleNotFoundError, OSError) as error:
        return _report(error)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # leaves the line of the progress bar
        return 128 + signal.SIGINT


def _report(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):  # `fewstep list | head`
        # the interpreter flushes stdout once more at exit and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "fewstep").startswith("fewstep"):
            raise error  # a fault of ours, not of the installation
        text = f"this command needs {error.name}, which is not installed; pip install {error.name}"
    print(f"fewstep: {text}", file=sys.stderr)
    return 1 if isinstance(error, FloatingPointError) else 2
