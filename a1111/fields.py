"""The option fields of the accordion, of the API, of the infotext and of the X/Y/Z axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ..samplers.choices import Choice, choices
from ..samplers.names import nearest
from ..samplers.profile_folder import PREFIX, profile_names

#: Positions of the API's arguments, so append-only. A test holds that every option of the solver table is here.
ORDER = (
    "variant",
    "start",
    "final",
    "last",
    "form",
    "nodes",
    "split",
    "thresholding",
    "eta",
    "s_noise",
    "rtol",
    "atol",
    "controller",
    "h_init",
    "safety",
    "max_calls",
    "statistics",
    "profile",
)

#: not an option of a solver: it is applied to the model's answers
THRESHOLDING = Choice(
    "thresholding",
    0.0,
    "dynamic thresholding (arXiv 2205.11487): the largest size of x0, to which what exceeds it is scaled down. "
    "0: off. Meant for pixels (1.0); latents of Stable Diffusion reach about 5",
    (),
    0.0,
    math.inf,
)

_NO_PROFILE = "none"
#: not an option of a solver: a profile's plan runs in the place of a solver's
PROFILE = Choice(
    "profile",
    _NO_PROFILE,
    "plans that were tuned for this model (docs/tuning.md): the one of as many calls as there are steps runs in the "
    "place of the sampler's own. It has inner levels of its own and takes no options. The second pass of hires fix "
    "runs without it",
    (),
    0.0,
    0.0,
    text=True,
)
#: what every sampler of ours has, whichever its solver's options are
ALWAYS = (THRESHOLDING, PROFILE)


@cache
def fields() -> tuple[Choice, ...]:
    known = {each.name: each for each in (*choices(), *ALWAYS)}
    return tuple(known[name] for name in ORDER)


def field(name: str) -> Choice:
    return next(each for each in fields() if each.name == name)


def values_of(asked: Choice) -> list[str]:
    """What a field can be now, the default first; nothing for numbers and for other texts."""
    return [_NO_PROFILE, *profile_names()] if asked is PROFILE else list(asked.choices)


def read(given: Sequence[Any]) -> dict[str, Any]:
    """{field: value} of the values moved from their defaults.

    given  values in the order of `fields()`, as many as there are, or one mapping of names to values. None is a default

    ValueError for a name that is no field and for a value out of its range.
    """
    named = dict(given[0]) if given and isinstance(given[0], Mapping) else dict(zip(ORDER, given, strict=False))
    for name in named:
        if name not in ORDER:
            raise ValueError(f"there is no field {name!r}, expected some of {', '.join(ORDER)}")
    values = {name: _number(name, value) for name, value in named.items() if value is not None}
    return {name: value for name, value in values.items() if value != field(name).default}


def _number(name: str, value: Any) -> Any:
    """The value, a number where the field is one: the infotext and the X/Y/Z plot have texts."""
    asked = field(name)
    if asked.text:
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}, expected a text")
        return _profile(value.strip()) if asked is PROFILE else value.strip()
    if asked.choices:
        if value not in asked.choices:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(asked.choices)}")
        return value
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (asked.low <= number <= asked.high and math.isfinite(number)):
        bound = f"in {asked.low:g}..{asked.high:g}" if asked.high < math.inf else f"at least {asked.low:g}"
        raise ValueError(f"{name} is {value!r}, expected a number, {bound}")
    return number


def _profile(text: str) -> str:
    name = text.removeprefix(PREFIX) or _NO_PROFILE
    known = values_of(PROFILE)
    if name not in known:
        raise ValueError(f"{nearest('profile', name, known)}; 'fewstep list profiles' shows them")
    return name
