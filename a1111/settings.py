"""Our page in the host's settings."""

from __future__ import annotations

import logging
from typing import Any

from modules import shared

from ..samplers.menu import DEFAULT_SIZE, SIZES

log = logging.getLogger("fewstep")

SAMPLERS = "fewstep_sampler_menu"
SCHEDULES = "fewstep_schedule_menu"
_LABELS = {SAMPLERS: "Fewstep samplers in the menus", SCHEDULES: "Fewstep schedule types in the menus"}
_HELP = "short: what this host lacks; the API and the infotext of pictures know all of them at any size"


def size(key: str) -> str:
    """The size of menu that a setting asks for, also before the host knows the setting."""
    value = shared.opts.data.get(key, DEFAULT_SIZE)
    if value in SIZES:
        return str(value)
    log.warning("fewstep: the setting %s is %r, expected one of %s; %s is used", key, value, SIZES, DEFAULT_SIZE)
    return DEFAULT_SIZE


def add_page() -> None:
    """For the host's on_ui_settings."""
    import gradio

    for key, label in _LABELS.items():
        arguments: dict[str, Any] = {"choices": list(SIZES)}
        option = shared.OptionInfo(DEFAULT_SIZE, label, gradio.Radio, arguments, section=("fewstep", "Fewstep"))
        shared.opts.add_option(key, option.info(_HELP).needs_reload_ui())
