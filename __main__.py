"""The command line: `fewstep`, `python -m fewstep`, and `python FOLDER` of a checkout, whatever its name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path


def _load_checkout() -> str:
    """Makes the folder of this file the package `fewstep`; returns that name."""
    folder = Path(__file__).resolve().parent
    # `python FOLDER` puts FOLDER first on sys.path, where our samplers/ and tests/ would answer to everyone's imports
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        "fewstep", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} holds no __init__.py; it is no checkout of fewstep")
    module = sys.modules["fewstep"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return "fewstep"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    package = __package__ or _load_checkout()
    return int(import_module(f"{package}.commands.cli").main(argv))


if __name__ == "__main__":
    sys.exit(main())
