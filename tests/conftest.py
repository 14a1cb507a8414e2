"""Loads this checkout as the package `fewstep`, whatever the folder is called and whatever else is installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load(alias: str) -> object:
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            alias, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[alias] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[alias]


load("fewstep")
sys.path.insert(0, str(Path(__file__).parent))  # for harness.py, which tests share


@pytest.fixture(scope="session", autouse=True)
def _data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Statistics and profiles under the names ve and flow, for what finds them by name; none is in a home folder."""
    from harness import exact_statistics, made_profile

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWSTEP_DATA", str(tmp_path_factory.mktemp("data")))
        for frame in ("ve", "flow"):
            exact_statistics(frame).save(frame)
            made_profile(frame).save(f"profile:{frame}")
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The tests' tensors are tiny: on a busy machine threads cost a thousand times what they save."""
    import torch  # not at the top: subprocess tests import this file to see what fewstep itself imports

    torch.set_num_threads(1)
