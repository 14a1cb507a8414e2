"""What the archive for ComfyUI's registry holds: the files that git tracks, without what .comfyignore names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def archive_files() -> list[str]:
    """Paths below the repository's root; the calling test is skipped where there is no git repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository: there is no telling what the archive would hold")
    # .comfyignore is written in the language of .gitignore, so git itself can read it
    kept = set(_git("ls-files")) - set(_git("ls-files", "--cached", "--ignored", "--exclude-from=.comfyignore"))
    return sorted(name for name in kept if (ROOT / name).is_file())


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
