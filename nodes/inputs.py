"""Widgets from the solver and schedule tables, and back from widget values to options.

Nothing here imports the host. Widgets beyond what a node cannot do without are optional inputs, so that a workflow
saved before a widget was added stays valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..samplers.auto import AUTO
from ..samplers.choices import Choice, choices, moved
from ..samplers.names import nearest
from ..samplers.options import Option, read_options
from ..samplers.schedules import Schedule, offered_schedules
from ..samplers.solvers import Solver, offered_solvers, solver
from ..samplers.statistics import check_name

#: (type or choices, settings), as the host's INPUT_TYPES has them
Widget = tuple[Any, dict[str, Any]]


@contextmanager
def about(name: str) -> Iterator[None]:
    """Puts the name of an input in front of what is wrong with it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error


# --- widgets ---------------------------------------------------------------------------------------------------------


def sampler_name() -> Widget:
    tip = (
        "The solver; auto: the one that suits the model, the steps and cfg, named by the plot. 2m and 3m remember "
        "calls, 2s and 3s spend 2 or 3 calls on a step."
    )
    return list(offered_solvers()), {"default": AUTO, "tooltip": tip}


def scheduler() -> Widget:
    tip = (
        "Spacing of the noise levels; auto: the one that suits the model and the steps. beta suits most models; karras "
        "noise and v models, simple flow models."
    )
    return list(offered_schedules()), {"default": AUTO, "tooltip": tip}


def steps() -> Widget:
    tip = "Model calls, exactly, with every solver: n steps are n calls."
    return "INT", {"default": 10, "min": 1, "max": 10000, "tooltip": tip}


def denoise() -> Widget:
    tip = "Below 1: only the last `steps` calls of a schedule that is longer by 1/denoise, for image to image."
    return "FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01, "tooltip": tip}


def cfg_pp() -> Widget:
    tip = "CFG++ (arXiv 2406.08070): noise again with the negative's prediction. For multistep solvers; use cfg near 1."
    return switch(tip, False)


def switch(tip: str, default: bool) -> Widget:
    return "BOOLEAN", {"default": default, "tooltip": tip, "advanced": True}


def seed(tip: str, *, default: int = 0, moves: bool = False) -> Widget:
    """moves: whether the page may choose another one after each run."""
    return "INT", {"default": default, "min": 0, "max": 2**64 - 1, "control_after_generate": moves, "tooltip": tip}


def cfg(tip: str) -> Widget:
    return "FLOAT", {"default": 5.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01, "tooltip": tip}


def text_options(of: str, example: str) -> Widget:
    tip = f"Further options of the {of} as name=value, for example {example}. Empty: the defaults."
    return "STRING", {"default": "", "multiline": False, "tooltip": tip, "advanced": True}


def solver_options() -> dict[str, Widget]:
    """A widget for each option that some solver has. Those that differ between solvers start at "default"."""
    return {each.name: _widget(each) for each in choices()}


def _widget(option: Choice) -> Widget:
    settings: dict[str, Any] = {"tooltip": option.help, "advanced": True, "default": option.default}
    if option.choices:
        return list(option.choices), settings
    if option.text:
        return "STRING", settings | {"multiline": False}
    # any value may be typed: a tolerance can be far below the step of the arrows
    return "FLOAT", settings | {"min": option.low, "max": option.high, "step": 0.01, "round": False}


# --- from values to options ------------------------------------------------------------------------------------------


def chosen_solver(name: Any, values: Mapping[str, Any] = {}) -> tuple[Solver, dict[str, Any]]:
    """The solver row and the options that were moved from their widget's default.

    A widget at its default says nothing, so it fits every solver. Raises ValueError, naming the widget, for an unknown
    solver and for an option that the solver does not have.
    """
    with about("sampler_name"):
        row = solver(name)
    return row, moved(row, values)


#: what the schedule's text field understands beside the schedule's own options
_SPAN = (
    Option("sigma_min", 0.0, "the last positive level", low=0.0),
    Option("sigma_max", 0.0, "the first level", low=0.0),
    Option("end", "0", "0 or sigma_min", ("0", "0.0", "sigma_min")),
)
#: Chinese input methods write these
_FULL_WIDTH = str.maketrans("，；＝", ",;=")
_LONGEST = 60  # characters of a pair


def read_lines(text: Any, name: str) -> list[str]:
    """The lines of a text that are not empty and no remark (#). ValueError names the field."""
    if not isinstance(text, str):
        raise ValueError(f"{name}: got {text!r}, expected a text")
    lines = [line.partition("#")[0].strip() for line in text.translate(_FULL_WIDTH).splitlines()]
    return [line for line in lines if line]


def read_text(text: Any, offered: Iterable[Option], name: str = "options") -> dict[str, Any]:
    """{option: value} of "name=value, name=value". ValueError names the field."""
    if not isinstance(text, str):
        raise ValueError(f"{name}: got {text!r}, expected a text of name=value pairs")
    # white space, commas and semicolons part the pairs, but not from their equals signs
    pairs = re.sub(r" ?= ?", "=", " ".join(re.split(r"[\s,;]+", text.translate(_FULL_WIDTH)))).split()
    offered = list(offered)
    known = [option.name for option in offered]
    for pair in pairs:
        key, _, value = pair.partition("=")
        if not (key and value) or "=" in value or len(pair) > _LONGEST:
            shown = pair if len(pair) <= _LONGEST else f"{pair[:_LONGEST]}..."
            raise ValueError(f"{name}: cannot read {shown!r}; write name=value pairs, such as 'rho=5, sigma_min=0.1'")
        if key not in known:
            rows: list[Solver | Schedule] = [*offered_solvers().values(), *offered_schedules().values()]
            owners = dict.fromkeys(row.id for row in rows if _has(row, key))
            hint = f"{key!r} is an option of {', '.join(owners)}; here there are {', '.join(sorted(known))}"
            raise ValueError(f"{name}: " + (hint if owners else nearest("option", key, known)))
    return read_options(pairs, offered, name)


def _has(row: Solver | Schedule, option: str) -> bool:
    return any(each.name == option for each in row.options)


def read_options_text(text: Any, levels: Schedule, row: Solver | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options in a text field of a schedule, or of a solver and a schedule: (the solver's, the schedule's).

    What both have (guidance, of auto) goes to both. The solver's are checked here, the schedule's by the schedule.
    """
    offered = {option.name: option for option in (row.options if row else ())}
    of_schedule = {option.name: option for option in (*levels.options, *_SPAN)}
    given = read_text(text, (offered | of_schedule).values())
    if given.get("end") in ("0", "0.0"):
        given["end"] = 0
    of_solver = {key: value for key, value in given.items() if key in offered}
    with about("options"):
        for name in of_solver:
            if offered[name].text:
                check_name(of_solver[name])
            of_solver[name] = offered[name].check(of_solver[name], name)
    return of_solver, {key: value for key, value in given.items() if key in of_schedule}


def refusal(name: str, find: Callable[[Any], object], value: Any) -> Any:
    """For the host's VALIDATE_INPUTS: True, or why the value of an input is refused.

    A linked input has no value yet; the node looks at it when it runs.
    """
    if value is None:
        return True
    try:
        with about(name):
            find(value)
    except ValueError as error:
        return str(error)
    return True
