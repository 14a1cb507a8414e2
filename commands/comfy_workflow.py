"""A ComfyUI workflow in API format: reading the file, finding a node by name, setting inputs from text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..samplers.names import nearest


@dataclass(frozen=True)
class Workflow:
    """The nodes of a workflow: {id: {"class_type", "inputs", "_meta"?}}, as the server takes them."""

    nodes: dict[str, dict[str, Any]]

    def title(self, node: str) -> str:
        """What people call a node: its title, else its class; its id where the file does not know it."""
        found = self.nodes.get(node)
        if found is None:  # made while the workflow runs, by a node that expands into others
            return node
        return _title(found) or str(found["class_type"])

    def label(self, node: str) -> str:
        """Title and id, for messages."""
        return f"node {self.title(node)!r} (id {node})" if node in self.nodes else f"node {node}"

    def find(self, name: str) -> list[str]:
        """Ids of the nodes that `name` may mean: by id, else by title, else by class."""
        if name in self.nodes:
            return [name]
        titled = [node for node, each in self.nodes.items() if _title(each) == name]
        return titled or [node for node, each in self.nodes.items() if each["class_type"] == name]

    def names(self) -> set[str]:
        titles = {_title(each) for each in self.nodes.values()} - {None}
        return {*self.nodes, *(str(title) for title in titles), *(each["class_type"] for each in self.nodes.values())}


def _title(node: dict[str, Any]) -> str | None:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) and title else None


def load(path: Path) -> Workflow:
    """Reads a file in API format, alone or as the body of POST /prompt; ValueError says what else it is."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # of JSON, or of the text's encoding
        raise ValueError(f"{path} is no JSON ({error}); expected a workflow in API format") from error
    if isinstance(data, dict) and isinstance(data.get("nodes"), list) and "links" in data:
        raise ValueError(
            f"{path} is a workflow in UI format, expected API format; open it in ComfyUI and choose Export (API) "
            "in the workflow menu"
        )
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"]:
        data = data["prompt"]
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{path} is no workflow; expected JSON of the form {{id: {{class_type, inputs}}}}")
    for node, each in data.items():
        good = isinstance(each, dict) and isinstance(each.get("class_type"), str)
        if not (good and isinstance(each.get("inputs"), dict)):
            raise ValueError(f"{path} is no workflow in API format: node {node!r} has no class_type and inputs")
    return Workflow(data)


# --- --set -----------------------------------------------------------------------------------------------------------


def set_inputs(
    workflow: Workflow,
    pairs: Sequence[str],
    upload: Callable[[Path], str],
    inputs_of: Callable[[str], Mapping[str, Any]],
) -> None:
    """Applies NODE.INPUT=VALUE texts.

    upload     takes a file to the server and returns its name there
    inputs_of  class of nodes -> {input: default}, asked of the server for an input that the file leaves out

    Raises ValueError for a name that does not exist or fits several nodes, before anything is uploaded or set.
    """
    changes: dict[tuple[str, str], Any] = {}
    for pair in pairs:
        target, equals, text = pair.partition("=")
        if not (equals and "." in target):
            raise ValueError(f"--set is {pair!r}, expected NODE.INPUT=VALUE, as in 'KSampler.steps=8'")
        node, name, old = _place(workflow, target, inputs_of)
        if (node, name) in changes:
            raise ValueError(f"--set {target} is given twice; keep one")
        changes[node, name] = _value(text, old, workflow, target)
    for (node, name), value in changes.items():
        workflow.nodes[node]["inputs"][name] = upload(value) if isinstance(value, Path) else value


def _place(workflow: Workflow, target: str, inputs_of: Callable[[str], Mapping[str, Any]]) -> tuple[str, str, Any]:
    """(node id, input, its value or default) of NODE.INPUT. Titles and inputs may hold dots, so every dot is tried."""
    splits = [(target[:at], target[at + 1 :]) for at, letter in enumerate(target) if letter == "."]
    known = [(name, field, workflow.find(name)) for name, field in splits if workflow.find(name)]
    if not known:
        raise ValueError(nearest("node", target.rpartition(".")[0], workflow.names()))
    exact = [each for each in known if any(each[1] in workflow.nodes[node]["inputs"] for node in each[2])]
    name, field, found = (exact or known)[0]
    if len(found) > 1:
        candidates = ", ".join(workflow.label(node) for node in found)
        raise ValueError(f"--set {target}: {name!r} fits {len(found)} nodes, use an id; they are {candidates}")
    (node,) = found
    inputs: Mapping[str, Any] = workflow.nodes[node]["inputs"]
    if field not in inputs:
        inputs = {**inputs_of(workflow.nodes[node]["class_type"]), **inputs}
    if field not in inputs:
        raise ValueError(f"{workflow.label(node)}: {nearest('input', field, inputs)}")
    return node, field, inputs[field]


def _value(text: str, old: Any, workflow: Workflow, target: str) -> Any:
    """A path to upload for @FILE; JSON where it parses and is of the old value's kind; else the text itself."""
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        if not path.is_file():
            raise ValueError(f"--set {target}={text}: there is no file {str(path)!r}")
        return path
    try:
        new = json.loads(text, parse_constant=_refuse)
    except ValueError:
        new = text
    if _is_link(new) and new[0] in workflow.nodes:
        return new
    if isinstance(old, bool) and not isinstance(new, bool):
        # a host takes any text for true, "False" too
        raise ValueError(f"--set {target} is {text!r}, expected true or false")
    return new if old is None or _is_link(old) or _kind(new) is _kind(old) else text


def _is_link(value: Any) -> bool:
    """[node id, output slot]"""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _kind(value: Any) -> type:
    """API files hold 8.0 as 8, so all numbers are of one kind; true and false are not numbers."""
    return float if type(value) is int else type(value)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
