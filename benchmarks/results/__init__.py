"""What the benchmarks measured, in the *.json of this folder; docs/benchmarks.md is made from these files alone.

A package with its data, because a results.py beside a folder of that name is two modules of one name to mypy.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fewstep
import torch

from ..hosts import host_versions

FOLDER = Path(__file__).parent
#: packages whose versions are kept with every result
_PACKAGES = ("torch", "numpy", "scipy", "diffusers", "k-diffusion")


def made() -> dict[str, Any]:
    """Where, when and with what."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} used",
        "python": platform.python_version(),
        "fewstep": fewstep.__version__,
        **versions,
        **host_versions(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def put(name: str, group: str, rows: list[dict[str, Any]]) -> None:
    """Puts rows in the place of those that the file `name` has under `group`."""
    path = FOLDER / f"{name}.json"
    known = get(name)
    known[group] = {"made": made(), "rows": rows}
    path.parent.mkdir(exist_ok=True)
    # a row a line: so that a difference between two runs can be read
    groups = [
        f" {json.dumps(key)}: {{\n  \"made\": {json.dumps(value['made'])},\n  \"rows\": [\n   "
        + ",\n   ".join(json.dumps(row, allow_nan=False) for row in value["rows"])
        + "\n  ]\n }"
        for key, value in sorted(known.items())
    ]
    unfinished = path.with_suffix(".part")
    unfinished.write_text("{\n" + ",\n".join(groups) + "\n}\n")
    unfinished.replace(path)


def get(name: str) -> dict[str, Any]:
    """{group: {"made": ..., "rows": [...]}} of a file; empty where there is none yet."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
