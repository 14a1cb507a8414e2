"""What loading this pack does to the host: names appended to its menus, nothing replaced, and quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from conftest import PACK, checkout, make_base, serving
from fewstep.samplers.menu import menu

pytestmark = pytest.mark.filterwarnings("ignore")


def test_nothing_of_the_host_is_replaced(host: types.SimpleNamespace) -> None:
    import comfy.samplers
    from comfy.k_diffusion import sampling

    for module, key in ((sampling, "functions"), (comfy.samplers, "samplers")):
        now = {name: value for name, value in vars(module).items() if not name.startswith("__")}
        assert all(now[name] is value for name, value in host.before[key].items())
        added = now.keys() - host.before[key].keys()
        assert all(name.startswith("sample_fewstep_") for name in added)
    for name in ("KSAMPLER_NAMES", "SAMPLER_NAMES"):
        same, before = host.before[name]
        now = getattr(comfy.samplers, name)
        assert now is same
        assert now[: len(before)] == before
        assert all(each.startswith("fewstep_") for each in now[len(before) :])
        assert set(menu()) <= set(now)
        assert len(set(now)) == len(now)


def test_the_schedule_menu_is_left_alone(host: types.SimpleNamespace) -> None:
    import comfy.samplers

    same, before = host.before["SCHEDULER_NAMES"]
    assert comfy.samplers.SCHEDULER_NAMES is same
    assert same == before
    assert host.before["handlers"] == comfy.samplers.SCHEDULER_HANDLERS


def test_the_three_menus_list_our_names(host: types.SimpleNamespace) -> None:
    mappings = host.nodes.NODE_CLASS_MAPPINGS
    for id in ("KSampler", "KSamplerAdvanced", "KSamplerSelect"):
        inputs = mappings[id].INPUT_TYPES()["required"]["sampler_name"]
        names = inputs[0] if isinstance(inputs[0], list) else inputs[1]["options"]
        assert set(menu()) <= set(names), id


def test_import_costs_under_50_ms_and_no_model_code(host: types.SimpleNamespace) -> None:
    """Against an empty pack that the host loaded just before, in seconds of this process.

    The best of several processes counts, for a busy machine slows those too.
    """
    added = host.before["modules after"] - host.before["modules"]
    heavy = ("comfy.ldm", "comfy.text_encoders", "transformers", "scipy")
    assert not [name for name in added if name.startswith(heavy) or ".demo.unet" in name]
    seconds = [host.before["seconds pack"] - host.before["seconds empty"]]
    while min(seconds) >= 0.05 and len(seconds) < 6:
        seconds.append(float(_in_host(LOAD.format(empty=str(host.base / "custom_nodes" / "empty")))[0]))
    print(f"seconds to import: {', '.join(f'{each:.3f}' for each in seconds)}")
    assert min(seconds) < 0.05


def _in_host(code: str, *, base: Path | None = None, **environment: str) -> Any:
    """The JSON that `code` prints in a fresh process that holds the host's modules and a loaded pack."""
    script = f"""
import asyncio, json, logging, sys, time
logging.basicConfig(level=logging.INFO)
sys.argv = ["main.py", "--cpu", *{["--base-directory", str(base)] if base else []!r}]
sys.path.insert(0, {checkout()!r})
sys.path.append({os.environ["FEWSTEP_STUBS"]!r})
import comfy.options
comfy.options.enable_args_parsing()
import comfy.cli_args, utils.extra_config
import comfy.samplers, nodes
def load(folder):
    began = time.process_time()
    assert asyncio.run(nodes.load_custom_node(folder, module_parent="custom_nodes"))
    return time.process_time() - began
pack = {str(PACK)!r}
{code}
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1]), done.stderr + done.stdout


LOAD = """
load({empty!r})  # what the host itself imports for its first pack
empty = load({empty!r})
print(json.dumps(load(pack) - empty))
"""
NAMES = """
load(pack); load(pack)
print(json.dumps({"samplers": comfy.samplers.KSampler.SAMPLERS, "schedulers": comfy.samplers.KSampler.SCHEDULERS}))
"""


@pytest.mark.parametrize(
    ("setting", "samplers", "schedules"),
    [
        ("all", menu("all", bare=True), False),
        ("none", {}, False),
        ("short, schedules", menu(), True),
        ("nonsense", menu(), False),
    ],
)
@pytest.mark.usefixtures("host")
def test_the_setting_is_read_at_import(setting: str, samplers: Any, schedules: bool) -> None:
    found, said = _in_host(NAMES, FEWSTEP_MENU=setting)
    assert [name for name in found["samplers"] if name.startswith("fewstep_")] == list(samplers)
    assert ("fewstep_time_quadratic" in found["schedulers"]) == schedules
    assert ("fewstep_auto" in found["schedulers"]) == schedules
    assert "fewstep_karras" not in found["schedulers"]
    if setting == "none":
        assert "workflows that use a fewstep_... name in them are refused" in said
    if setting == "nonsense":
        assert "FEWSTEP_MENU: unknown size of menu 'nonsense'" in said


@pytest.mark.usefixtures("host")
def test_the_settings_file_in_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "fewstep.json").write_text('{"menu": "none"}')
    found, _ = _in_host(NAMES, base=tmp_path)
    assert not [name for name in found["samplers"] if name.startswith("fewstep_")]


@pytest.mark.usefixtures("host")
def test_a_renamed_solver_keeps_its_old_menu_name() -> None:
    """Old names live on as aliases in the solver table; a listed one resolves to the new row and is still listed."""
    code = """
