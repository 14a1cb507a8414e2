"""`fewstep comfy run` against a stand-in server on this machine: what a run gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_harness import WORKFLOW, entry, made, say, serving, slow
from comfy_stand_in import StandIn
from fewstep.commands import cli, comfy_run
from fewstep.commands.comfy_client import Server, server_url
from fewstep.commands.comfy_events import socket_url


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")


@pytest.fixture
def host() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


# --- what a run gives ------------------------------------------------------------------------------------------------


def test_progress_files_and_texts(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.outputs = {"2": {"images": [entry("a.png"), entry("p.png", type="temp")], "text": ["hello"]}}
    host.files = {("a.png", "", "output"): b"picture"}
    say(host)
    captured = capsys.readouterr()
    assert "My steps: 100%" in captured.err
    assert "5/5" in captured.err
    assert "/99" not in captured.err, "another prompt's progress"
    assert "Save: hello" in captured.out
    assert f"wrote {Path('out', 'a.png')}" in captured.out
    assert made() == {"a.png"}
    assert Path("out", "a.png").read_bytes() == b"picture"
    assert host.posted[0]["prompt"] == WORKFLOW
    assert not host.interrupts


def test_for_machines(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.outputs = {"2": {"gifs": [entry("a.mp4", "clips")], "text": ["x", "y"], "animated": [True]}}
    host.files = {("a.mp4", "clips", "output"): b"film"}
    say(host, "--json", "--set", "Steps.steps=3", "--set", "1.passes=2", status=2)  # no such input in the file
    assert capsys.readouterr().out == ""
    say(host, "--json", "--set", "Steps.steps=3")
    captured = capsys.readouterr()
    assert captured.err == ""
    record = json.loads(captured.out)
    assert record["prompt_id"] == host.posted[-1]["prompt_id"]
    assert record["server"] == f"http://{host.address}"
    assert 0 < record["seconds"] < 30
    path = str(Path("out", "clips", "a.mp4"))
    assert record["files"] == [{"node": "2", "title": "Save", "path": path, **entry("a.mp4", "clips")}]
    assert record["texts"] == [{"node": "2", "title": "Save", "text": text} for text in "xy"]
    assert record["progress"] == [{"node": "1", "title": "My steps", "value": 3, "total": 3}]
    assert record["left_out"] == []


def test_a_node_may_count_again(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.json").write_text(json.dumps({"1": {"class_type": "Steps", "inputs": {"steps": 3, "passes": 2}}}))
    say(host, "--json")
    passes = json.loads(capsys.readouterr().out)["progress"]
    assert [(each["title"], each["value"], each["total"]) for each in passes] == [("Steps", 3, 3)] * 2


def test_previews_where_there_is_nothing_else(host: StandIn) -> None:
    host.outputs = {"1": {"images": [entry("in.png", type="input")]}, "2": {"images": [entry("p.png", type="temp")]}}
    host.files = {("p.png", "", "temp"): b"preview"}
    say(host)
    assert made() == {"p.png"}


def test_names_never_collide(host: StandIn) -> None:
    """Not two nodes' files, not an earlier run's, and nothing outside the folder."""
    one, two = entry("a.png", "../.."), entry("a.png", "C:\\x\\..")
    host.outputs = {"1": {"images": [one, entry("a.png")]}, "2": {"images": [two, entry("a.png"), entry("../b.png")]}}
    host.files = {(*each.values(),): str(each).encode() for each in (one, two, entry("a.png"), entry("../b.png"))}
    say(host)
    expected = {"a.png", "a-2.png", "C_/x/a.png", "b.png"}
    assert made() == expected
    contents = {name: Path("out", name).read_bytes() for name in expected}
    assert sorted(contents.values()) == sorted(host.files.values())
    say(host)  # the same again: nothing new
    assert made() == expected
    host.files = {key: value + b"!" for key, value in host.files.items()}
    say(host)
    assert made() == expected | {"a-3.png", "a-4.png", "C_/x/a-2.png", "b-2.png"}
    assert contents == {name: Path("out", name).read_bytes() for name in expected}


def test_upload(host: StandIn) -> None:
    Path("café.png").write_bytes(b"\x89PNG\r\n--edge\r\n")
    Path("w.json").write_text(json.dumps({"1": {"class_type": "Load", "inputs": {"image": "x.png"}}}))
    say(host, "--set", "Load.image=@café.png")
    assert host.uploads == {"stored café.png": b"\x89PNG\r\n--edge\r\n"}
    assert host.posted[0]["prompt"]["1"]["inputs"]["image"] == "stored café.png"


@pytest.mark.parametrize("what", [{"own_ids": True}, {"old_end": True}, {"lag": 0.2}])
def test_other_servers(host: StandIn, capsys: pytest.CaptureFixture[str], what: dict[str, Any]) -> None:
    for name, value in what.items():
        setattr(host, name, value)
    say(host, "--json")
    record = json.loads(capsys.readouterr().out)
    assert record["seconds"] < comfy_run.SILENCE, "nobody should have to wait for the poll"
    assert record["progress"] == [{"node": "1", "title": "My steps", "value": 5, "total": 5}]


def test_behind_a_prefix() -> None:
    with serving(StandIn(prefix="/gpu/1")) as host:
        host.address = f"http://{host.address}/gpu/1/"
        say(host)
        assert host.connections == 1


def test_a_proxy_is_not_asked_for_this_machine(host: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    say(host)
    assert host.connections == 1


# --- the websocket is lost -------------------------------------------------------------------------------------------


def test_lost_and_found(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.drop_at = 2
    Path("w.json").write_text(json.dumps({"1": {"class_type": "Steps", "inputs": {"steps": 8, "pause": 0.3}}}))
    say(host, "--json")
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert host.connections == 2
    assert record["progress"] == [{"node": "1", "title": "Steps", "value": 8, "total": 8}]
    assert captured.err == ""


def test_a_stumble_is_no_end(host: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time without an answer counts from the last message, not from the start of a long run."""
    monkeypatch.setattr(comfy_run, "GONE", 0.5)
    host.drop_at, host.stumbles = 45, 1
    slow(50)
    say(host)
    assert host.stumbles == 0


def test_never_there(host: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    host.sockets_allowed = False
    host.outputs = {"2": {"images": [entry("a.png")]}}
    host.files = {("a.png", "", "output"): b"picture"}
    say(host)
    assert made() == {"a.png"}
    assert "websocket failed" in capsys.readouterr().err


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "http", "ws"),
    [
        ("gpu:8000", "http://gpu:8000", "ws://gpu:8000/ws"),
        ("gpu", "http://gpu:8188", "ws://gpu:8188/ws"),
        ("[::1]:8188", "http://[::1]:8188", "ws://[::1]:8188/ws"),
        ("http://gpu", "http://gpu", "ws://gpu/ws"),
        ("https://gpu:8443/comfy/", "https://gpu:8443/comfy", "wss://gpu:8443/comfy/ws"),
    ],
)
def test_addresses(text: str, http: str, ws: str) -> None:
    assert server_url(text) == http
    server = Server(text)
    assert socket_url(server) == f"{ws}?clientId={server.client_id}"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["comfy", "run", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert not [word for word in ("--server", "--set", "--out", "--timeout", "--json", "8188") if word not in text]
