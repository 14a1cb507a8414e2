"""The wheel: what is in it, and that it works where there is no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import tomllib
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
#: folders with Python files that are for a checkout only; scripts/ is the webui's door, which loads a checkout
NOT_SHIPPED = {"tests", "benchmarks", "scripts", "docs", "out", "build", "dist", "node_modules"}
#: a host's own modules, or another extension's, have these names; with an __init__.py ours would win over them
NAMESPACES = ("nodes", "samplers", "samplers/methods", "a1111", "commands", "demo", "tests", "scripts", "benchmarks")

Run = Callable[..., subprocess.CompletedProcess[str]]


def shipped_folders() -> set[str]:
    found = {"fewstep"}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parts[:-1]
        hidden = any(part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info") for part in parts)
        if parts and not hidden and parts[0] not in NOT_SHIPPED:
            found.add(".".join(["fewstep", *parts]))
    return found


def test_every_runtime_folder_is_named() -> None:
    named = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(named) == sorted(shipped_folders()), "pyproject.toml [tool.setuptools] packages must list each folder"


@pytest.mark.parametrize("folder", NAMESPACES)
def test_no_init_file_shadows_a_host(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_root_files() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} <= {"__init__", "__main__", "install"}
    assert not (ROOT / "requirements.txt").exists(), "ComfyUI-Manager would install it into the user's environment"


@pytest.mark.parametrize("name", ["javascript", "localizations", "preload.py", "style.css", "metadata.ini"])
def test_the_web_uis_load_nothing_that_is_not_meant_for_them(name: str) -> None:
    """They take files and folders of these names from every extension."""
    assert not (ROOT / name).exists()


def test_versions_agree() -> None:
    import fewstep

    assert PROJECT["project"]["version"] == fewstep.__version__


def test_every_data_pattern_matches() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["fewstep"]
    assert not [pattern for pattern in patterns if not any(ROOT.glob(pattern))]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline, from a copy: setuptools leaves build/ behind, whose old files get into the next wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "a-dashed-checkout"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "out", "*.egg-info", "node_modules")
    shutil.copytree(ROOT, source, ignore=skipped)
    pip(folder, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "wheels", str(source))
    (built,) = (folder / "wheels").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip(target, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return target


def pip(cwd: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Run:
    """Python with the installed wheel, in an empty folder: the checkout is not on its path."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    return run


def height_of(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.height


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"fewstep", f"fewstep-{PROJECT['project']['version']}.dist-info"}
    assert {"fewstep/demo/vp.safetensors", "fewstep/demo/flow.safetensors"} <= names
    for folder, kind in (
        ("samplers", "*.py"),
        ("nodes", "*.py"),
        ("a1111", "*.py"),
        ("web", "*.*"),
        ("locales", "*.json"),
    ):
        files = {f"fewstep/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob(kind)}
        assert files
        assert files <= names
    assert {"fewstep/example_workflows/txt2img.json", "fewstep/example_workflows/api/txt2img.json"} <= names
    assert not [name for name in names if name.startswith(tuple(f"fewstep/{folder}/" for folder in NOT_SHIPPED))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_is_what_runs(python: Run, installed: Path) -> None:
    where = python("-c", "import fewstep; print(fewstep.__file__)").stdout.strip()
    assert Path(where) == installed / "fewstep" / "__init__.py"


def test_lists_and_plans(python: Run) -> None:
    solvers = json.loads(python("-m", "fewstep", "list", "solvers", "--json").stdout)["solvers"]
    assert "deis_tab3" in {row["id"] for row in solvers}
    plan = json.loads(python("-m", "fewstep", "plot", "deis_tab3", "--calls", "7", "--json").stdout)
    assert len(plan["calls"]) == 7


def test_draws_a_plan(python: Run, tmp_path: Path) -> None:
    python("-m", "fewstep", "plot", "dpmpp_3s", "--out", "plan.png")
    assert height_of(tmp_path / "plan.png") > 400


@pytest.mark.parametrize("model", ["vp", "flow"])
def test_samples_from_the_shipped_network(python: Run, tmp_path: Path, model: str) -> None:
    words = ("--model", model, "--calls", "3", "--count", "1", "--classes", "1,8", "--json", "--out", "two.png")
    record = json.loads(python("-m", "fewstep", "sample", *words).stdout)
    assert record["calls"] == 3
    assert height_of(tmp_path / "two.png") > 64


def test_console_script(installed: Path, tmp_path: Path) -> None:
    command = [str(installed / "bin" / "fewstep"), "--version"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"fewstep {PROJECT['project']['version']}\n"), done.stderr
