"""Workflow files and --set, without a server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fewstep.commands.comfy_workflow import Workflow, load, set_inputs

NODES: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"steps": 20, "cfg": 8, "sampler_name": "euler", "model": ["4", 0], "add": True, "extra": None},
        "_meta": {"title": "My v1.5 sampler"},
    },
    "4": {"class_type": "Loader", "inputs": {"name": "a.safetensors"}, "_meta": {"title": "Loader"}},
    "6": {"class_type": "Encode", "inputs": {"text": "a cat"}, "_meta": {"title": "Prompt"}},
    "7": {"class_type": "Encode", "inputs": {"text": "", "text.more": "x"}, "_meta": {"title": "Prompt"}},
    "57:8": {"class_type": "Steps", "inputs": {"solver.order": 3}},
}


@pytest.fixture
def workflow() -> Workflow:
    return Workflow(json.loads(json.dumps(NODES)))


def offered(kind: str) -> dict[str, Any]:
    """What a server says of the inputs of a class, with their defaults."""
    return {"denoise": 1.0, "options": "", "cfg_pp": False, "model": None} if kind == "KSampler" else {}


def no_upload(path: Path) -> str:
    raise AssertionError(f"{path} was uploaded")


@pytest.mark.parametrize(
    ("text", "node", "field", "value"),
    [
        ("3.steps=8", "3", "steps", 8),
        ("My v1.5 sampler.steps=8", "3", "steps", 8),
        ("KSampler.steps=8", "3", "steps", 8),
        ("3.cfg=5.5", "3", "cfg", 5.5),  # 8.0 is 8 in the file
        ("3.steps=many", "3", "steps", "many"),  # the server says what it thinks of it
        ("3.steps=true", "3", "steps", "true"),
        ("3.steps=NaN", "3", "steps", "NaN"),
        ("3.add=false", "3", "add", False),
        ("3.sampler_name=dpmpp_3m", "3", "sampler_name", "dpmpp_3m"),
        ("3.extra=[1, 2]", "3", "extra", [1, 2]),
        ("3.denoise=0.5", "3", "denoise", 0.5),  # not in the file, but the server knows it
        ("3.options=8", "3", "options", "8"),
        ("3.cfg_pp=true", "3", "cfg_pp", True),
        ("6.text=8", "6", "text", "8"),
        ('6.text="quoted"', "6", "text", "quoted"),
        ('6.text="@home"', "6", "text", "@home"),
        ("6.text=a = b, c.d", "6", "text", "a = b, c.d"),
        ("6.text=", "6", "text", ""),
        ("3.model=none", "3", "model", "none"),
        ("3.model=2", "3", "model", 2),
        ('6.text=["4", 0]', "6", "text", ["4", 0]),
        ('6.text=["99", 0]', "6", "text", '["99", 0]'),  # no such node: a text
        ("7.text.more=y", "7", "text.more", "y"),
        ("57:8.solver.order=2", "57:8", "solver.order", 2),
        ("Steps.solver.order=2", "57:8", "solver.order", 2),
        ("Loader.name=b", "4", "name", "b"),  # a title and a class of one node
    ],
)
def test_set(workflow: Workflow, text: str, node: str, field: str, value: object) -> None:
    set_inputs(workflow, [text], no_upload, offered)
    new = workflow.nodes[node]["inputs"].pop(field)
    assert (new, type(new)) == (value, type(value))
    if field in NODES[node]["inputs"]:
        workflow.nodes[node]["inputs"][field] = NODES[node]["inputs"][field]
    assert workflow.nodes == NODES, "something else has changed"


def test_set_uploads(workflow: Workflow, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.touch()
    uploaded: list[Path] = []

    def upload(path: Path) -> str:
        uploaded.append(path)
        return "a (1).png"

    set_inputs(workflow, [f"4.name=@{picture}", "3.steps=4"], upload, offered)
    assert uploaded == [picture]
    assert workflow.nodes["4"]["inputs"]["name"] == "a (1).png"
    assert workflow.nodes["3"]["inputs"]["steps"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3.steps", ("'3.steps'", "NODE.INPUT=VALUE")),
        ("steps=3", ("'steps=3'", "NODE.INPUT=VALUE")),
        ("KSampler.stps=3", ("unknown input 'stps'", "did you mean 'steps'", "'My v1.5 sampler' (id 3)")),
        ("KSmpler.steps=3", ("unknown node 'KSmpler'", "did you mean 'KSampler'", "57:8", "Prompt")),
        ("Prompt.text=x", ("'Prompt' fits 2 nodes", "id 6", "id 7")),
        ("Encode.text=x", ("'Encode' fits 2 nodes", "id 6", "id 7")),
        ("3.add=yes", ("'yes'", "true or false")),
        ("4.name=@nowhere.png", ("no file 'nowhere.png'",)),
    ],
)
def test_bad_set(workflow: Workflow, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        set_inputs(workflow, ["6.text=before", text], no_upload, offered)
    assert not [word for word in words if word not in str(caught.value)], caught.value
    assert workflow.nodes == NODES


def test_one_of_several_nodes_is_enough_to_be_ambiguous(workflow: Workflow) -> None:
    """Only node 7 has this input, but it would be a guess that 7 is meant, and 6 might get one tomorrow."""
    with pytest.raises(ValueError, match="fits 2 nodes"):
        set_inputs(workflow, ["Prompt.text.more=x"], no_upload, offered)


def test_set_twice(workflow: Workflow) -> None:
    with pytest.raises(ValueError, match="twice"):
        set_inputs(workflow, ["3.steps=1", "KSampler.steps=2"], no_upload, offered)


@pytest.mark.parametrize("data", [NODES, {"prompt": NODES, "client_id": "x"}])
def test_load(tmp_path: Path, data: object) -> None:
    path = tmp_path / "w.json"
    path.write_text("\ufeff" + json.dumps(data), encoding="utf-8")  # as some editors begin a file
    assert load(path).nodes == NODES


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"nodes": [], "links": [], "version": 0.4}', ("UI format", "Export (API)")),
        (b"{nodes}", ("no JSON",)),
        (b"\x89PNG\r\n\x1a\n\xff", ("no JSON",)),
        (b"[]", ("no workflow",)),
        (b"{}", ("no workflow",)),
        (b'{"3": {"class_type": "KSampler"}}', ("node '3'", "inputs")),
        (b'{"3": {"inputs": {}}}', ("node '3'", "class_type")),
        (b'{"version": 1}', ("node 'version'",)),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.json") as caught:
        load(path)
    assert not [word for word in words if word not in str(caught.value)], caught.value
