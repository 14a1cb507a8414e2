"""`fewstep comfy run` against a stand-in server on this machine: what can go wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from comfy_harness import STEPS, WORKFLOW, entry, errors, made, say, serving, slow
from comfy_stand_in import StandIn
from fewstep.commands import cli, comfy_run
from fewstep.commands.comfy_client import Server

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")


@pytest.fixture
def host() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: whoever asks is refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli.main(["comfy", "run", "w.json", "--server", address]) == 2
    (line,) = errors(capsys)
    assert address in line
    assert "refused" in line
    assert "python main.py" in line


@pytest.mark.parametrize("body", ["<html>hello</html>", "[]", ""])
def test_another_kind_of_server(host: StandIn, capsys: pytest.CaptureFixture[str], body: str) -> None:
    host.answer = (200, body)
    say(host, status=2)
    (line,) = errors(capsys)
    assert "is it a ComfyUI server?" in line


def test_server_error(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.answer = (500, "500 Internal Server Error\n\nServer got itself in trouble")
    say(host, status=2)
    (line,) = errors(capsys)
    assert "HTTP 500" in line
    assert "got itself in trouble" in line


STEPS_WRONG = {
    "errors": [
        {"message": "Value 0 smaller than min of 1", "details": "steps", "extra_info": {"input_name": "steps"}},
        {"message": "Value not in list", "details": "mode: 'x' not in ['y']", "extra_info": {"input_name": "mode"}},
    ]
}
SAVE_WRONG = {"errors": [{"message": "Custom", "details": "why", "extra_info": {}}]}


def test_refused(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
    host.answer = (400, {"error": error, "node_errors": {"1": STEPS_WRONG, "2": SAVE_WRONG}})
    say(host, status=2)
    assert errors(capsys) == [
        "fewstep: node 'My steps' (id 1), input 'steps': Value 0 smaller than min of 1",
        "fewstep: node 'My steps' (id 1), input 'mode': Value not in list: 'x' not in ['y']",
        "fewstep: node 'Save' (id 2): Custom: why",
    ]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            {"message": "Node 'X' not found.", "details": "Node ID '#1'", "extra_info": {"node_id": "1"}},
            "fewstep: node 'My steps' (id 1): Node 'X' not found.: Node ID '#1'",
        ),
        ({"message": "Prompt has no outputs", "details": ""}, "fewstep: Prompt has no outputs"),
        ("no prompt", "fewstep: no prompt"),
    ],
)
def test_refused_as_a_whole(host: StandIn, capsys: pytest.CaptureFixture[str], error: Any, line: str) -> None:
    host.answer = (400, {"error": error, "node_errors": {}})
    say(host, status=2)
    assert errors(capsys) == [line]


def test_a_part_is_left_out(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """The server runs the outputs that are good; a script must still see that it did not get everything."""
    host.node_errors = {"2": SAVE_WRONG}
    say(host, "--json", status=1)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["left_out"] == ["node 'Save' (id 2): Custom: why"]
    assert "left out by the server: node 'Save' (id 2)" in captured.err


def test_a_node_fails(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.json").write_text(json.dumps({"1": {**STEPS, "inputs": {"steps": 5, "fail_at": 3}}}))
    say(host, status=1)
    assert errors(capsys) == ["fewstep: node 'My steps' (id 1), Steps: ValueError: bad luck"]


def test_somebody_else_interrupts(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    slow()

    def interrupt() -> None:
        host.wait_for(steps=2)
        Server(host.address).cancel(host.posted[0]["prompt_id"])

    other = threading.Thread(target=interrupt)
    other.start()
    say(host, status=1)
    other.join()
    (line,) = errors(capsys)
    assert "interrupted on the server" in line


def test_timeout_interrupts(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    slow()
    say(host, "--timeout", "1", status=1)
    assert host.interrupts == [{"prompt_id": host.posted[0]["prompt_id"]}]
    (line,) = errors(capsys)
    assert "within 1 s" in line
    assert "was interrupted" in line


def test_timeout_in_the_queue(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.hold, host.busy_with = True, "another"
    say(host, "--timeout", "0.3", status=1)
    assert host.deleted == [host.posted[0]["prompt_id"]]
    assert host.interrupts == [], "somebody else's prompt"
    (line,) = errors(capsys)
    assert "removed from the queue" in line


@pytest.mark.parametrize("chatter", [False, True])
def test_removed_from_the_queue(
    host: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, chatter: bool
) -> None:
    monkeypatch.setattr(comfy_run, "SILENCE", 0.1)
    host.hold, host.chatter = True, chatter

    def remove() -> None:
        host.wait_for(posts=1)
        Server(host.address).cancel(host.posted[0]["prompt_id"])

    other = threading.Thread(target=remove)
    other.start()
    say(host, status=1)
    other.join()
    (line,) = errors(capsys)
    assert "gone from the server" in line


def test_the_server_dies(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfy_run, "GONE", 0.2)
    slow()
    with ExitStack() as stack:
        host = stack.enter_context(serving(StandIn()))

        def die() -> None:
            host.wait_for(steps=2)
            stack.close()

        other = threading.Thread(target=die)
        other.start()
        say(host, status=1)
        other.join()
    (line,) = errors(capsys)
    assert f"the server at http://{host.address} went away" in line


def test_a_file_is_missing(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.outputs = {"2": {"images": [entry("a.png")]}}
    say(host, status=2)
    (line,) = errors(capsys)
    assert "HTTP 404" in line
    assert made() == set()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--server", "http://h:port"), "--server is 'http://h:port'"),
        (("--server", "ftp://h:1"), "HOST:PORT"),
        (("--server", ""), "HOST:PORT"),
        (("--timeout", "0"), "--timeout is 0"),
        (("--timeout", "nan"), "--timeout is nan"),
        (("--out", "w.json"), "a file"),
        (("--set", "1.steps"), "NODE.INPUT=VALUE"),
    ],
)
def test_bad_input(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str) -> None:
    assert cli.main(["comfy", "run", "w.json", *words]) == 2
    (line,) = errors(capsys)
    assert expected in line


def test_no_such_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["comfy", "run", "nothing.json"]) == 2
    (line,) = errors(capsys)
    assert "nothing.json" in line


def test_a_missing_package_is_named(
    host: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "websocket", None)  # Python's way to say: not installed
    say(host, status=2)
    (line,) = errors(capsys)
    assert 'pip install "fewstep[comfy]"' in line


# --- Ctrl-C, in a process of its own ---------------------------------------------------------------------------------


def interrupted(host: StandIn, **reached: int) -> bytes:
    words = [sys.executable, "-W", "error", str(ROOT), "comfy", "run", "w.json", "--server", host.address]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert running.stderr is not None
    try:
        host.wait_for(**reached)
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
        assert running.wait(timeout=60) == 130, said
    finally:
        running.kill()
        running.wait()
        running.stderr.close()
    assert b"Traceback" not in said
    return said


def test_interrupt_our_own(host: StandIn) -> None:
    slow()
    said = interrupted(host, steps=3)
    assert host.interrupts == [{"prompt_id": host.posted[0]["prompt_id"]}]
    assert b"was interrupted" in said


def test_interrupt_while_another_runs(host: StandIn) -> None:
    host.hold, host.busy_with = True, "another"
    said = interrupted(host, posts=1)
    assert host.interrupts == []
    assert host.deleted == [host.posted[0]["prompt_id"]]
    assert b"removed from the queue" in said
