"""What tuning is asked to do, what it starts from and has to beat, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import fit
from .family import Family
from .level import Frame
from .methods.adams import Adams
from .noise_range import NoiseRange
from .plan import Plan
from .solvers import plan as published_plan
from .teacher import teacher_plan

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """A published solver on a published schedule, with options of either; no schedule: levels of the solver's own."""

    solver: str
    schedule: str
    options: Options = field(default_factory=dict, hash=False)
    schedule_options: Options = field(default_factory=dict, hash=False)

    @property
    def words(self) -> list[str]:
        """The options as NAME=VALUE; one that both have has one value."""
        return [f"{name}={value}" for name, value in {**self.schedule_options, **self.options}.items()]

    def __str__(self) -> str:
        return " ".join(word for word in (self.solver, self.schedule, *self.words) if word)


@dataclass(frozen=True)
class Start:
    """A multistep method on a published schedule, where a fit may begin."""

    method: Adams
    schedule: str


#: beta is the best of them for networks under guidance at few calls, the others on exact models
_NOISE_SCHEDULES = ("karras", "exponential", "time_quadratic", "beta")
_FLOW_SCHEDULES = ("sgm_uniform", "beta", "flow_shift")


def _starts(forms: Mapping[str, str], schedules: tuple[str, ...]) -> tuple[Start, ...]:
    """Forms, each in its clock, on every schedule, of 3 points and of 2: under guidance 3 overshoot, some for good."""
    return tuple(
        Start(Adams(form, clock, points), id) for form, clock in forms.items() for points in (3, 2) for id in schedules
    )


_NOISE_STARTS = _starts({"noise": "lambda", "data": "lambda"}, _NOISE_SCHEDULES)
#: frame -> starting points
STARTS = {
    "ve": _NOISE_STARTS,
    "vp": _NOISE_STARTS,
    "flow": _starts({"velocity": "sigma", "data": "lambda"}, _FLOW_SCHEDULES),
}
#: In the noise form nothing is fitted from above this rho: it subtracts numbers of that size to get one of size 1.
_NEARLY_NOISE = 200.0
_NOISE_RIVALS = tuple(
    Setting(solver, id, options)
    for solver, options in (
        ("dpmpp_2m", {}),
        ("dpmpp_3m", {}),
        ("dpm_solver_2m", {"last": "regular"}),
        ("dpm_solver_3m", {}),
        ("dpm_solver_3m", {"last": "regular"}),
        ("deis_tab2", {}),
    )
    for id in _NOISE_SCHEDULES
)
#: frame -> what a tuned plan has to beat; the best of them is kept where it does not
RIVALS = {
    "ve": _NOISE_RIVALS,
    "vp": _NOISE_RIVALS,
    "flow": tuple(
        Setting(solver, id)
        for solver in ("flow_ab2", "flow_ab3", "flow_ab4", "dpm_solver_3m", "dpmpp_2m", "unipc_2")
        for id in _FLOW_SCHEDULES
    ),
}
#: how many fits go on, and for how many rounds each; after these the best of them goes on alone
HEATS = ((6, 1), (2, 2))
_FEWEST_SAMPLES = 12


@dataclass(frozen=True)
class Cost:
    """Evaluations of the model, samples times calls, at most. With guidance each may be two of the network."""

    teacher: int
    published: int
    fit: int
    judge: int

    @property
    def total(self) -> int:
        return self.teacher + self.published + self.fit + self.judge

    def __str__(self) -> str:
        return (
            f"at most {self.total} evaluations of the model on one sample: {self.teacher} for the teacher, "
            f"{self.published} to find the best published plan, {self.fit} for the fits, {self.judge} to judge"
        )


