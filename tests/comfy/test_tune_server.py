"""Tuning on a running server: its own interrupt, and the second run that goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import fewstep
import pytest
from test_nodes import WIRES, base, node

pytestmark = pytest.mark.filterwarnings("ignore")


def test_an_interrupted_tuning_goes_on_when_it_is_queued_again(server: Any) -> None:
    graph = base("flow", 1) | {
        "tune": node(
            "FewstepTune", **WIRES, cfg=1.0, calls="4, 6", samples=12, seed=3, name="on a server", run="tune",
            options="teacher_calls=18, rounds=6",
        ),
    }  # fmt: skip
    path = Path(os.environ["FEWSTEP_DATA"]) / "profiles" / "on a server.safetensors"  # the server's folder too
    status, answer = server.post("/prompt", {"prompt": graph, "client_id": "tests"})
    assert status == 200, answer
    wait(path.is_file)
    server.post("/interrupt", {})
    entry = wait(lambda: server.get(f"/history/{answer['prompt_id']}").get(answer["prompt_id"]))
    assert "execution_interrupted" in [kind for kind, _ in entry["status"]["messages"]]
    first = fewstep.load_profile(path)
    assert list(first.entries) == [4]

    entry = server.finish(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert "6 calls: " in entry["outputs"]["tune"]["text"][0]
    second = fewstep.load_profile(path)
    assert list(second.entries) == [4, 6]
    assert second.plan(4).calls == first.plan(4).calls
    menu = server.get("/object_info/FewstepTunedSampler")["FewstepTunedSampler"]["input"]["required"]["profile"]
    assert "on a server" in menu[0]
    # nothing changed: it is not made again
    assert "tune" in cached(server.finish(graph))

    graph = base("flow", 1) | {
        "tuned": node("FewstepTunedSampler", model=["demo", 0], profile="on a server", steps=6),
        "text": node("PreviewAny", source=["tuned", 2]),
    }
    assert "6 calls: " in server.finish(graph)["outputs"]["text"]["text"][0]
    assert "tuned" in cached(server.finish(graph))
    second.save(path)  # another tuning of this name
    assert "tuned" not in cached(server.finish(graph))


def cached(entry: Any) -> list[str]:
    """The nodes of a prompt that the host did not run again."""
    assert entry["status"]["status_str"] == "success", entry["status"]
    return [name for kind, told in entry["status"]["messages"] if kind == "execution_cached" for name in told["nodes"]]


def wait(found: Any, seconds: float = 120) -> Any:
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return value
