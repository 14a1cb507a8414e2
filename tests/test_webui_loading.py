"""How A1111, Forge and reForge load us: scripts/fewstep_webui.py executed in a fresh process with a stand-in host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fewstep.samplers.menu import menu

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).parent
SCRIPT = "scripts/fewstep_webui.py"
#: before a test's own lines; `report` is what comes back
PRELUDE = """
import json, sys
from pathlib import Path
from webui_names import HOSTS
from webui_stand_in import Host
first = Path({root!r}, {script!r})
report = {{}}

def listed(host):
    samplers, schedules = host.sd_samplers.all_samplers, host.sd_schedulers.schedulers
    return [each.name for each in samplers], [each.label for each in schedules]
"""


def in_a_process(code: str, *path: Path, root: Path = ROOT) -> tuple[dict[str, Any], list[str]]:
    """(the report, the lines that were printed) of Python code in a process that imports neither us nor pytest."""
    lines = f"{PRELUDE.format(root=str(root), script=SCRIPT)}\n{code}\nprint(json.dumps(report))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", lines],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE, *path)))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *printed, report = done.stdout.splitlines()
    assert not done.stderr
    return json.loads(report), printed


def copied(to: Path) -> Path:
    """A second checkout, with what the door needs."""
    for name in ("a1111", "samplers", "scripts"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", to)
    return to


def test_the_host_finds_one_file_to_run() -> None:
    """It runs every .py file there, an __init__.py too, which would also hide other extensions' scripts/."""
    assert [path.name for path in (ROOT / "scripts").rglob("*.py")] == ["fewstep_webui.py"]


def test_the_door_opens_again_with_the_settings_of_each_time() -> None:
    """A start and four times "Reload UI" in one process."""
    report, printed = in_a_process("""
host = Host(HOSTS["forge"]).install()
report["own"], report["times"] = listed(host), []
for size in ("short", "short", "all", "none", "short"):
    host.settings.update(fewstep_sampler_menu=size, fewstep_schedule_menu=size)
    (module,) = host.load_scripts(first)
    kinds = [each for each in vars(module).values() if isinstance(each, type)]
    script = module.FewstepScript()
    report["times"].append({
        "lists": listed(host),
        "maps": [sorted(host.sd_samplers.all_samplers_map), sorted(host.sd_schedulers.schedulers_map)],
        "axes": [axis.label for axis in host.axes],
        "classes": [each.__name__ for each in kinds if issubclass(each, host.scripts.Script)],
        "title": script.title(),
        "always": script.show(True) is script.show(False) is host.scripts.AlwaysVisible,
        "scripts": len(host.scripts.scripts_data),
        "callbacks": [len(each) for each in host.script_callbacks.registered.values()],
    })
report["top"] = sorted({name.partition(".")[0] for name in sys.modules})
""")
    assert printed == []
    first, again, everything, nothing, back = report["times"]
    for each in report["times"]:
        assert each["classes"] == ["FewstepScript"]
        assert (each["title"], each["always"], each["scripts"], each["callbacks"]) == ("Fewstep", True, 2, [1, 1])
        assert each["maps"] == first["maps"], "what no menu shows stays in the maps"
        assert each["axes"] == first["axes"]
        for now, own in zip(each["lists"], report["own"], strict=True):
            assert len(set(now)) == len(now)
            assert now[: len(own)] == own
    assert len(set(first["axes"])) == len(first["axes"]) > 2
    assert first["lists"] == again["lists"] == back["lists"]
    assert [len(now) - len(own) for now, own in zip(first["lists"], report["own"], strict=True)] == [len(menu()), 8]
    assert nothing["lists"] == report["own"]
    for now, names in zip(everything["lists"], first["maps"], strict=True):
        assert set(now) == {name for name in names if name in now or name.startswith("Fewstep ")}
    assert not {"fewstep", "samplers", "a1111", "scripts", "fewstep_webui"} & {*report["top"]}


@pytest.mark.parametrize("missing", ["sd_samplers_kdiffusion", "sd_schedulers"])
def test_a_host_that_lacks_what_we_need_is_told_in_one_line(missing: str) -> None:
    """SD.Next has neither module, older forks of A1111 lack the second."""
    report, printed = in_a_process(f"""
lacks = ("sd_samplers_kdiffusion", "sd_schedulers") if {missing!r} == "sd_samplers_kdiffusion" else ({missing!r},)
host = Host(lacks=lacks).install()
before = [each.name for each in host.sd_samplers.all_samplers]
(module,) = host.load_scripts(first)
report["same"] = before == [each.name for each in host.sd_samplers.all_samplers]
report["scripts"] = len(host.scripts.scripts_data)
report["callbacks"] = sum(host.script_callbacks.registered.values(), [])
report["axes"] = [axis.label for axis in host.axes]
report["heavy"] = sorted({{"torch", "numpy", "fewstep_ext", "gradio"}} & set(sys.modules))
""")
    assert printed == [
        f"fewstep: nothing was added, because this host has no modules.{missing} (A1111 1.9, Forge and reForge have it)"
    ]
    assert report == {"same": True, "scripts": 1, "callbacks": [], "axes": ["Nothing", "Steps"], "heavy": []}


def test_a_second_copy_says_so_and_the_first_stays_in_use(tmp_path: Path) -> None:
    second = copied(tmp_path / "another-folder")
    report, printed = in_a_process(f"""
host = Host().install()
second = Path({str(second)!r}, {SCRIPT!r})
(alone,) = host.load_scripts(first)
report["before"] = listed(host)
one, other = host.load_scripts(first, second)
report["after"] = listed(host)
report["in use"] = str(Path(sys.modules["fewstep_ext"].__file__).parent)
report["classes"] = ["FewstepScript" in vars(module) for module in (one, other)]
report["scripts"] = len(host.scripts.scripts_data)
""")
    assert printed == [f"fewstep: {second} is a second copy and was left out; {ROOT} is in use"]
    assert report["before"] == report["after"]
    assert report["in use"] == str(ROOT)
    assert report["classes"] == [True, False]
    assert report["scripts"] == 2, "the X/Y/Z plot and ours"


def test_an_installed_fewstep_of_another_version_is_not_picked_up(tmp_path: Path) -> None:
    """Nor is anything else on sys.path that is called as our folders are; the clone itself may be called anything."""
    root, site = copied(tmp_path / "1. sd-webui fewstep (copy)"), tmp_path / "site-packages"
    for name in ("fewstep", "samplers", "a1111", "nodes", "commands"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(f"raise AssertionError('{name} was imported')")
    code = """
Host().install().load_scripts(first)
files = [each.__file__ for name, each in sys.modules.items() if name.startswith("fewstep_ext")]
report["from"] = sorted({str(Path(file).parent) for file in files if file})
"""
    report, printed = in_a_process(code, site, root=root)
    assert printed == []
    assert set(report["from"]) == {str(root / name) for name in ("", "a1111", "samplers", "samplers/methods")}
