"""What ComfyUI's loader asks for: the nodes by id and their names. Importing it fills the host's menus."""

from __future__ import annotations

import logging
from pathlib import Path

import folder_paths

from . import menu, routes, settings
from .compare import FewstepCompare
from .demo_model import FewstepDemoModel
from .ksampler import FewstepKSampler
from .sampler import FewstepSampler
from .scheduler import FewstepScheduler
from .sigmas_info import FewstepSigmasInfo
from .tune import FewstepTune
from .tuned_sampler import FewstepTunedSampler

_NODES = (
    FewstepKSampler,
    FewstepSampler,
    FewstepScheduler,
    FewstepSigmasInfo,
    FewstepDemoModel,
    FewstepTune,
    FewstepTunedSampler,
    FewstepCompare,
)

NODE_CLASS_MAPPINGS = {node.__name__: node for node in _NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node.__name__: node.NAME for node in _NODES}


def _settings() -> settings.Settings:
    try:
        return settings.read(Path(folder_paths.get_user_directory()))
    except ValueError as error:  # a slip in a settings file must not take the nodes away
        logging.getLogger("fewstep").error("fewstep: %s; the default is used", error)
        return settings.Settings()


menu.register(_settings())
routes.register()
