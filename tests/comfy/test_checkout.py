"""Whether there is a ComfyUI to test in. Without one this is the only test of the folder."""

from __future__ import annotations

from pathlib import Path

from conftest import checkout


def test_comfyui_path_names_a_comfyui() -> None:
    found = Path(checkout())
    missing = [name for name in ("main.py", "nodes.py", "comfyui_version.py") if not (found / name).is_file()]
    assert not missing, f"COMFYUI_PATH is {found}, which is no ComfyUI checkout: it lacks {', '.join(missing)}"
