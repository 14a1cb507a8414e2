"""The part of ComfyUI's HTTP interface that running a workflow needs. Checked on 0.3.64, 0.8.0 and 0.33.0."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, cast
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

#: seconds without an answer after which a request has failed; checking a large workflow may take a while
PATIENCE = 60.0


class WorkflowError(Exception):
    """Why a workflow did not run, one line for each thing; `status` is the exit status of the command."""

    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.status = status


class AnswerError(OSError):
    """The server answered with an HTTP error."""

    def __init__(self, what: str, code: int, body: str) -> None:
        super().__init__(f"{what} HTTP {code}: {body.strip()[:300] or 'no reason given'}")
        self.code = code
        self.body = body


def server_url(text: str) -> str:
    """http(s)://host:port/prefix of --server, without a slash at the end."""
    bare = "://" not in text
    url = urlsplit(f"http://{text}" if bare else text)
    try:
        port = url.port
        good = url.scheme in ("http", "https") and url.hostname and not (url.username or url.query or url.fragment)
    except ValueError:  # of the port
        good = port = None
    if not good:
        raise ValueError(f"--server is {text!r}, expected HOST:PORT or http(s)://HOST:PORT/PREFIX")
    place = url.netloc if port or not bare else f"{url.netloc}:8188"
    return f"{url.scheme}://{place}{url.path.rstrip('/')}"


class Server:
    """A ComfyUI server. Every request raises OSError: AnswerError for an HTTP error, else ConnectionError."""

    def __init__(self, address: str) -> None:
        self.url = server_url(address)
        self.client_id = str(uuid.uuid4())
        host = urlsplit(self.url).hostname or ""
        #: a proxy of the environment cannot reach this machine's own loopback addresses
        self.is_local = host in ("localhost", "::1") or host.startswith("127.")
        self._opener = build_opener(*([ProxyHandler({})] if self.is_local else []))

    def queue(self, nodes: Mapping[str, Any], prompt_id: str) -> dict[str, Any]:
        """Queues a workflow; the answer's prompt_id counts, since servers of 2024 and older choose their own."""
        body = {"prompt": nodes, "client_id": self.client_id, "prompt_id": prompt_id}
        answer = self._json("/prompt", body)
        if "prompt_id" not in answer:
            raise ConnectionError(f"{self.url} answered without a prompt_id; is it a ComfyUI server?")
        return answer

    def place(self, prompt_id: str) -> str | None:
        """'running', 'pending', or None when the prompt is not in the queue."""
        queue = self._json("/queue")
        for name in ("running", "pending"):
            if any(item[1] == prompt_id for item in queue.get(f"queue_{name}", ())):
                return name
        return None

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The record of a prompt that has ended."""
        return cast("dict[str, Any] | None", self._json(f"/history/{prompt_id}").get(prompt_id))

    def cancel(self, prompt_id: str) -> str:
        """Stops our prompt and no other one; says what happened to it."""
        for _ in range(2):  # a pending one may start between the look and the removal
            place = self.place(prompt_id)
            if place == "running":
                # hosts of 2025 and newer look at the id once more; older ones stop whatever runs
                self._json("/interrupt", {"prompt_id": prompt_id})
                return "was interrupted"
            if place is None:
                break
            self._json("/queue", {"delete": [prompt_id]})
        return "was removed from the queue" if self.history(prompt_id) is None else "had already ended"

    def upload(self, path: Path) -> str:
        """Takes a picture to the server's input folder; returns the name for a LoadImage node."""
        edge = uuid.uuid4().hex
        name = path.name.replace('"', "%22")
        head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
        stored = self._record("/upload/image", body, f"multipart/form-data; boundary={edge}")
        return "/".join(part for part in (stored.get("subfolder"), stored["name"]) if part)

    def inputs_of(self, kind: str) -> dict[str, Any]:
        """{input: its default, or None} of a class of nodes; {} for a class that the server does not know."""
        found = self._json(f"/object_info/{quote(kind, safe='')}").get(kind, {}).get("input", {})
        fields = {name: field for group in ("required", "optional") for name, field in found.get(group, {}).items()}
        return {name: field[1].get("default") if len(field) > 1 else None for name, field in fields.items()}

    def download(self, entry: Mapping[str, str], target: IO[bytes]) -> None:
        """Copies an output file: `entry` is a record with filename, subfolder and type."""
        query = urlencode({name: entry[name] for name in ("filename", "subfolder", "type")})
        with self._talking("GET /view"):
            answer = self._opener.open(f"{self.url}/view?{query}", timeout=PATIENCE)
        with answer:
            piece = b"."
            while piece:
                with self._talking("GET /view"):
                    piece = answer.read(1 << 20)
                target.write(piece)  # outside: a full disk is not the server's fault

    def _json(self, path: str, body: object = None) -> dict[str, Any]:
        return self._record(path, None if body is None else json.dumps(body).encode())

    def _record(self, path: str, body: bytes | None, kind: str = "application/json") -> dict[str, Any]:
        """The JSON record that the server answers; {} for an empty answer."""
        request = Request(self.url + path, body, {} if body is None else {"Content-Type": kind})
        with (
            self._talking(f"{request.get_method()} {path}"),
            self._opener.open(request, timeout=PATIENCE) as answer,
        ):
            text = answer.read()
        try:
            data = json.loads(text or b"{}")
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise ConnectionError(f"{self.url}{path} answered with no JSON record; is it a ComfyUI server?")
        return data

    @contextmanager
    def _talking(self, what: str) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            raise AnswerError(f"{self.url} answered {what} with", error.code, _text(error)) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ConnectionError(
                f"no ComfyUI server answers at {self.url} ({getattr(reason, 'strerror', None) or reason}); "
                "start one with 'python main.py' in its folder, or name another with --server HOST:PORT"
            ) from error


def _text(error: HTTPError) -> str:
    """The body of a refusal, as far as it arrives."""
    try:
        with error:
            return error.read().decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""
