"""The user's profiles as a node has them: by name, in a menu, checked against the host's model."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any

from ..samplers.level import as_float32
from ..samplers.profile_folder import PREFIX, profile_names, profile_path
from .inputs import Widget, about

if TYPE_CHECKING:
    from pathlib import Path

    from ..samplers.level import Frame
    from ..samplers.noise_range import NoiseRange
    from ..samplers.plan import Plan
    from ..samplers.profile import Profile

#: the menu's line that names no profile; none can be called so
BY_NAME = "(by name)"


def profile_menu() -> Widget:
    names = profile_names()
    tip = f"Which tuned plans; Fewstep Tune makes them. {BY_NAME}: those that are linked to name."
    return [BY_NAME, *names], {"default": [*names, BY_NAME][0], "tooltip": tip}


def path_of(name: Any) -> Path:
    """The file of a profile, which need not exist. ValueError for a name that is none."""
    return profile_path(f"{PREFIX}{name}")


def stamp() -> list[Any]:
    """Another whenever a profile was added, changed or taken away: the host then runs again what uses profiles."""
    states = ((name, path_of(name).stat()) for name in profile_names())
    return [(name, state.st_mtime_ns, state.st_size) for name, state in states]


def find(name: Any) -> Profile:
    """The profile of a name. ValueError where there is none, naming those that there are, and for a damaged one."""
    from ..samplers.profile import load_profile

    if name == BY_NAME:
        raise ValueError("no profile is chosen; choose one, or link the `profile` of Fewstep Tune to `name`")
    try:
        return load_profile(path_of(name))
    except FileNotFoundError:
        known = ", ".join(map(repr, profile_names())) or "none"
        raise ValueError(
            f"there is no profile {name!r}; there are {known}. Fewstep Tune makes one when its `run` is at tune"
        ) from None


def _equal(given: float, own: float) -> bool:
    """Whether two levels are the same but for a host's float32."""
    return isclose(given, own, rel_tol=1e-6)


@dataclass(frozen=True)
class Tuned:
    """A plan of a profile in the place of a solver. It has levels of its own, and runs on no others."""

    profile: Profile
    name: str
    calls: int

    id = "tuned"
    cfg_pp = False

    def told(self, guidance: float) -> Tuned:
        return self  # tuning settled everything

    def label(self, plan: Plan) -> str:
        return f"{PREFIX}{self.name}"

    @property
    def levels(self) -> list[float]:
        """The plan's levels as the host passes them on: float32."""
        return as_float32(level.host for level in self.profile.plan(self.calls).levels)

    def plan(self, sigmas: list[float], frame: Frame) -> Plan:
        with about("model"):
            self.profile.check_frame(frame)
        own = self.levels
        same = len(sigmas) == len(own) and all(map(_equal, sigmas, own))
        if not same:
            raise ValueError(
                f"sigmas: got {len(sigmas)} levels from {sigmas[0]:g} to {sigmas[-1]:g}, but the plan of {self.calls} "
                f"calls in {PREFIX}{self.name} runs on its own {len(own)} levels alone, from {own[0]:g} to "
                f"{own[-1]:g}; connect the `sigmas` of the same Fewstep Tuned Sampler"
            )
        return self.profile.plan(self.calls)

    def check_range(self, model: NoiseRange) -> None:
        """ValueError unless the plan begins where the model begins, and never goes below the model's lowest level."""
        first, *_, lowest = (value for value in self.levels if value)
        if not _equal(first, model.sigma_max):
            raise ValueError(
                f"its noise begins at sigma {model.sigma_max:g}, but the profile {self.name!r} was tuned from "
                f"{first:g}; take away the node that changes its sampling (ModelSampling...), or tune it as it is"
            )
        if lowest < model.sigma_min and not _equal(lowest, model.sigma_min):
            raise ValueError(
                f"its lowest sigma is {model.sigma_min:g}, but the plan of {self.calls} calls in profile "
                f"{self.name!r} asks at {lowest:g}; tune this model"
            )
