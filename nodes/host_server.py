"""The host's web server, where there is one: its routes, and messages to the page."""

from __future__ import annotations

import sys
from typing import Any


def running() -> Any:
    """The host's PromptServer, or None where the host is used as a library. Never imports it: that would start one."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
