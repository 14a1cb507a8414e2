"""A stand-in for the part of A1111, Forge and reForge that our door touches: a package `modules` in sys.modules.

For tests only, also in a bare subprocess: nothing here imports torch or pytest. tests/webui asks a real host the same
questions.
"""

from __future__ import annotations

import inspect
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from webui_names import HOSTS, Names

#: the modules of a1111/ that import the host; the others need none
NEED_A_HOST = ("door", "menus", "preview", "script", "settings", "xyz")


class SamplerData(namedtuple("SamplerData", ["name", "constructor", "aliases", "options"])):
    def total_steps(self, steps: int) -> int:
        return steps * (2 if self.options.get("second_order") else 1)


@dataclass
class Scheduler:
    name: str
    label: str
    function: Any
    default_rho: float = -1
    need_inner_model: bool = False
    aliases: list[str] | None = None


class Script:
    def on_after_component(self, callback: Callable[[Any], None], *, elem_id: str) -> None:
        self.__dict__.setdefault("listeners", []).append((elem_id, callback))

    def elem_id(self, item: str) -> str:
        return f"script_{item}"


class KDiffusionSampler:
    """Runs a sampler function on a model's denoiser, filling its parameters by name as these hosts do."""

    def __init__(self, host: Host, func: Callable[..., Any], model: Any) -> None:
        self.host, self.func, self.config = host, func, None
        self.model_wrap = model.denoiser
        self.guided = model

    def get_sigmas(self, p: Any, steps: int) -> Any:
        name = p.scheduler
        if name == "Automatic":
            name = self.config.options["scheduler"]
        schedule = self.host.sd_schedulers.schedulers_map[name]
        ends = {"sigma_min": self.model_wrap.sigmas[0].item(), "sigma_max": self.model_wrap.sigmas[-1].item()}
        return schedule.function(n=steps, inner_model=self.model_wrap, device="cpu", **ends)

    def sample(self, p: Any, x: Any, extra_args: dict[str, Any]) -> Any:
        self.guided.p = p
        have = {"sigmas": self.get_sigmas(p, p.steps), "n": p.steps, "eta": 1.0, "sigma_min": 0.1, "sigma_max": 10.0}
        asked = inspect.signature(self.func).parameters
        filled = {name: value for name, value in have.items() if name in asked}
        return self.func(self.guided, x, extra_args=extra_args, disable=False, callback=lambda info: None, **filled)


class AxisOption:
    def __init__(self, label: str, type: Any, apply: Any, confirm: Any = None, choices: Any = None) -> None:
        self.label, self.type, self.apply, self.confirm, self.choices = label, type, apply, confirm, choices


class OptionInfo:
    def __init__(self, default: Any, label: str, component: Any, component_args: Any, section: Any = None) -> None:
        self.default, self.label, self.component_args, self.section = default, label, component_args, section

    def info(self, text: str) -> OptionInfo:
        return self

    needs_reload_ui = lambda self: self  # noqa: E731


