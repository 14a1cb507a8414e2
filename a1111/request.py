"""What a person asked of the samplers in one run of the host: carried on its processing object `p`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..samplers.choices import moved
from ..samplers.solvers import Solver
from . import fields
from .words import ATTRIBUTE, KEY

_PLACE = f"{ATTRIBUTE}request"


@dataclass(frozen=True)
class Request:
    """values: field -> value, for those moved from their defaults; problem: why they could not be read."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def options(self, row: Solver) -> dict[str, Any]:
        """The solver's options. ValueError for what was wrong all along, and for an option that it does not have.

        A profile takes none.
        """
        if self.problem:
            raise ValueError(self.problem)
        apart = [each.name for each in fields.ALWAYS]
        own = {name: value for name, value in self.values.items() if name not in apart}
        if not self.profile:
            return moved(row, own)
        if own:
            raise ValueError(
                f"profile {self.profile} takes no options, tuning settled them: set {', '.join(own)} back, or profile "
                f"to {fields.PROFILE.default!r}"
            )
        return {}

    @property
    def profile(self) -> str:
        """The name of a profile whose plan runs in the place of the solver's; "" for none."""
        return str(self.values.get(fields.PROFILE.name, ""))

    def without_profile(self) -> Request:
        """The same of a run that the profile is not for."""
        return replace(self, values={name: each for name, each in self.values.items() if name != fields.PROFILE.name})

    @property
    def bound(self) -> float:
        """The largest x0 of dynamic thresholding; 0 for none."""
        return float(self.values.get(fields.THRESHOLDING.name, 0.0))

    @property
    def infotext(self) -> dict[str, Any]:
        # numbers with all their digits: the text is what the picture can be made again from
        return {KEY + name: str(value).removesuffix(".0") for name, value in self.values.items()}


def put(p: Any, arguments: Sequence[Any]) -> Request:
    """Reads the script's arguments, and what the X/Y/Z plot set on `p` over them; keeps the request on `p`.

    Never raises: the host would report what is raised here and go on without the options. A sampler function raises it.
    """
    try:
        values = fields.read(arguments)
        axes = {name: getattr(p, ATTRIBUTE + name) for name in fields.ORDER if hasattr(p, ATTRIBUTE + name)}
        values = {**values, **axes}
        request = Request(fields.read([values]))
    except ValueError as error:
        request = Request(problem=str(error))
    setattr(p, _PLACE, request)
    return request


def of(p: Any) -> Request:
    """The request on `p`; the defaults where our script did not run, as in extensions that sample on their own."""
    found = getattr(p, _PLACE, None)
    return found if isinstance(found, Request) else Request()
