"""POST /fewstep/plan: the plan of a node's widgets, for the plot on the node. The only route."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from . import host_server

PATH = "/fewstep/plan"
LARGEST = 64 * 1024
log = logging.getLogger("fewstep")


def answer(body: bytes) -> tuple[int, dict[str, Any]]:
    """(HTTP status, JSON) for a request's body: 200 and the plot, or 400 and {"error": what is wrong}."""
    if len(body) > LARGEST:
        return 400, {"error": f"the request holds more than {LARGEST} bytes"}
    from .plot_data import from_widgets

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
    if any(getattr(route, "path", None) == PATH for route in server.routes):
        log.warning("fewstep: %s is there already; is fewstep twice in custom_nodes? Keep one", PATH)
        return
    import aiohttp
    from aiohttp import web

    @server.routes.post(PATH)  # type: ignore[untyped-decorator]
    async def plan(request: Any) -> Any:
        body = bytearray()
        try:
            async for part in request.content.iter_chunked(8192):
                body += part
                if len(body) > LARGEST:
                    break
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError) as error:  # a false Content-Encoding
            return web.json_response({"error": f"the request cannot be read: {error}"}, status=400)
        # a plan of 1000 calls takes a tenth of a second, and the server has other things to do
        status, found = await asyncio.get_running_loop().run_in_executor(None, answer, bytes(body))
        return web.json_response(found, status=status)
