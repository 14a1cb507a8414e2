"""The archive for ComfyUI's registry, without the host: what is in it, and that nothing in it leads nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import tomllib
from archive import archive_files

ROOT = Path(__file__).resolve().parents[1]
KEPT = {
    "__init__.py", "__main__.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "samplers", "nodes",
    "commands", "demo", "web", "locales", "example_workflows", "docs",
}  # fmt: skip
OUT = (
    ".", "tests/", "benchmarks/", "scripts/", "a1111/", "dev-requirements", "install.py", "Makefile", "demo/train.py",
)  # fmt: skip


@pytest.fixture(scope="module")
def files() -> list[str]:
    return archive_files()


def test_what_is_in_it(files: list[str]) -> None:
    assert {PurePosixPath(name).parts[0] for name in files} >= KEPT
    assert not [name for name in files if name.startswith(OUT)]
    assert {"demo/vp.safetensors", "demo/flow.safetensors"} <= set(files)


def test_it_is_small(files: list[str]) -> None:
    assert sum((ROOT / name).stat().st_size for name in files) < 8_000_000


def test_no_page_links_to_what_is_left_out(files: list[str]) -> None:
    for page in (name for name in files if name.endswith(".md")):
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8")):
            if "://" not in target:
                path = (ROOT / page).parent / target
                inside = path.resolve().relative_to(ROOT).as_posix()
                assert inside in files or any(name.startswith(f"{inside}/") for name in files), f"{page}: {target}"


def test_the_command_line_runs_from_it(files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "fewstep-main"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    done = subprocess.run(
        [sys.executable, str(folder), "list"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dpmpp_3m" in done.stdout


def test_what_the_registry_reads() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    comfy = found["tool"]["comfy"]
    assert comfy == {"PublisherId": "fewstep", "DisplayName": "fewstep", "requires-comfyui": ">=0.3.64"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["project"]["version"])
    # a frontend's range would stand among the dependencies, where pip would install that frontend over the host's
    assert not [each for each in found["project"]["dependencies"] if each.startswith("comfyui")]