module = load(pack) and sys.modules[[name for name in sys.modules if name.endswith(".samplers.menu")][0]]
package = sys.modules[module.__package__.rpartition(".")[0]]
menu_module = sys.modules[package.__name__ + ".nodes.menu"]
module.SHORT = (*module.SHORT, "dpmpp_fast")
menu_module.register(sys.modules[package.__name__ + ".nodes.settings"].Settings())
from comfy.k_diffusion import sampling
import torch
x, sigmas = torch.full((1, 1), 9.0), torch.tensor([10.0, 5.0, 2.0, 1.0])
class Model:
    model_sampling = type("Sampling", (comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS), {})()
    def __call__(self, x, sigma):
        return x / (1 + sigma ** 2)
fns = sampling.sample_fewstep_dpmpp_fast, sampling.sample_fewstep_dpmpp_3s
old, new = (fn(Model(), x, sigmas, disable=True) for fn in fns)
print(json.dumps([comfy.samplers.KSampler.SAMPLERS[-1], torch.equal(old, new)]))
"""
    assert _in_host(code)[0] == ["fewstep_dpmpp_fast", True]


@pytest.mark.usefixtures("host")
def test_schedules_from_the_menu_sample(tmp_path: Path) -> None:
    code = """
load(pack)
import comfy.model_sampling as kinds
made = type("Sampling", (kinds.ModelSamplingDiscrete, kinds.EPS), {})()
names = "fewstep_time_quadratic", "fewstep_auto"
print(json.dumps([comfy.samplers.calculate_sigmas(made, name, 6).tolist() for name in names]))
"""
    for levels in _in_host(code, FEWSTEP_MENU="schedules")[0]:
        assert len(levels) == 7
        assert levels[-1] == 0.0
        assert levels == sorted(levels, reverse=True)


def test_two_copies_do_not_disturb_each_other_or_the_host(tmp_path_factory: pytest.TempPathFactory, stubs: str) -> None:
    """By the Manager and by git, say. The host starts, the second copy says one line, and all five nodes are there."""
    base = make_base(tmp_path_factory.mktemp("twice"))
    (base / "custom_nodes" / "fewstep-main").symlink_to(PACK)
    with serving(base, PACK, "fewstep", stubs) as found:
        assert found.post("/fewstep/plan", {})[0] == 200
        assert {"FewstepKSampler", "FewstepDemoModel"} <= set(found.get("/object_info"))
        assert found.log.read_text().count("/fewstep/plan is there already; is fewstep twice in custom_nodes?") == 1
