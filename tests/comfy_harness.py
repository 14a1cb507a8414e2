"""What the tests of `fewstep comfy run` share: a served stand-in, a workflow, and how they ask for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfy_stand_in import StandIn
from fewstep.commands import cli

STEPS = {"class_type": "Steps", "inputs": {"steps": 5}, "_meta": {"title": "My steps"}}
SAVE = {"class_type": "Save", "inputs": {"images": ["1", 0]}}
WORKFLOW: dict[str, Any] = {"1": STEPS, "2": SAVE}


def entry(filename: str, subfolder: str = "", type: str = "output") -> dict[str, str]:
    return {"filename": filename, "subfolder": subfolder, "type": type}


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Runs it on a free port of 127.0.0.1 until the block ends."""
    loop = asyncio.new_event_loop()
    up = threading.Event()
    down = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(stand_in.app(), shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stand_in.address = f"127.0.0.1:{runner.addresses[0][1]}"
        worker = asyncio.create_task(stand_in.work())
        up.set()
        await down.wait()
        worker.cancel()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="stand-in")
    thread.start()
    try:
        assert up.wait(timeout=30)
        yield stand_in
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join(timeout=30)
        assert not thread.is_alive()
        loop.close()


def say(host: StandIn, *words: str, status: int = 0) -> int:
    got = cli.main(["comfy", "run", "w.json", "--server", host.address, *words])
    assert got == status
    return got


def made() -> set[str]:
    return {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr that are not progress bars; nothing may be on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return [line for line in captured.err.splitlines() if line.startswith("fewstep: ")]


def slow(steps: int = 500) -> None:
    Path("w.json").write_text(json.dumps({"1": {**STEPS, "inputs": {"steps": steps, "pause": 0.02}}}))
