"""One row of the solver table: a published method, its options and what is promised of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .level import Frame, Level
from .options import Option
from .plan import Call


class Where(NamedTuple):
    """A frame, a schedule id with its default options, and its end: a place where an order is promised."""

    frame: str
    schedule: str
    end: int | str


#: where orders in lambda are promised, and those of forms that are regular on flow from sigma 1 to 0
ON_LAMBDA = (Where("ve", "exponential", "sigma_min"), Where("ve", "karras", "sigma_min"))
ON_FLOW = (Where("flow", "sgm_uniform", 0), Where("flow", "flow_shift", 0))


@dataclass(frozen=True)
class Solver:
    """One published method.

    orders    global order of each variant, meant with final="off", last="regular" and a start of that order
    order_on  where that order holds. Elsewhere (lambda clock on flow from 1 or to 0, tAB on time_uniform, a fixed
              sigma_min and then 0) refinement never shrinks the end steps in the method's clock: nothing is promised
    form      the straight form of its prediction: noise, data or velocity
    calls     model calls per step; a step of k calls spans k intervals, so that n steps of a schedule are n calls
    adaptive  it chooses its steps while it runs (see `samplers/adaptive.py`): no plan, no number of calls known before
    adaptive_run  how it then chooses them: a name in `adaptive.RUNS`
    frames    state conventions on which it is defined
    notes     frame -> what a user should know about this solver there
    chooses   (frame, levels, options) -> id and options of the row that does the work, for `auto`
    ode       id and options of the deterministic solver that it is at eta 0, if that is another row
    """

    id: str
    label: str
    family: str
    orders: Mapping[str, int]
    form: str
    calls: int
    frames: tuple[str, ...]
    options: tuple[Option, ...]
    reference: str
    about: str
    order_on: tuple[Where, ...]
    build: Callable[..., list[Call]] = field(repr=False)
    aliases: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    ode: tuple[str, Mapping[str, Any]] | None = None
    adaptive: bool = False
    adaptive_run: str = "pair"
    chooses: Callable[[Frame, Sequence[Level], Mapping[str, Any]], tuple[str, Mapping[str, Any]]] | None = field(
        repr=False, default=None
    )

    @property
    def stochastic(self) -> bool:
        """Whether it can draw noise: it has the option s_noise."""
        return any(option.name == "s_noise" for option in self.options)

    @property
    def bare(self) -> bool:
        """Whether it samples without any option being given: a file's name has no default that would do."""
        return not any(option.text for option in self.options)

    @property
    def variant(self) -> str:
        """The default variant."""
        return next((str(option.default) for option in self.options if option.name == "variant"), "paper")

    @property
    def order(self) -> int:
        """The order of the default variant."""
        return self.orders[self.variant]
