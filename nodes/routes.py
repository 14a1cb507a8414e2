"""POST /fewstep/plan: the plan of a node's widgets, for the plot on the node. The only route."""

from __future__ import annotations

import json
from typing import Any

from . import host_server
from .plot_data import from_widgets

LARGEST = 64 * 1024


def answer(body: bytes) -> tuple[int, dict[str, Any]]:
    """(HTTP status, JSON) for a request's body: 200 and the plot, or 400 and {"error": what is wrong}."""
    if len(body) > LARGEST:
        return 400, {"error": f"the request holds more than {LARGEST} bytes"}
    try:
        return 200, from_widgets(json.loads(body))
    except RecursionError:
        return 400, {"error": "the request is nested too deeply"}
    except (ValueError, ArithmeticError) as error:  # bad JSON, bad values, numbers beyond float64
        return 400, {"error": str(error)}


def register() -> None:
    """Adds the route where the host runs as a server; used as a library it has none, and there is nothing to add."""
    server = host_server.running()
    if server is None:
        return
    from aiohttp import web

    @server.routes.post("/fewstep/plan")  # type: ignore[untyped-decorator]
    async def plan(request: Any) -> Any:
        body = bytearray()
        async for part in request.content.iter_chunked(8192):
            body += part
            if len(body) > LARGEST:
                break
        status, found = answer(bytes(body))
        return web.json_response(found, status=status)
