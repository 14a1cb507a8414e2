"""The one line that says why the tests of this folder did not run."""

from __future__ import annotations

from conftest import checkout


def test_webui_path_names_a_checkout() -> None:
    assert (checkout() / "launch.py").is_file(), "WEBUI_PATH must name a checkout of A1111, Forge or reForge"
