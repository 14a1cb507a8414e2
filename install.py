"""The hosts' install hook: says in one line what is missing, and is silent otherwise. It installs nothing.

A1111, Forge and reForge run this file as a process of its own at every start, so it imports no torch and takes no time.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

#: what every host brings; name to import -> name to install
NEEDED = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "PIL": "Pillow",
    "tqdm": "tqdm",
    "torchsde": "torchsde",
}
OLDEST = (3, 10)


def problem() -> str:
    """What keeps fewstep from running here; an empty text if nothing does."""
    if sys.version_info < OLDEST:
        return f"needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is {sys.version.split()[0]}"
    missing = [package for name, package in NEEDED.items() if find_spec(name) is None]
    if missing:
        return f"needs {', '.join(missing)}, which every supported host has; install it with pip into {sys.executable}"
    if not (Path(__file__).resolve().parent / "samplers" / "solvers.py").is_file():
        return "this folder is incomplete; clone or download it again"
    return ""


if __name__ == "__main__":
    found = problem()
    if found:
        print(f"fewstep: {found}")