@dataclass(frozen=True)
class Task:
    """What is asked of tuning; checks itself, and raises ValueError.

    frame                  of the states (`fewstep.frame`)
    sigma_max, sigma_min   host sigmas: of the start, and the lowest above the end at which the model is asked
    calls                  numbers of model calls, a plan for each
    end                    zero or sigma_min
    teacher_calls          of the run that is taken for the truth
    teacher_last           option `last` of its solver: how it makes the step to sigma 0
    rounds                 of a fit at most
    points                 predictions that an update combines at most; so many are remembered in a run
    rivals                 published settings to be beaten, and kept where they are not; empty: a short list
    """

    frame: Frame
    sigma_max: float
    sigma_min: float
    calls: tuple[int, ...]
    end: str = "zero"
    teacher_calls: int = 120
    teacher_last: str = "auto"
    rounds: int = 20
    points: int = 3
    rivals: tuple[Setting, ...] = ()

    def __post_init__(self) -> None:
        _ = self.range  # which checks the end
        if not self.calls:
            raise ValueError("calls is empty, expected a number of model calls, or several")
        for name, low in (("rounds", 0), ("points", 2), ("teacher_calls", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{name} is {value!r}, expected a whole number of at least {low}")
        for n in self.calls:
            if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= self.teacher_calls // 3:
                raise ValueError(
                    f"calls holds {n!r}, expected whole numbers from 2 to a third of teacher_calls "
                    f"({self.teacher_calls}); give a teacher of more calls to tune longer plans"
                )
        self.teacher(self.teacher_calls)  # checks the range of sigmas and teacher_last
        for n in self.calls:
            if not self.plans(self.beaten, n):
                raise ValueError(f"none of the published settings has a plan of {n} calls on this range of sigmas")

    @property
    def range(self) -> NoiseRange:
        """The frame and range of every run."""
        return NoiseRange(self.frame, self.sigma_max, self.sigma_min, self.end)

    @property
    def last(self) -> float:
        """Host sigma of the end."""
        return self.range.last

    @property
    def beaten(self) -> tuple[Setting, ...]:
        """The published settings that a tuned plan is compared with."""
        return self.rivals or RIVALS[self.frame.name]

    @property
    def starts(self) -> tuple[Start, ...]:
        """Where fits may begin."""
        nearly_noise = self.frame.level(self.sigma_max).rho > _NEARLY_NOISE
        return tuple(s for s in STARTS[self.frame.name] if not (nearly_noise and s.method.form == "noise"))

    def sigmas(self, id: str, n: int) -> list[float]:
        """A schedule's levels on this range."""
        return self.range.sigmas(id, n)

    def plans(self, settings: tuple[Setting, ...], n: int) -> dict[Setting, Plan]:
        """The plans of published settings, without those that do not exist on this range or do not start at its top."""
        found = {}
        for setting in settings:
            try:
                sigmas = self.range.sigmas(setting.schedule, n, **setting.schedule_options)
                plan = published_plan(setting.solver, sigmas, self.frame, **setting.options)
            except ValueError:
                continue
            if plan.levels[0].host == self.sigma_max:
                found[setting] = plan
        return found

    def family(self, method: Adams, n: int) -> Family:
        """The plans of n calls around a method."""
        return Family(self.frame, self.sigma_max, self.sigma_min, self.last, n, method, self.points)

    def begun(self, n: int) -> Iterator[tuple[Family, list[float]]]:
        """Families and levels of the starting points that exist on this range."""
        for start in self.starts:
            try:
                sigmas = self.sigmas(start.schedule, n)
            except ValueError:
                continue
            if sigmas[0] == self.sigma_max:
                yield self.family(start.method, n), sigmas

    def heats(self) -> Iterator[tuple[int, int]]:
        """How many fits go on and for how many rounds each, one after the other; the last goes on alone."""
        left = self.rounds
        for going, each in (*HEATS, (1, left)):
            yield going, min(each, left)
            left -= min(each, left)

    def teacher(self, calls: int) -> Plan:
        """The plan of the run that is taken for the truth, or of its check."""
        return teacher_plan(self.range, calls, last=self.teacher_last)

    def cost(self, samples: int) -> Cost:
        """What tuning on so many samples asks of the model, at most; fits mostly end after a third of that."""
        fitted, choosing, judging = split(samples)
        published = fits = 0
        for n in self.calls:
            published += (len(self.starts) + len(self.beaten)) * n * choosing
            on_fitted, on_choosing = fit.round_calls(self.family(self.starts[0].method, n))
            begun = HEATS[0][0]
            rounds = sum(going * each for going, each in self.heats())
            fits += rounds * (on_fitted * fitted + on_choosing * choosing) + begun * n * (fitted + choosing)
        teacher = samples * self.teacher_calls + judging * (self.teacher_calls // 2)
        return Cost(teacher, published, fits, 2 * judging * sum(self.calls))


def split(samples: int) -> tuple[int, int, int]:
    """How many samples are for fitting, for choosing and for judging: a half, a quarter, a quarter.

    Raises ValueError for fewer than 12.
    """
    if samples < _FEWEST_SAMPLES:
        raise ValueError(
            f"got {samples} sample(s) of noise, expected at least {_FEWEST_SAMPLES}: a half is for fitting, a quarter "
            "for choosing and a quarter for judging"
        )
    quarter = samples // 4
    return samples - 2 * quarter, quarter, quarter
