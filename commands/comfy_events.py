"""What ComfyUI says over its websocket while a workflow runs. Without one the run goes on, unseen, by polling."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from .comfy_client import Server, WorkflowError

if TYPE_CHECKING:
    from websocket import WebSocket

#: seconds before a connection that was lost is tried again
PAUSE = 1.0
_CONNECT = 10.0


def socket_url(server: Server) -> str:
    """Where this client's messages are: ws beside http, wss beside https."""
    scheme, _, place = server.url.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{place}/ws?{urlencode({'clientId': server.client_id})}"


class Events:
    """Messages for one client, as {"type", "data"}. A lost connection is opened again, when there is time."""

    def __init__(self, server: Server) -> None:
        try:
            import websocket  # here, since only this command needs it
            from websocket import create_connection
        except ImportError as error:  # another package called websocket has no create_connection
            text = 'this command needs the package websocket-client; pip install "fewstep[comfy]"'
            raise WorkflowError(text, status=2) from error
        self._url = socket_url(server)
        # no Origin header: it is for browsers, and hosts refuse one that is not theirs
        self._options: dict[str, Any] = {"timeout": _CONNECT, "suppress_origin": True}
        if server.is_local:
            # past a proxy of the environment; the library reads the exception only beside a proxy of its own
            self._options |= {"http_proxy_host": "unused", "http_no_proxy": [urlsplit(self._url).hostname]}
        self._library = websocket
        self._create = create_connection
        self._socket: WebSocket | None = None
        #: why there is no connection, or ""
        self.trouble = ""

    def connect(self) -> None:
        """Opens the connection, or notes the trouble."""
        try:
            self._socket = self._create(self._url, **self._options)
            self.trouble = ""
        except (OSError, self._library.WebSocketException) as error:
            self.trouble = " ".join(str(error).split()) or type(error).__name__

    def next(self, wait: float) -> dict[str, Any] | None:
        """The next message; None after `wait` seconds of silence, without a connection, and after a new one."""
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            if self._socket is None:
                time.sleep(min(PAUSE, left))
                self.connect()
                return None  # either way: what was said meanwhile is lost, so the caller asks
            try:
                self._socket.settimeout(max(end - time.monotonic(), 0.01))
                code, body = self._socket.recv_data()
            except self._library.WebSocketTimeoutException:
                return None
            except (OSError, self._library.WebSocketException) as error:
                self._lost(str(error))
                return None
            if code == self._library.ABNF.OPCODE_CLOSE:
                self._lost("the server closed it")
                return None
            if code == self._library.ABNF.OPCODE_TEXT:
                message = json.loads(body)
                return message if isinstance(message, dict) else {}
            # binary messages are previews
        return None

    def _lost(self, why: str) -> None:
        self.close()
        self.trouble = why or "connection lost"

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close(timeout=1)
            # close() does nothing, and leaves the socket open, where the server has closed the connection first
            self._socket.shutdown()  # type: ignore[no-untyped-call]
            self._socket = None