class Host:
    """One host. Its modules are attributes (`host.sd_samplers`); `settings` is what its settings file holds.

    lacks  names of modules that it does not have
    """

    def __init__(self, names: Names = HOSTS["a1111"], lacks: tuple[str, ...] = (), **settings: Any) -> None:
        self.settings = settings
        self.modules: dict[str, ModuleType] = {"modules": self._module("modules")}
        self.modules["modules"].__path__ = []
        for each in (
            self._scripts, self._script_callbacks, self._shared, self._sd_samplers_common,
            self._sd_samplers_kdiffusion, self._sd_schedulers, self._sd_samplers, self._ui_common,
        ):  # fmt: skip
            name = each.__name__[1:]
            if name not in lacks:
                module = self._module(f"modules.{name}", **each(names))
                self.modules[module.__name__] = module
                setattr(self.modules["modules"], name, module)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["modules"][f"modules.{name}"]
        except KeyError:
            raise AttributeError(name) from None

    def install(self) -> Host:
        sys.modules.update(self.modules)
        return self

    @contextmanager
    def installed(self) -> Iterator[Host]:
        """For tests in one process: our modules that import the host are imported afresh, and forgotten afterwards."""
        _forget()
        try:
            yield self.install()
        finally:
            _forget()

    def load_scripts(self, *paths: Path) -> list[ModuleType]:
        """What its start and each "Reload UI" do: its own X/Y/Z plot first, then the files of extensions."""
        self.scripts.scripts_data.clear()
        for callbacks in self.script_callbacks.registered.values():
            callbacks.clear()
        plot = self._module("xyz_grid.py", AxisOption=AxisOption, apply_field=_apply_field)
        plot.axis_options = [AxisOption("Nothing", str, None), AxisOption("Steps", int, _apply_field("steps"))]
        plot.Script = type("Script", (self.scripts.Script,), {"__module__": "xyz_grid.py"})
        self._register(plot)
        self.axes = plot.axis_options
        return [self._register(_executed(path)) for path in paths]

    def _register(self, module: ModuleType) -> ModuleType:
        for each in vars(module).values():
            if inspect.isclass(each) and issubclass(each, self.scripts.Script):
                self.scripts.scripts_data.append(SimpleNamespace(script_class=each, module=module))
        return module

    @staticmethod
    def _module(name: str, **contents: Any) -> ModuleType:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(contents)
        return module

    # --- its modules -------------------------------------------------------------------------------------------------

    def _scripts(self, names: Names) -> dict[str, Any]:
        return {"Script": Script, "AlwaysVisible": object(), "scripts_data": []}

    def _script_callbacks(self, names: Names) -> dict[str, Any]:
        registered: dict[str, list[Any]] = {"on_ui_settings": [], "on_app_started": []}
        return {"registered": registered, **{name: found.append for name, found in registered.items()}}

    def _shared(self, names: Names) -> dict[str, Any]:
        opts = SimpleNamespace(data=self.settings, added={})
        opts.add_option = opts.added.__setitem__
        return {"opts": opts, "OptionInfo": OptionInfo, "sd_model": None}

    def _ui_common(self, names: Names) -> dict[str, Any]:
        refreshed: list[Any] = []
        return {"refreshed": refreshed, "create_refresh_button": lambda *given: refreshed.append(given)}

    def _sd_samplers_common(self, names: Names) -> dict[str, Any]:
        return {"SamplerData": SamplerData}

    def _sd_samplers_kdiffusion(self, names: Names) -> dict[str, Any]:
        return {"KDiffusionSampler": lambda func, model: KDiffusionSampler(self, func, model)}

    def _sd_schedulers(self, names: Names) -> dict[str, Any]:
        rows = [Scheduler(name, label, None, aliases=aliases or None) for name, label, *aliases in names.schedules]
        by_name = {key: row for row in rows for key in (row.name, row.label)}
        return {"Scheduler": Scheduler, "schedulers": rows, "schedulers_map": by_name}

    def _sd_samplers(self, names: Names) -> dict[str, Any]:
        rows = [SamplerData(name, None, [f"k_{name}"], {}) for name in names.samplers]

        def set_samplers() -> None:
            here = self.sd_samplers
            here.samplers_map.clear()
            here.samplers_map.update({key.lower(): row.name for row in rows for key in (row.name, *row.aliases)})

        def add_sampler(row: SamplerData) -> None:
            """Forge's, for extensions: the map is made anew from the list (modules/sd_samplers.py, dfdcbab6)."""
            rows.append(row)
            self.sd_samplers.all_samplers_map = {each.name: each for each in rows}
            set_samplers()

        def create_sampler(name: str, model: Any) -> KDiffusionSampler:
            row = self.sd_samplers.all_samplers_map[name]
            sampler = row.constructor(model)
            sampler.config = row
            return sampler

        # remembers what names meant, as the hosts' functools.cache does, until it is emptied
        def get_sampler_and_scheduler(sampler: str, scheduler: str) -> tuple[str, str]:
            return memory.setdefault((sampler, scheduler), self._means(sampler, scheduler))

        memory: dict[tuple[str, str], tuple[str, str]] = {}
        get_sampler_and_scheduler.cache_clear = memory.clear  # type: ignore[attr-defined]
        return {
            "all_samplers": rows, "all_samplers_map": {row.name: row for row in rows}, "samplers_map": {},
            "set_samplers": set_samplers, "add_sampler": add_sampler, "create_sampler": create_sampler,
            "get_sampler_and_scheduler": get_sampler_and_scheduler,
        }  # fmt: skip

    def _means(self, sampler: str, scheduler: str) -> tuple[str, str]:
        """An unknown name becomes the host's first entry, without a word."""
        first, automatic = self.sd_samplers.all_samplers[0], self.sd_schedulers.schedulers[0]
        return (
            self.sd_samplers.all_samplers_map.get(sampler, first).name,
            self.sd_schedulers.schedulers_map.get(scheduler, automatic).label,
        )


def _forget() -> None:
    ours = [f"fewstep.a1111.{name}" for name in NEED_A_HOST]
    for name in [name for name in sys.modules if name in ours or name.partition(".")[0] == "modules"]:
        del sys.modules[name]
    for name in NEED_A_HOST:  # `from . import menus` looks here first
        vars(sys.modules.get("fewstep.a1111", SimpleNamespace())).pop(name, None)


def _apply_field(name: str) -> Callable[[Any, Any, Any], None]:
    return lambda p, x, xs: setattr(p, name, x)


def _executed(path: Path) -> ModuleType:
    """A script as these hosts run it: under the name of its file, outside of sys.modules."""
    spec = spec_from_file_location(path.name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
