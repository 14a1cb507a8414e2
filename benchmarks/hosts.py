"""The samplers of ComfyUI and of Forge, from their checkouts, without starting either.

COMFYUI_PATH and WEBUI_PATH name the checkouts. What their sampling modules import of the host is stood in for: model
management and progress bars, which these samplers do not compute with.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tqdm.auto import trange

from .alone import alone


class CONST:
    """Of a flow model, by which ComfyUI's samplers tell it from others."""

    def percent_to_sigma(self, percent: float) -> float:
        """Of a model without a shift."""
        return 1.0 - percent


class PredictionFlux:
    """The same in Forge."""


def _path(variable: str) -> Path:
    found = os.environ.get(variable)
    if not found:
        raise LookupError(f"{variable} is not set")
    return Path(found).resolve()


@cache
def comfy(name: str = "comfy.k_diffusion.sampling") -> ModuleType:
    """ComfyUI's samplers. LookupError where COMFYUI_PATH is not set."""
    stand_ins: dict[str, dict[str, Any]] = {
        "comfy.model_patcher": {},
        "comfy.model_sampling": {"CONST": CONST},
        "comfy.memory_management": {},
        "comfy.utils": {"model_trange": trange},  # what the host's own is outside its memory manager
    }
    return alone(name, _path("COMFYUI_PATH") / "comfy", stand_ins)


@cache
def forge() -> ModuleType:
    """Forge's samplers. LookupError where WEBUI_PATH is not set, and what the import raises in a host without them."""
    stand_ins: dict[str, dict[str, Any]] = {
        "torchdiffeq": {"odeint": None},
        "torchvision": {}, "torchvision.transforms": {"functional": None},
        "backend": {}, "backend.modules": {}, "backend.modules.k_prediction": {"PredictionFlux": PredictionFlux},
    }  # fmt: skip
    return alone("k_diffusion.sampling", _path("WEBUI_PATH") / "k_diffusion", stand_ins)


#: library -> its module of samplers, and the variable that names its checkout
HOSTS: dict[str, Callable[[], ModuleType]] = {"ComfyUI": comfy, "Forge": forge}
PATHS = {"ComfyUI": "COMFYUI_PATH", "Forge": "WEBUI_PATH"}


def given_hosts() -> dict[str, Callable[[], ModuleType]]:
    """Those of HOSTS whose checkout is named."""
    return {library: module for library, module in HOSTS.items() if os.environ.get(PATHS[library])}


def as_model(call: Callable[..., Any], flow: bool = False) -> Any:
    """What a host's sampler takes for a model: `call`(x, sigma, ...), and the attributes by which it knows flow."""

    def model(x: Any, sigma: Any, **extra: Any) -> Any:
        return call(x, sigma)

    sampling = CONST() if flow else object()
    patcher = SimpleNamespace(get_model_object=lambda name: sampling)
    inside = SimpleNamespace(model_sampling=sampling)
    predictor = PredictionFlux() if flow else object()
    model.inner_model = SimpleNamespace(  # type: ignore[attr-defined]
        model_patcher=patcher, inner_model=inside, predictor=predictor
    )
    return model


def host_versions() -> dict[str, str]:
    """{host: version} of those that are given; kept with the results."""
    found = {}
    for library, file, pattern in (
        ("ComfyUI", "comfyui_version.py", r'__version__ = "([^"]+)"'),
        ("Forge", "modules_forge/forge_version.py", r"version = '([^']+)'"),
    ):
        path = Path(os.environ.get(PATHS[library], "")) / file
        if os.environ.get(PATHS[library]) and path.exists():
            match = re.search(pattern, path.read_text())
            found[library] = match[1] if match else "unknown"
    return found


def comfy_start_up(repeats: int = 3) -> list[float]:
    """Seconds that loading this pack takes in a ComfyUI, over an empty pack: as tests/comfy/test_menu.py measures it.

    LookupError where COMFYUI_PATH or COMFYUI_PYTHON, an interpreter that can run it, is not set; RuntimeError where the
    test did not come to its measurement.
    """
    _path("COMFYUI_PATH")
    python = os.environ.get("COMFYUI_PYTHON")
    if not python:
        raise LookupError("COMFYUI_PYTHON is not set")
    test = f"{Path(__file__).parents[1] / 'tests/comfy/test_menu.py'}::test_import_costs_under_50_ms_and_no_model_code"
    command = [python, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", test]
    found: list[float] = []
    for _ in range(repeats):
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        match = re.search(r"seconds to import: (.*)", said)
        if match is None:
            raise RuntimeError(said.strip().splitlines()[-1] if said.strip() else "the test said nothing")
        found += [float(each) for each in match[1].split(", ")]
    return found
