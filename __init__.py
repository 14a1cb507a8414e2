"""fewstep: DEIS, DPM-Solver and DPM-Solver++ as plans; n steps are n model calls.

Importing this package imports neither torch nor numpy; each public name loads its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers see; at run time __getattr__ below loads each name when it is used
    from .samplers.adaptive import NotConvergedError, adaptive
    from .samplers.compare import compare, comparing
    from .samplers.comparison_file import load_comparison
    from .samplers.embedded import report
    from .samplers.guidance import classifier, classifier_free, dynamic_thresholding
    from .samplers.kdiffusion import k_sampler, sample
    from .samplers.level import frame
    from .samplers.measurement import measure_statistics
    from .samplers.models import wrap
    from .samplers.profile import load_profile
    from .samplers.run import run, steps
    from .samplers.schedules import schedule, schedules
    from .samplers.solvers import plan, solvers
    from .samplers.statistics import Statistics, load_statistics
    from .samplers.tune import tune, tuning

__version__ = "0.1.0"

#: ComfyUI serves this folder to its page
WEB_DIRECTORY = "./web"

#: public name -> module below this package that defines it (under the same name)
_PUBLIC = {
    "solvers": "samplers.solvers",
    "plan": "samplers.solvers",
    "schedules": "samplers.schedules",
    "schedule": "samplers.schedules",
    "frame": "samplers.level",
    "run": "samplers.run",
    "steps": "samplers.run",
    "adaptive": "samplers.adaptive",
    "NotConvergedError": "samplers.adaptive",
    "Statistics": "samplers.statistics",
    "load_statistics": "samplers.statistics",
    "measure_statistics": "samplers.measurement",
    "report": "samplers.embedded",
    "compare": "samplers.compare",
    "comparing": "samplers.compare",
    "load_comparison": "samplers.comparison_file",
    "sample": "samplers.kdiffusion",
    "k_sampler": "samplers.kdiffusion",
    "wrap": "samplers.models",
    "tune": "samplers.tune",
    "tuning": "samplers.tune",
    "load_profile": "samplers.profile",
    "classifier_free": "samplers.guidance",
    "classifier": "samplers.guidance",
    "dynamic_thresholding": "samplers.guidance",
}

_COMFYUI = ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS")

__all__ = [
    "NotConvergedError",
    "Statistics",
    "adaptive",
    "classifier",
    "classifier_free",
    "compare",
    "comparing",
    "dynamic_thresholding",
    "frame",
    "k_sampler",
    "load_comparison",
    "load_profile",
    "load_statistics",
    "measure_statistics",
    "plan",
    "report",
    "run",
    "sample",
    "schedule",
    "schedules",
    "solvers",
    "steps",
    "tune",
    "tuning",
    "wrap",
]


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        from importlib import import_module

        value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _COMFYUI:  # asked for by ComfyUI's loader alone; what it imports needs that host
        try:
            from .nodes import mappings
        except AttributeError as error:  # the loader asks with hasattr, which would swallow it
            raise ImportError(f"fewstep: the ComfyUI nodes failed to import: {error}") from error
        return getattr(mappings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
