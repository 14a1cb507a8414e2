"""The options that solvers share, and what their value "auto" means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .level import Frame
from .options import Option
from .statistics import find_statistics

START = Option(
    "start",
    "auto",
    "how the history begins. euler: orders 1, 2, 3, ...; 2s: one second-order block on the first three levels; "
    "auto: 2s on flow, and from 15 calls on",
    ("auto", "euler", "2s"),
)
FINAL = Option(
    "final",
    "auto",
    "lower order in the last steps, min(k, steps left). auto: in the data form, where the levels end above sigma 0 "
    "and there are fewer than 10 calls",
    ("auto", "on", "off"),
)
LAST = Option(
    "last",
    "auto",
    "the step to sigma 0. regular: keeps its order, in a form that is regular there; denoise: x = D, first order; "
    "auto: regular on flow, denoise on ve and vp",
    ("auto", "regular", "denoise"),
)
FORM = Option("form", "noise", "which prediction is extrapolated on ve and vp", ("noise", "data"))
NODES = Option(
    "nodes",
    "schedule",
    "where a block asks the model. schedule: at the schedule's own points; paper: at the papers' fractions of it",
    ("schedule", "paper"),
)
SPLIT = Option(
    "split",
    "even",
    "how n calls become blocks. even: block sizes that differ by at most one; official: the papers' rule, which ends "
    "in a block of one call unless n mod 3 is 2",
    ("even", "official"),
)


S_NOISE = Option("s_noise", 1.0, "factor on the noise that is added; 1 is right for the model", low=0.0, high=2.0)


#: of solvers that use what was measured of the model
STATISTICS = Option(
    "statistics",
    "",
    "the measured statistics of this very model: the name of a file in the data folder (see docs/statistics.md)",
    reads=find_statistics,
)


def eta(default: float) -> Option:
    return Option("eta", default, "noise added on the way: 0 none (the ODE), 1 the full SDE", low=0.0, high=1.0)


def variants(default: str, **texts: str) -> Option:
    """The option `variant` with a text for each of its values."""
    return Option("variant", default, "; ".join(f"{name}: {text}" for name, text in texts.items()), tuple(texts))


_MAX_CALLS = Option("max_calls", 10000.0, "model calls at most; a run that would need more stops", low=1.0, high=1e6)
#: of the solvers adaptive in lambda; the defaults are the papers' and k-diffusion's
ADAPTIVE = (
    Option("rtol", 0.05, "error allowed in a step, as a share of the latent", low=0.0, high=1.0),
    Option(
        "atol",
        -1.0,
        "error allowed in a step, at least; -1: 0.156 rtol, which is the published 0.0078 at the published rtol",
        low=-1.0,
        high=1.0,
    ),
    Option(
        "controller",
        "papers",
        "what decides on a step. papers: accepted at an error of 1, the next one as long as the error allows; "
        "k_diffusion: limited changes, errors up to 1.5 (order 2) or 1.9 (order 3) accepted: fewer calls, more error",
        ("papers", "k_diffusion"),
    ),
    Option("h_init", 0.05, "width in lambda of the first step that is tried", low=1e-4, high=10.0),
    Option("safety", 0.9, "factor on the next step, for the papers' controller", low=0.1, high=1.0),
    _MAX_CALLS,
)
#: of rk45. Its steps are in sigma, so it has no h_init; rtol ends where float64 does.
BLACK_BOX = (
    Option("rtol", 1e-4, "error allowed in a step, as a share of the latent", low=1e-13, high=1.0),
    Option(
        "atol",
        -1.0,
        "rk45: allowed besides rtol's share; -1: rtol, as published (both 1e-5)",
        low=-1.0,
        high=1.0,
    ),
    _MAX_CALLS,
)


class Situation(NamedTuple):
    """What the rules behind "auto" look at."""

    frame: Frame
    form: str
    calls: int
    ends_at_zero: bool
    eta: float = 0.0


#: option -> what "auto" means. The evidence is in docs/decisions/0004-defaults.md.
AUTO: dict[str, Callable[[Situation], str]] = {
    "start": lambda s: "2s" if not s.eta and (s.frame.name == "flow" or s.calls >= 15) else "euler",
    "final": lambda s: "on" if s.form == "data" and not s.ends_at_zero and s.calls < 10 else "off",
    "last": lambda s: "regular" if s.frame.name == "flow" and not s.eta else "denoise",
}


def resolved(options: Mapping[str, Any], situation: Situation) -> dict[str, Any]:
    """The options with every "auto" replaced by what it means here, so that a plan records what was done."""
    return {name: AUTO[name](situation) if value == "auto" else value for name, value in options.items()}
