"""Our ComfyUI nodes without the host: the classes by id, found in nodes/*.py, which import nothing of the host."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "nodes"


def node_classes() -> dict[str, Any]:
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        if "def INPUT_TYPES" in path.read_text(encoding="utf-8"):
            module = import_module(f"fewstep.nodes.{path.stem}")
            own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
            found |= {value.__name__: value for value in own if hasattr(value, "INPUT_TYPES")}
    return found


def inputs_of(node: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The inputs that a person sees, in the order in which the host shows them."""
    groups = node.INPUT_TYPES()
    return {**groups.get("required", {}), **groups.get("optional", {})}
