"""install.py, which the A1111 family runs as a process of its own at every start."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ROOT / "install.py"
NEEDED = "torch, numpy, scipy, Pillow, tqdm, torchsde"


def run(folder: Path, *options: str, file: Path = INSTALL) -> list[str]:
    """The lines that it prints when it is started in a folder, which it must leave as it is."""
    before = sorted(folder.iterdir())
    done = subprocess.run(
        [sys.executable, *options, str(file)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(folder.iterdir()) == before
    return done.stdout.splitlines()


def test_it_is_silent_where_all_is_well(tmp_path: Path) -> None:
    assert [run(tmp_path, "-W", "error") for _ in range(2)] == [[], []]


def test_it_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    (line,) = run(tmp_path, "-I", "-S")
    assert line == (
        f"fewstep: needs {NEEDED}, which every supported host has; install it with pip into {sys.executable}"
    )


def test_it_says_that_the_folder_is_incomplete(tmp_path: Path) -> None:
    """As after a download that was cut off."""
    shutil.copy(INSTALL, tmp_path)
    assert run(tmp_path, file=tmp_path / "install.py") == [
        "fewstep: this folder is incomplete; clone or download it again"
    ]


def test_an_old_python_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = runpy.run_path(str(INSTALL))["problem"]
    assert problem() == ""
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert problem().startswith("needs Python 3.10 or newer, this is 3.")


def test_it_imports_nothing_that_takes_time(tmp_path: Path) -> None:
    code = f"""
import runpy, sys
runpy.run_path({str(INSTALL)!r}, run_name="__main__")
heavy = {{"torch", "numpy", "scipy", "PIL", "tqdm", "torchsde", "fewstep", "samplers", "gradio", "pip"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_it_names_the_packages_of_the_project() -> None:
    """safetensors apart, which only the demo and the command line read."""

    def name(requirement: Any) -> str:
        return str(requirement).partition(">")[0]

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = runpy.run_path(str(INSTALL))
    assert sorted([*needed["NEEDED"].values(), "safetensors"]) == sorted(map(name, project["dependencies"]))
    assert project["requires-python"] == ">=" + ".".join(map(str, needed["OLDEST"]))
