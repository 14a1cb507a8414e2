"""Which solvers a host's own sampler menu is given, and under which names.

Menus stay short unless a setting asks for more: what the hosts lack or have only in another form. The list is
append-only but for its first name, since a published name stands in people's saved work: when a solver is renamed, its
old id becomes an alias in the solver table and stays listed here.
"""

from __future__ import annotations

from collections.abc import Callable

from .auto import AUTO
from .names import nearest

PREFIX = "fewstep_"

SHORT = (
    AUTO,
    "dpmpp_3m",
    "dpmpp_2s",
    "dpmpp_3s",
    "dpm_solver_2m",
    "dpm_solver_3m",
    "dpm_solver_2s",
    "dpm_solver_3s",
    "deis_tab1",
    "deis_tab2",
    "deis_tab3",
    "deis_rhoab3",
    "deis_rhork_kutta3",
    "deis_rhork_rk4",
    "flow_ab2",
    "flow_ab3",
    "flow_ab4",
    "dpmpp_2s_sde",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "dpm_solver_2m_sde",
    "deis_tab_sde",
    "unipc_2",
    "sa_solver",
)


def _all() -> tuple[str, ...]:
    from .solvers import offered_solvers

    # a name of the short list is in it even when it is an alias
    return tuple(dict.fromkeys((*offered_solvers(), *SHORT)))


def _needs_options(name: str) -> bool:
    from .solvers import solver

    return name not in SHORT and not solver(name).bare


#: word of the setting -> the ids that it stands for
_SIZES: dict[str, Callable[[], tuple[str, ...]]] = {"short": lambda: SHORT, "all": _all, "none": lambda: ()}
SIZES = tuple(_SIZES)
DEFAULT_SIZE = "short"


def menu(size: str = DEFAULT_SIZE, *, bare: bool = False) -> dict[str, str]:
    """{menu name: solver id or alias} for a size of menu: short, all or none. ValueError for any other word.

    bare  the host's menu has no place for options: solvers that need one (statistics) are left out

    The short one is made without the solver table, which a host's start does not wait for.
    """
    if size not in _SIZES:
        raise ValueError(nearest("size of menu", size, SIZES))
    return {PREFIX + name: name for name in _SIZES[size]() if not (bare and _needs_options(name))}
