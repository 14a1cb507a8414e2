"""Tells the page the levels that a sampler node really ran on: its output is used after the node has finished."""

from __future__ import annotations

from typing import Any

from . import host_server

EVENT = "fewstep.plot"


def show(node: str | None, plot: dict[str, Any]) -> None:
    """Sends a plot to the page for the node with this id; nothing where the host does not run as a server."""
    server = host_server.running()
    if server is not None and node is not None:
        server.send_sync(EVENT, {"node": str(node), "plot": plot}, server.client_id)
