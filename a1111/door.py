"""What scripts/fewstep_webui.py opens at the host's start and at every "Reload UI"."""

from __future__ import annotations

from modules import script_callbacks

from . import menus, settings, xyz
from .script import FewstepScript


def open_door() -> type[FewstepScript]:
    """Adds what is missing to the host, and returns the script class that its loader looks for. May be called again."""
    # schedules first: the samplers name one of them
    menus.offer_schedules(settings.size(settings.SCHEDULES))
    menus.offer_samplers(settings.size(settings.SAMPLERS))
    xyz.add_axes()
    script_callbacks.on_ui_settings(settings.add_page)
    # an extension after us may call Forge's add_sampler, which forgets what is in the map and not in the list
    script_callbacks.on_app_started(lambda *_: menus.offer_samplers(settings.size(settings.SAMPLERS)))
    return FewstepScript
