"""A server on this machine that speaks the part of ComfyUI's protocol that running a workflow needs.

It runs one prompt after another, as the real one does. A node "Steps" reports progress, every other node is instant;
what nodes show is given by the test. tests/comfy/test_headless.py asks a real ComfyUI the same questions.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from typing import Any

from aiohttp import WSMsgType, web


class StandIn:
    """What the test says beforehand and reads afterwards; everything else happens in the server's own thread."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.address = ""
        # --- what the test says
        self.outputs: dict[str, Any] = {}  # node id -> what it shows
        self.files: dict[tuple[str, str, str], bytes] = {}  # (filename, subfolder, type) -> content
        self.answer: tuple[int, Any] | None = None  # to POST /prompt, instead of queueing
        self.node_errors: dict[str, Any] = {}
        self.own_ids = False  # servers before 2025 choose the prompt id
        self.old_end = False  # servers before 2024-07 end with "executing" None alone
        self.lag = 0.0  # seconds from the last message to the record in the history
        self.sockets_allowed = True
        self.drop_at = 0  # the websocket is cut when a node reaches this step, once
        self.stumbles = 0  # so many questions about the queue are answered with an error
        self.hold = False  # prompts stay pending
        self.chatter = False  # an extension tells every client about the machine, all the time
        self.busy_with = ""  # another client's prompt, which runs for ever
        # --- what the test reads
        self.posted: list[dict[str, Any]] = []
        self.interrupts: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.connections = 0
        self.reached = threading.Condition()
        self.steps = 0
        # --- its own state
        self._queue: dict[str, dict[str, Any]] = {}
        self._running = ""
        self._interrupted = False
        self._history: dict[str, Any] = {}
        self._sockets: dict[str, web.WebSocketResponse] = {}

    def wait_for(self, steps: int = 0, posts: int = 0) -> None:
        with self.reached:
            assert self.reached.wait_for(lambda: self.steps >= steps and len(self.posted) >= posts, timeout=30)

    def _reach(self, **values: Any) -> None:
        with self.reached:
            for name, value in values.items():
                setattr(self, name, value)
            self.reached.notify_all()

    # --- HTTP

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get(f"{self.prefix}/ws", self._ws),
                web.post(f"{self.prefix}/prompt", self._prompt),
                web.get(f"{self.prefix}/queue", self._show_queue),
                web.post(f"{self.prefix}/queue", self._delete),
                web.get(f"{self.prefix}/history/{{id}}", self._show_history),
                web.post(f"{self.prefix}/interrupt", self._interrupt),
                web.post(f"{self.prefix}/upload/image", self._upload),
                web.get(f"{self.prefix}/view", self._view),
            ]
        )
        app.on_shutdown.append(self._hang_up)
        return app

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._reach(posted=[*self.posted, body])
        if self.answer is not None:
            status, data = self.answer
            return web.Response(status=status, text=data if isinstance(data, str) else json.dumps(data))
        prompt_id = uuid.uuid4().hex if self.own_ids else body["prompt_id"]
        self._queue[prompt_id] = body
        return web.json_response({"prompt_id": prompt_id, "number": 1, "node_errors": self.node_errors})

    async def _show_queue(self, request: web.Request) -> web.Response:
        if self.stumbles:
            self.stumbles -= 1
            return web.Response(status=502)
        running = [[0, each, {}, {}, []] for each in (self.busy_with, self._running) if each]
        pending = [[1, each, {}, {}, []] for each in self._queue]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _delete(self, request: web.Request) -> web.Response:
        for each in (await request.json())["delete"]:
            self.deleted.append(each)
            self._queue.pop(each, None)
        return web.Response()

    async def _show_history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        found = self._history.get(prompt_id)
        return web.json_response({prompt_id: found} if found else {})

    async def _interrupt(self, request: web.Request) -> web.Response:
        self.interrupts.append(await request.json())
        self._interrupted = True
        return web.Response()

    async def _upload(self, request: web.Request) -> web.Response:
        field = (await request.post())["image"]
        name = f"stored {field.filename}"
        self.uploads[name] = field.file.read()
        return web.json_response({"name": name, "subfolder": "", "type": "input"})

    async def _view(self, request: web.Request) -> web.Response:
        key = tuple(request.query[name] for name in ("filename", "subfolder", "type"))
        return web.Response(body=self.files[key]) if key in self.files else web.Response(status=404)

    # --- websocket

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self.sockets_allowed:
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        client = request.query["clientId"]
        self._sockets[client] = socket
        await socket.send_json({"type": "status", "data": {"status": {}, "sid": client}})
        async for message in socket:
            assert message.type == WSMsgType.TEXT
        return socket

    async def _hang_up(self, app: web.Application) -> None:
        for socket in self._sockets.values():
            await socket.close()

    async def _send(self, body: dict[str, Any], kind: str, **data: Any) -> None:
        socket = self._sockets.get(body["client_id"])
        if socket is not None and not socket.closed:
            await socket.send_json({"type": kind, "data": data})

    # --- running

    async def work(self) -> None:
        while True:
            if self.hold or not self._queue:
                for socket in self._sockets.values() if self.chatter else ():
                    if not socket.closed:
                        await socket.send_json({"type": "monitor", "data": {"cpu": 3}})
                await asyncio.sleep(0.005)
                continue
            self._running = prompt_id = next(iter(self._queue))
            body = self._queue.pop(prompt_id)
            self._interrupted = False
            kind, data = await self._run(prompt_id, body)
            if not self.old_end:
                await self._send(body, kind, prompt_id=prompt_id, **data)
            await asyncio.sleep(self.lag)
            good = kind == "execution_success"
            shown = {node: each for node, each in self.outputs.items() if node in body["prompt"]}
            status = {"status_str": "success" if good else "error", "completed": good, "messages": [[kind, data]]}
            self._history[prompt_id] = {"outputs": shown, "status": None if self.old_end else status}
            self._running = ""
            await self._send(body, "executing", node=None, prompt_id=prompt_id)

    async def _run(self, prompt_id: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        await self._send(body, "execution_start", prompt_id=prompt_id)
        for node, each in body["prompt"].items():
            about = {"node_id": node, "node_type": each["class_type"]}
            await self._send(body, "executing", node=node, display_node=node, prompt_id=prompt_id)
            # previews, and other people's prompts, are not ours to show
            await self._send(body, "progress", node=node, value=1, max=99, prompt_id="another")
            if body["client_id"] in self._sockets and not self._sockets[body["client_id"]].closed:
                await self._sockets[body["client_id"]].send_bytes(b"\0\0\0\1preview")
            if each["class_type"] != "Steps":
                continue
            steps = each["inputs"]["steps"]
            for value in [*range(1, steps + 1)] * each["inputs"].get("passes", 1):
                await asyncio.sleep(each["inputs"].get("pause", 0.001))
                if self._interrupted:
                    return "execution_interrupted", about
                if value == each["inputs"].get("fail_at"):
                    what = {"exception_type": "ValueError", "exception_message": "bad\nluck"}
                    return "execution_error", about | what
                await self._send(body, "progress", node=node, value=value, max=steps, prompt_id=prompt_id)
                self._reach(steps=self.steps + 1)
                if value == self.drop_at:
                    self.drop_at = 0
                    await self._sockets.pop(body["client_id"]).close()
        return "execution_success", {}
