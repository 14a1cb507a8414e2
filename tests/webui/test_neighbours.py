"""Beside other extensions: theirs keep their own modules, and ours keeps its own."""

from __future__ import annotations

import subprocess
import sys

from webui_host import Host


def test_others_get_their_own_packages(host: Host) -> None:
    assert host.get("/a-neighbour/found") == {"nodes": "a-neighbour", "samplers": "a-neighbour"}
    assert host.get("/z-neighbour/found") == {
        "commands": "z-neighbour",
        "lib": "z-neighbour",
        "a1111.theirs": "z-neighbour",
    }


def test_our_modules_have_one_name_and_come_from_our_folder(host: Host) -> None:
    ours = host.run(
        "import sys\n"
        "result = {name: str(getattr(module, '__file__', '')) for name, module in sys.modules.items()"
        " if 'extensions/fewstep/' in str(getattr(module, '__file__', '')).replace(chr(92), '/')}"
    )
    assert ours
    assert all(name == "fewstep_ext" or name.startswith("fewstep_ext.") for name in ours), ours
    assert host.picture(sampler_name="Fewstep DPM++ 3M").parameters["Sampler"] == "Fewstep DPM++ 3M"


def test_nothing_of_the_host_is_replaced(host: Host) -> None:
    """The functions and classes that we use or stand beside are those of the host's own files."""
    foreign = host.run(
        """
import inspect
from modules import processing, sd_samplers, sd_samplers_common, sd_samplers_kdiffusion, sd_schedulers, scripts
result = [
    f"{module.__name__}.{name}"
    for module in (processing, sd_samplers, sd_samplers_common, sd_samplers_kdiffusion, sd_schedulers, scripts)
    for name, value in vars(module).items()
    if "fewstep" in str(getattr(value, "__module__", "")) and not name.startswith("__")
]
"""
    )
    assert foreign == []


def test_install_is_silent_in_the_hosts_environment(host: Host) -> None:
    import os

    for _ in range(2):
        done = subprocess.run(
            [os.environ.get("WEBUI_PYTHON", sys.executable), host.data / "extensions" / "fewstep" / "install.py"],
            cwd=os.environ["WEBUI_PATH"],
            env={**os.environ, "PYTHONPATH": os.environ["WEBUI_PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
