"""Start states of a user's model, and what runs of plans on them give: in batches, counted, and interruptible.

Everything that asks the model is a generator: it yields the number of evaluations (samples times calls) after each
batch and returns its result, so that whoever drives it can show progress or stop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from .family import Family
from .inputs import work_dtype
from .plan import Plan
from .run import Memory, Model, Step, run

Tensor = torch.Tensor
Result = TypeVar("Result")
Made = TypeVar("Made")
Told = TypeVar("Told")
#: yields evaluations made, returns a result
Work = Generator[int, None, Result]
#: extra arguments of the model, or a function of the samples' indices (int64, on the CPU) that gives them
ExtraArgs = Mapping[str, Any] | Callable[[Tensor], Mapping[str, Any]] | None


def rms(x: Tensor, other: Tensor) -> Tensor:
    """Distance per number of each sample: float64 [S]."""
    return (x - other).flatten(1).double().square().mean(1).sqrt()


def told(work: Generator[Made, None, Result], tell: Callable[[Made], Told]) -> Generator[Told, None, Result]:
    """The work, which yields what `tell` makes of what it says after each batch, such as its evaluations."""
    while True:
        try:
            made = next(work)
        except StopIteration as over:
            result: Result = over.value
            return result
        yield tell(made)


def driven(work: Generator[Told, None, Result], callback: Callable[[Told], object] | None) -> Result:
    """The result of a generator, driven to its end; what it yields is given to the callback."""
    while True:
        try:
            said = next(work)
        except StopIteration as over:
            result: Result = over.value
            return result
        if callback is not None:
            callback(said)


def check_noise(noise: Tensor, batch: int | None) -> None:
    """ValueError unless noise is start states [S, ...], and batch a number of them or None."""
    if noise.ndim < 2 or not noise.is_floating_point():
        raise ValueError(
            f"noise has shape {tuple(noise.shape)} and type {noise.dtype}, expected floating-point states [S, ...]"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"batch is {batch!r}, expected at least 1 sample, or None for all")


@dataclass(frozen=True)
class Samples:
    """Start states x [S, ...], indices into the user's noise, and the states that a converged run ends in.

    States are kept on the CPU and combined in float32 (float64 for float64 noise); the model is asked in `asked`, the
    type of the user's noise, on `device`, with at most `batch` samples at a time.
    """

    model: Model
    x: Tensor
    rows: Tensor
    batch: int
    device: torch.device
    asked: torch.dtype
    extra_args: ExtraArgs = None
    ends: Tensor | None = None

    @classmethod
    def of(cls, model: Model, noise: Tensor, batch: int, extra_args: ExtraArgs) -> Samples:
        states = noise.detach().to("cpu", work_dtype(noise))
        return cls(model, states, torch.arange(len(noise)), batch, noise.device, noise.dtype, extra_args)

    def __len__(self) -> int:
        return len(self.x)

    def taken(self, begin: int, end: int) -> Samples:
        """The samples begin..end - 1."""
        ends = None if self.ends is None else self.ends[begin:end]
        return replace(self, x=self.x[begin:end], rows=self.rows[begin:end], ends=ends)

    def parts(self) -> Iterator[slice]:
        """The batches."""
        for begin in range(0, len(self), self.batch):
            yield slice(begin, begin + self.batch)

    def asking(self, x: Tensor, sigma: Tensor, **extra: Any) -> Tensor:
        """The model, for states in the type in which they are combined."""
        return self.model(x.to(self.asked), sigma, **extra).to(x.dtype)

    def arguments(self, part: slice) -> Mapping[str, Any]:
        """The model's extra arguments for some of the samples."""
        given = self.extra_args
        return (given(self.rows[part]) if callable(given) else given) or {}

    def run(self, plan: Plan) -> Work[Tensor]:
        """The states that a plan ends in, [S, ...] on the CPU."""
        ends = []
        for part in self.parts():
            ends.append(self.run_part(plan, part))
            yield len(ends[-1]) * len(plan)
        return torch.cat(ends)

    def run_part(self, plan: Plan, part: slice, callback: Callable[[Step], Tensor | None] | None = None) -> Tensor:
        """The states that a plan ends in for some of the samples, on the CPU; callback: see `run.run`."""
        x = self.x[part].to(self.device)
        return run(plan, self.asking, x, self.arguments(part), callback=callback).to("cpu")

    def errors(self, plan: Plan) -> Work[Tensor]:
        """Distance of each sample's end from where the converged run ends, float64 [S]; inf where it is not finite."""
        assert self.ends is not None
        return self.distances((yield from self.run(plan)))

    def distances(self, found: Tensor) -> Tensor:
        """Distance of each sample's end from where the converged run ends, float64 [S]; inf where it is not finite."""
        assert self.ends is not None
        error = rms(found, self.ends)
        return torch.where(error.isfinite(), error, torch.inf)

    def normal_equations(
        self, family: Family, theta: Sequence[float], weights: Tensor, eps: float
    ) -> Work[tuple[Tensor, Tensor]]:
        """J'WJ and -J'Wr, float64, for r = end(theta) - ends and J = dr/dtheta by differences of width eps.

        weights [S] belong to the samples. An entry of theta that enters at step i costs the calls after i alone: the
        trajectory before it and the answer at its beginning are known.
        """
        assert self.ends is not None
        size = family.size
        gram = torch.zeros(size, size, dtype=torch.float64)
        right = torch.zeros(size, dtype=torch.float64)
        base = family.plan(theta)
        moved = [family.plan([*theta[:q], theta[q] + eps, *theta[q + 1 :]]) for q in range(size)]
        for part in self.parts():
            arguments = self.arguments(part)
            path, end = _path(base, self.asking, self.x[part].to(self.device), arguments)
            yield len(end) * len(base)
            columns = []
            for plan, i in zip(moved, family.first_updates, strict=True):
                x, denoised, memory = path[i]
                answered = _first_answer(denoised, self.asking)
                out = run(plan, answered, x, arguments, begin=i, history=Memory(memory))
                columns.append(((out - end) / eps).flatten(1).to("cpu"))
                yield len(end) * (len(base) - 1 - i)
            slopes = torch.stack(columns, 1)  # [b, size, numbers of a sample]
            distance = (end.to("cpu") - self.ends[part]).flatten(1)
            for J, r, weight in zip(slopes, distance, weights[part].tolist(), strict=True):
                wide = J.double()
                gram += weight * wide @ wide.T
                right -= weight * wide @ r.double()
        return gram, right


#: before each call: the state, the model's answer, and the memory
Path = list[tuple[Tensor, Tensor, Memory]]


def _path(plan: Plan, model: Model, x: Tensor, arguments: Mapping[str, Any]) -> tuple[Path, Tensor]:
    """What a run passes through, and its end."""
    path: Path = []
    memory = Memory()
    for i in range(len(plan)):
        answers: list[Tensor] = []
        before = Memory(memory)
        start = x
        x = run(
            plan, model, x, arguments, callback=lambda step: answers.append(step.denoised),  # noqa: B023
            begin=i, end=i + 1, history=memory,
        )  # fmt: skip
        path.append((start, answers[0], before))
    return path, x


def _first_answer(denoised: Tensor, model: Model) -> Model:
    """The model, whose first answer is known already."""
    known = [denoised]

    def answered(x: Tensor, sigma: Tensor, **extra: Any) -> Tensor:
        return known.pop() if known else model(x, sigma, **extra)

    return answered
