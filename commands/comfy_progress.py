"""Progress bars for a running workflow: one for each node that reports progress, and for each pass of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from .comfy_workflow import Workflow


@dataclass
class _Pass:
    node: str
    title: str
    value: float
    total: float
    bar: Any = field(repr=False)


class Progress:
    """Takes (node, value, total) as they come; `passes` is what was seen, in order."""

    def __init__(self, workflow: Workflow, show: bool) -> None:
        self._workflow = workflow
        self._show = show
        self._shown_as: dict[str, str] = {}
        self.passes: list[_Pass] = []

    def name(self, node: str, shown_as: str) -> None:
        """A node that was made while running belongs to the node that people see."""
        self._shown_as[node] = shown_as

    def update(self, node: str, value: float, total: float) -> None:
        now = next((each for each in reversed(self.passes) if each.node == node), None)
        if now is None or value < now.value:  # a node may count from the start again, as hires fixes do
            self._close([each for each in self.passes if each.value >= each.total or each.node == node])
            title = self._workflow.title(self._shown_as.get(node, node))
            bar = tqdm(total=total, desc=title, unit="step", disable=not self._show)
            now = _Pass(node, title, 0, total, bar)
            self.passes.append(now)
        now.bar.total = now.total = total
        now.bar.update(value - now.value)
        now.value = value

    def close(self) -> None:
        self._close(self.passes)

    def _close(self, passes: list[_Pass]) -> None:
        for each in passes:
            each.bar.close()

    def records(self) -> list[dict[str, Any]]:
        """As JSON values."""
        return [{name: getattr(each, name) for name in ("node", "title", "value", "total")} for each in self.passes]
