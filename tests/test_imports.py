"""Who imports what: nothing heavy before it is needed, no host in the core, and the layers of the design."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLERS = ROOT / "samplers"
HOSTS = ("comfy", "modules", "nodes", "folder_paths", "execution", "server", "gradio")
#: each may import from the layers above it; modules not named here are the last layer, and nothing here imports them
LAYERS = (
    ("names", "phi", "data_folder"),
    ("times", "options"),
    ("level",),
    ("statistics",),
    ("auto", "quadrature", "plan", "schedule_tables", "schedule_span", "solver_options"),
    ("methods.tableaus", "schedule_formulas", "solver_row", "writer"),
    ("methods.blocks", "schedules"),
    ("methods.adams", "methods.ddim", "methods.embedded"),
    ("solver_builds",),
    ("solver_reference_rows",),
    ("solver_rows",),
    ("solvers",),
)
#: what a module is allowed beyond or below its layer
ONLY = {
    "run": {"plan", "level", "noise"},
    "noise": {"level", "names"},
    "adaptive_run": {"level", "plan", "run", "solver_row", "methods.embedded"},
    "pair_run": {"adaptive_run", "level", "run", "methods.embedded"},
    "rk45": {"adaptive_run", "level", "plan", "run", "methods.embedded"},
    "adaptive": {"adaptive_run", "pair_run", "rk45", "level", "run", "times", "solvers", "solver_options"},
    "phi": set(),
    "plan": {"level"},
    "level": {"names", "times"},
}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(
    ".".join(path.relative_to(SAMPLERS).with_suffix("").parts)
    for path in SAMPLERS.rglob("*.py")
    if "__pycache__" not in path.parts
)


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after `code`, with this checkout as `fewstep`."""
    script = f"""
import sys, json
from importlib import util
root = {str(ROOT)!r}
spec = util.spec_from_file_location("fewstep", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["fewstep"] = fewstep = util.module_from_spec(spec)
spec.loader.exec_module(fewstep)
{code}
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("", ("torch", "numpy", "scipy", "matplotlib", "PIL", "tqdm")),
        ("fewstep.solvers()", ("torch", "numpy", "scipy")),
        ("fewstep.schedules()", ("torch", "numpy", "scipy")),
        ("import fewstep.samplers.rk45", ("scipy",)),
        ("fewstep.plan('dpmpp_3m', fewstep.schedule('karras', 10))", ("torch",)),
        ("fewstep.plan('deis_tab3', fewstep.schedule('beta', 10))", ("torch",)),
        ("from fewstep.commands import cli; cli.main(['comfy', 'run', 'nothing.json'])", ("torch", "websocket", "PIL")),
    ],
)
def test_nothing_heavy_before_it_is_needed(code: str, absent: tuple[str, ...]) -> None:
    assert not modules_after(code) & set(absent)


def test_public_names_exist() -> None:
    import fewstep

    missing = [name for name in fewstep.__all__ if not callable(getattr(fewstep, name, None))]
    assert not missing
    assert set(fewstep.__all__) <= set(dir(fewstep))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fewstep.nonsense


def test_no_host_module_in_the_core() -> None:
    loaded = modules_after("\n".join(f"import fewstep.samplers.{name}" for name in MODULES))
    assert {f"fewstep.samplers.{name}" for name in MODULES} <= loaded
    assert not {name.partition(".")[0] for name in loaded} & {*HOSTS, "samplers", "commands", "demo"}


def imports_of(name: str) -> tuple[set[str], set[str]]:
    """(modules of samplers, other top-level modules) that a module imports anywhere, type hints included."""
    path = SAMPLERS.joinpath(*name.split(".")).with_suffix(".py")
    own: set[str] = set()
    other: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            other |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            other.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            folder = name.split(".")[: -node.level]
            assert node.level <= len(name.split(".")), f"{name} reaches out of samplers/"
            stem = [*folder, *(node.module.split(".") if node.module else [])]
            joined = [".".join([*stem, alias.name]) for alias in node.names]
            # `from . import a` names modules, `from .a import b` names things inside one
            own |= {each if each in MODULES else ".".join(stem) for each in joined}
    return own, other


@pytest.mark.parametrize("name", MODULES)
def test_layers(name: str) -> None:
    own, _ = imports_of(name)
    last = len(LAYERS)
    rank = RANK.get(name, last)
    wrong = {each for each in own if RANK.get(each, last) >= rank} if rank < last else set()
    assert not wrong, f"samplers/{name} imports {wrong} of its own or a later layer; see LAYERS"
    if name in ONLY:
        assert own <= ONLY[name]


def test_the_layer_check_sees_imports() -> None:
    """A check that reads nothing would pass: these are imports that are surely there."""
    assert {"level", "plan", "quadrature", "methods.blocks"} <= imports_of("methods.adams")[0]
    assert {"schedule_formulas", "level"} <= imports_of("schedules")[0]
    assert "torch" in imports_of("run")[1]


@pytest.mark.parametrize("name", sorted(RANK))
def test_plans_are_made_without_torch(name: str) -> None:
    assert name in MODULES, f"LAYERS names samplers/{name}, which does not exist"
    own, other = imports_of(name)
    assert "torch" not in other
    assert own <= set(RANK), f"samplers/{name} imports {own - set(RANK)}, which may import torch"


def imported_by(folder: str) -> dict[str, set[str]]:
    """{file of a folder: the modules that it imports anywhere}, those of this package from its root: `samplers.run`."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / folder).rglob("*.py"):
        names: set[str] = set()
        parts = path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                stem = [*parts[: -node.level], node.module or ""] if node.level else [node.module or ""]
                names |= {".".join([*filter(None, stem), alias.name]) for alias in node.names}
        found["/".join(parts)] = names
    return found


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("samplers", ("nodes", "a1111", "scripts", "commands", "demo", "fewstep", *HOSTS)),
        ("nodes", ("a1111", "scripts", "commands", "fewstep", "modules", "gradio")),
        ("a1111", ("nodes", "scripts", "commands", "demo", "fewstep", "comfy", "folder_paths", "execution", "server")),
        ("commands", ("nodes", "a1111", "scripts", "fewstep", *HOSTS)),
        ("scripts", ("nodes", "a1111", "samplers", "commands", "demo", "fewstep", "torch", *HOSTS)),
    ],
)
def test_doors_do_not_know_each_other(folder: str, others: tuple[str, ...]) -> None:
    """Nor do they import this package by a name: a host's folder, or the web UIs' alias, is called otherwise."""
    found = imported_by(folder)
    assert found
    for file, names in found.items():
        assert not {name.partition(".")[0] for name in names} & {*others}, file


def test_the_check_of_doors_sees_imports() -> None:
    found = imported_by("a1111")
    assert {"samplers.level.as_float32", "a1111.model_frame.frame_of", "torch"} <= found["a1111/levels.py"]
    assert {"modules.scripts", "a1111.preview", "gradio"} <= found["a1111/script.py"]
    assert "importlib.util" in imported_by("scripts")["scripts/fewstep_webui.py"]


def test_the_web_uis_settings_need_no_torch_and_no_host() -> None:
    """What the fields are is known before a model is; the rest of a1111/ needs torch or the host."""
    loaded = modules_after("from fewstep.a1111 import fields, refusal, request, words; fields.fields()")
    assert not loaded & {"torch", "numpy", "scipy", "PIL", *HOSTS}


def test_every_public_name_is_there_for_people_and_for_type_checkers() -> None:
    """The lazy table, __all__ and the TYPE_CHECKING imports must name the same things."""
    import fewstep

    tree = ast.parse((ROOT / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(fewstep._PUBLIC) == set(fewstep.__all__) == imported
    assert all(callable(getattr(fewstep, name)) for name in fewstep.__all__)
