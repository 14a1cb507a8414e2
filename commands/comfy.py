"""`fewstep comfy run`: a workflow on a running ComfyUI server, without a browser."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .comfy_client import Server, WorkflowError

if TYPE_CHECKING:
    from .comfy_run import Result
    from .comfy_workflow import Workflow

HELP = "run workflows on a ComfyUI server, without a browser"

_RUN = "run a workflow file in API format: show its progress, save its files, print its texts"


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = actions.add_parser("run", help=_RUN, description=_RUN[0].upper() + _RUN[1:] + ".")
    run.add_argument("workflow", metavar="WORKFLOW.json", help="as ComfyUI's Export (API) writes it")
    run.add_argument(
        "--server", default="127.0.0.1:8188", metavar="ADDRESS",
        help="HOST:PORT or http(s)://HOST:PORT/PREFIX (default 127.0.0.1:8188)",
    )  # fmt: skip
    run.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", dest="changes",
        help="change an input; NODE is an id, a title or a class, VALUE is JSON or text, @FILE uploads a picture; "
        "repeatable",
    )  # fmt: skip
    run.add_argument("--out", default="out", metavar="FOLDER", help="where the files go (default out)")
    run.add_argument("--timeout", type=float, metavar="S", help="stop the workflow after S seconds (default: never)")
    run.add_argument("--json", action="store_true", help="print a record of the run, show no progress bars")


def run(args: argparse.Namespace) -> int:
    try:
        return _run(args)
    except WorkflowError as failure:
        for line in failure.lines:
            print(f"fewstep: {line}", file=sys.stderr)
        return failure.status


def _run(args: argparse.Namespace) -> int:
    from . import comfy_run, comfy_workflow

    if args.timeout is not None and not (math.isfinite(args.timeout) and args.timeout > 0):
        raise ValueError(f"--timeout is {args.timeout:g}, expected seconds above 0")
    server = Server(args.server)
    workflow = comfy_workflow.load(Path(args.workflow))
    folder = Path(args.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out is {args.out!r}, a file; give the name of a folder")
    comfy_workflow.set_inputs(workflow, args.changes, server.upload, server.inputs_of)
    try:
        result = comfy_run.run(server, workflow, args.timeout, show=not args.json)
    except comfy_run.Interrupted as stop:
        print(f"\nfewstep: {stop}", end="", file=sys.stderr)
        raise
    _report(server, workflow, result, folder, args.json)
    if result.trouble:
        print(f"fewstep: progress is incomplete, the websocket failed ({result.trouble})", file=sys.stderr)
    for line in result.left_out:
        print(f"fewstep: left out by the server: {line}", file=sys.stderr)
    return 1 if result.left_out else 0


def _report(server: Server, workflow: Workflow, result: Result, folder: Path, as_json: bool) -> None:
    """Saves the files and says what there is."""
    from .comfy_outputs import files_of, save, texts_of

    texts = [{"node": node, "title": workflow.title(node), "text": text} for node, text in texts_of(result.outputs)]
    files = [
        {"node": node, "title": workflow.title(node), "path": str(save(server, entry, folder)), **entry}
        for node, entry in files_of(result.outputs)
    ]
    if as_json:
        record = {"server": server.url, "prompt_id": result.prompt_id, "seconds": result.seconds}
        record |= {"files": files, "texts": texts, "progress": result.progress, "left_out": list(result.left_out)}
        print(json.dumps(record, indent=2))
        return
    for each in texts:
        print(f"{each['title']}: {each['text']}")
    for each in files:
        print(f"wrote {each['path']}")
    counts = ", ".join(
        f"{len(each)} {name}{'s' * (len(each) != 1)}" for name, each in (("file", files), ("text", texts))
    )
    print(f"{counts}, {result.seconds:.2f} s; prompt {result.prompt_id}")
