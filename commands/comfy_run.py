"""One workflow from the queue to its record in the server's history."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from .comfy_client import AnswerError, Server, WorkflowError
from .comfy_events import Events
from .comfy_progress import Progress
from .comfy_workflow import Workflow

#: seconds of silence after which the queue is asked; a lost message then costs no more than this
SILENCE = 2.0
#: seconds without any answer after which the server is given up
GONE = 10.0
#: the messages that end a prompt; "executing" without a node is how servers before 2024-07 say it
_ENDS = ("execution_success", "execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Result:
    prompt_id: str
    seconds: float
    outputs: Mapping[str, Any]
    progress: list[dict[str, Any]]
    #: what the server left out because it did not pass validation, a line each
    left_out: tuple[str, ...]
    #: why there was no websocket at the end, or ""
    trouble: str


def run(server: Server, workflow: Workflow, timeout: float | None, show: bool) -> Result:
    """Queues the workflow and waits for it. Raises WorkflowError, after stopping it where it still runs."""
    prompt_id = str(uuid.uuid4())
    progress = Progress(workflow, show)
    with closing(Events(server)) as events, closing(progress):
        events.connect()  # first, so that no message is missed
        began = time.monotonic()
        try:
            try:
                answer = server.queue(workflow.nodes, prompt_id)
            except AnswerError as refusal:
                raise _refused(refusal, workflow) from None
            prompt_id = answer["prompt_id"]
            entry = _wait(server, events, progress, prompt_id, None if timeout is None else began + timeout)
        except (KeyboardInterrupt, _DeadlineError) as stop:
            what = _stop(server, prompt_id)
            if isinstance(stop, _DeadlineError):
                raise WorkflowError(f"the workflow did not end within {timeout:g} s; {what}") from None
            raise Interrupted(what) from None
    _check(entry, workflow)
    left_out = tuple(_complaints(answer.get("node_errors") or {}, workflow))
    seconds = round(time.monotonic() - began, 3)
    return Result(prompt_id, seconds, entry.get("outputs") or {}, progress.records(), left_out, events.trouble)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the text says what became of the prompt on the server."""


class _DeadlineError(Exception):
    pass


def _stop(server: Server, prompt_id: str) -> str:
    try:
        return f"prompt {prompt_id} {server.cancel(prompt_id)}"
    except OSError as error:
        return f"prompt {prompt_id} could not be stopped ({error})"


def _wait(server: Server, events: Events, progress: Progress, prompt_id: str, deadline: float | None) -> dict[str, Any]:
    """The history record of the prompt, once it has ended."""
    answered = heard = time.monotonic()  # the last word of the server at all, and about our prompt
    ended = -math.inf
    while True:
        left = SILENCE if deadline is None else min(SILENCE, deadline - time.monotonic())
        if left <= 0:
            raise _DeadlineError
        # the record can come some milliseconds after the last message
        message = events.next(min(left, 0.05) if time.monotonic() < ended + SILENCE else left)
        if message is not None:
            answered = time.monotonic()
            kind, data = _ours(message, prompt_id)
            if data:
                heard = answered
            if kind in _ENDS or (kind == "executing" and data.get("node") is None and "prompt_id" in data):
                ended = answered
            elif answered < heard + SILENCE:  # extensions may talk to everyone all the time
                _show(kind, data, progress)
                continue
        try:
            place = server.place(prompt_id)  # before the history: what has left the queue by now is in there
            entry = server.history(prompt_id)
        except OSError as error:
            if time.monotonic() - answered > GONE:
                raise WorkflowError(
                    f"the server at {server.url} went away while the workflow ran; see its log"
                ) from error
            continue
        answered = heard = time.monotonic()
        if entry is not None:
            return entry
        if place is None:
            raise WorkflowError(
                f"prompt {prompt_id} is gone from the server: removed from the queue, or the server restarted"
            )


def _ours(message: dict[str, Any], prompt_id: str) -> tuple[str, dict[str, Any]]:
    """Type and data of a message about our prompt; "" and nothing for all others."""
    kind, data = message.get("type"), message.get("data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        return "", {}
    # after a reconnection the server repeats the node, without a prompt
    about = data.get("prompt_id", prompt_id if kind == "executing" else None)
    return (kind, data) if about == prompt_id else ("", {})


def _show(kind: str, data: dict[str, Any], progress: Progress) -> None:
    if kind == "progress":
        progress.update(str(data["node"]), data["value"], data["max"])
    elif kind == "executing" and data.get("node") is not None:
        progress.name(str(data["node"]), str(data.get("display_node") or data["node"]))


# --- what went wrong -------------------------------------------------------------------------------------------------


def _check(entry: dict[str, Any], workflow: Workflow) -> None:
    status = entry.get("status") or {}
    for kind, data in status.get("messages") or ():
        where = workflow.label(str(data.get("node_id")))
        if kind == "execution_error":
            what = " ".join(f"{data.get('exception_type')}: {data.get('exception_message')}".split())
            raise WorkflowError(f"{where}, {data.get('node_type')}: {what}")
        if kind == "execution_interrupted":
            raise WorkflowError(f"{where}: the run was interrupted on the server")
    if status.get("status_str", "success") != "success":
        raise WorkflowError(f"the server says {status['status_str']!r} and gives no reason; see its log")


def _refused(refusal: AnswerError, workflow: Workflow) -> Exception:
    """The failure that an answer of POST /prompt means: a line for each complaint about an input."""
    try:
        answer = json.loads(refusal.body)
        error = answer["error"]
    except (ValueError, KeyError, TypeError):
        return refusal
    lines = _complaints(answer.get("node_errors") or {}, workflow)
    if not lines:
        if not isinstance(error, dict):
            error = {"message": str(error)}
        about = (error.get("extra_info") or {}).get("node_id")
        where = f"{workflow.label(str(about))}: " if about is not None else ""
        lines = [where + _words(error)]
    return WorkflowError(*lines, status=2)


def _complaints(node_errors: Mapping[str, Any], workflow: Workflow) -> list[str]:
    lines = []
    for node, found in node_errors.items():
        for error in found.get("errors", ()):
            field = (error.get("extra_info") or {}).get("input_name")
            where = workflow.label(node) + (f", input {field!r}" if field else "")
            lines.append(f"{where}: {_words(error, field)}")
    return lines


def _words(error: Mapping[str, Any], field: str | None = None) -> str:
    """Message and details; hosts repeat the input's name at the start of the details."""
    details = str(error.get("details") or "")
    for start in (f"{field}: ", f"{field}, ", f"{field}"):
        details = details.removeprefix(start) if field else details
    message = str(error.get("message"))
    return " ".join(f"{message}: {details}".split()) if details and details != message else message
