"""The callables that hosts want: k-diffusion's sampler signature, and `sample` for scripts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tqdm.auto import tqdm

from .adaptive import Turn, adaptive
from .auto import AUTO
from .level import Frame, Level, read_sigmas
from .level import frame as make_frame
from .noise import NoiseSource
from .plan import Call, Plan
from .profile import Profile, load_profile, plan_of_profile
from .profile_folder import is_profile
from .run import Model, Step, run
from .solvers import Solver, check, plan
from .solvers import solver as find_solver
from .times import TimeMap

Tensor = torch.Tensor
Callback = Callable[[dict[str, Any]], object]


def sample(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    solver: str | Solver = AUTO,
    frame: str | Frame = "ve",
    seed: int | Sequence[int] = 0,
    callback: Callback | None = None,
    extra_args: Mapping[str, Any] | None = None,
    *,
    time: str | TimeMap | Sequence[float] | None = None,
    check: bool = False,
    noise: str | NoiseSource = "cpu",
    **options: Any,
) -> Tensor:
    """Samples from `x` (noise at sigmas[0], in the frame's scale) down to sigmas[-1]; n + 1 levels are n model calls.

    model     model(x, sigma[B], **extra_args) -> denoised (see `fewstep.wrap`)
    callback  called once per model call with a dict of x, i, sigma, sigma_hat, denoised; adaptive solvers call it once
              per attempt, with the `Attempt` as `attempt` besides (`fewstep.adaptive` returns all of them)
    check     stop with FloatingPointError at the first NaN; reads back once per call
    solver    an id or alias, or `profile:NAME` for the plan of that many calls in one of the user's profiles (see
              `fewstep.tune`): it takes the ends of `sigmas`, and has inner levels and options of its own
    seed      of the noise of stochastic solvers; one for all samples, or one for each
    noise     where that noise comes from: cpu, device, brownian, or a source of your own (see `samplers/noise.py`)

    Raises ValueError for bad levels, ids and options before the first model call (see `fewstep.plan`).
    """
    where = make_frame(frame, time)
    if is_profile(solver):
        made = plan_of_profile(str(solver), sigmas, where, options)
    else:
        row = find_solver(solver)
        if row.adaptive:
            return drive_adaptive(row, model, x, sigmas, where, extra_args, callback, disable=True, **options)
        made = plan(row, sigmas, where, **options)
    return run(made, model, x, extra_args, seed, callback=callback and _reporter(callback), check=check, noise=noise)


def k_sampler(id: str | Solver) -> Callable[..., Tensor]:
    """A sampler function with k-diffusion's signature:

        fn(model, x, sigmas, extra_args=None, callback=None, disable=None, *,
           frame="ve", time=None, seed=0, noise="cpu", noise_sampler=None, **options)

    noise_sampler(sigma, sigma_next) is k-diffusion's way to hand in noise; given, it takes the place of `noise`.

    Host rules apply to `sigmas`: fewer than two levels return x, and a repeated level costs its model call and its
    callback and changes nothing (adaptive solvers leave it out). The answers are checked once, after the last call
    (FloatingPointError); those of adaptive solvers at every attempt.

    id  a solver, or `profile:NAME`, which is read here: a sampler then takes the number of calls and the ends of
        `sigmas`, and no options
    """
    row = load_profile(str(id)) if is_profile(id) else find_solver(id)

    def fn(
        model: Model,
        x: Tensor,
        sigmas: Any,
        extra_args: Mapping[str, Any] | None = None,
        callback: Callback | None = None,
        disable: bool | None = None,
        *,
        frame: str | Frame = "ve",
        time: str | TimeMap | Sequence[float] | None = None,
        seed: int | Sequence[int] = 0,
        noise: str | NoiseSource = "cpu",
        noise_sampler: Callable[[Tensor, Tensor], Tensor] | None = None,
        **options: Any,
    ) -> Tensor:
        where = make_frame(frame, time)
        if isinstance(row, Profile):
            values = read_sigmas(sigmas)
            if len(values) < 2:
                return x
            made = row.plan_between(values, where, options)
            return drive(made, model, x, extra_args, callback, disable, label=str(id))
        check(row, where, options)
        values = read_sigmas(sigmas)
        if row.adaptive:
            values = without_repeats(values)
        if len(values) < 2:
            return x
        if row.adaptive:
            return drive_adaptive(row, model, x, values, where, extra_args, callback, disable, **options)
        made = plan_with_repeats(row, values, where, **options)
        source = noise if noise_sampler is None else _sampled(noise_sampler)
        return drive(made, model, x, extra_args, callback, disable, label=label_of(row, made), seed=seed, noise=source)

    fn.__name__ = fn.__qualname__ = "sample_fewstep_" + (row.id if isinstance(row, Solver) else "profile")
    return fn


def label_of(row: Solver, made: Plan) -> str:
    """What a progress bar is called: a solver that chooses says what it chose."""
    # on levels that are all the same there was nothing to choose
    return row.label if made.solver == row.id else f"{row.label}: {find_solver(made.solver).label}"


def _sampled(noise_sampler: Callable[[Tensor, Tensor], Tensor]) -> NoiseSource:
    def noise(start: Level, end: Level, like: Tensor) -> Tensor:
        return noise_sampler(like.new_full((), start.host), like.new_full((), end.host)).to(like)

    return noise


def drive(
    plan: Plan,
    model: Model,
    x: Tensor,
    extra_args: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    disable: bool | None = None,
    *,
    label: str = "",
    move: Callable[[Step], Tensor | None] | None = None,
    watch: Callable[[Step], object] | None = None,
    begin: int = 0,
    end: int | None = None,
    **run_options: Any,
) -> Tensor:
    """Carries out a plan (or calls begin..end - 1 of it) as hosts expect a sampler function to: a progress bar unless
    `disable`, a k-diffusion callback per model call, and one look at the result (FloatingPointError for NaN or inf).

    move(step) may return a tensor that takes the place of the state before the update; watch(step), a report for one,
    only looks. `run_options`: see `run.run`.
    """
    report = callback and _reporter(callback, begin)
    calls = (len(plan) if end is None else end) - begin
    with tqdm(total=calls, disable=disable, desc=label) as bar:

        def turn(step: Step) -> Tensor | None:
            if report is not None:
                report(step)
            if watch is not None:
                watch(step)
            bar.update()
            return None if move is None else move(step)

        out = run(plan, model, x, extra_args, callback=turn, begin=begin, end=end, **run_options)
    if not bool(torch.isfinite(out).all()):
        raise FloatingPointError(
            f"{plan.solver} ended in NaN or inf after {calls} model calls; often float16 overflow in the model: "
            "try bfloat16 or float32, or a lower guidance scale"
        )
    return out


def drive_adaptive(
    row: Solver,
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    where: Frame,
    extra_args: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    disable: bool | None = None,
    *,
    count: int = 0,
    **options: Any,
) -> Tensor:
    """An adaptive solver as hosts expect a sampler function to be: a progress bar, by the way that is done, unless
    `disable`; a callback per attempt, k-diffusion's dict with the attempt besides. What is raised: `adaptive`.

    count  of steps that the host shows: `i` then is the way done in these steps, and not the number of the attempt
    """
    with tqdm(total=100, disable=disable, desc=row.label, unit="%") as bar:

        def report(turn: Turn) -> None:
            attempt = turn.attempt
            if callback is not None:
                sigma = turn.x.new_full((), attempt.start.host, dtype=torch.promote_types(turn.x.dtype, torch.float32))
                index = min(int(count * attempt.progress), count - 1) if count else attempt.i
                told = {"x": turn.x, "i": index, "sigma": sigma, "sigma_hat": sigma, "denoised": turn.denoised}
                callback({**told, "attempt": attempt})
            bar.update(int(100.0 * attempt.progress) - bar.n)

        return adaptive(model, x, sigmas, row, where, report, extra_args, **options).x


def without_repeats(sigmas: Sequence[float]) -> list[float]:
    """The levels with each repeated one left out."""
    return [*sigmas[:1], *(b for a, b in itertools.pairwise(sigmas) if a != b)]


def plan_with_repeats(row: Solver, sigmas: Sequence[float], where: Frame, **options: Any) -> Plan:
    """A plan for a host's list: at a repeated level the model is called and nothing changes."""
    unique = without_repeats(sigmas)
    if len(unique) == len(sigmas):
        return plan(row, sigmas, where, **options)
    if len(unique) == 1:
        level = where.level(sigmas[0])
        idle = _idle(level, None)
        return Plan(row.id, where, (level,) * len(sigmas), (idle,) * (len(sigmas) - 1), row.order)
    made = plan(row, unique, where, **options)
    calls: list[Call] = []
    done = 0
    for a, b in itertools.pairwise(sigmas):
        if a == b:
            calls.append(_idle(made.levels[0], calls[-1] if calls else None))
        else:
            calls.append(made.calls[done])
            done += 1
    return replace(made, calls=tuple(calls))


def _idle(start: Level, before: Call | None) -> Call:
    """A call that asks again where the state is, remembers nothing and leaves the state as it is."""
    if before is None or before.closes:
        at = before.target if before else start
        return Call(at, at, "", 1.0, (), True, "data", "sigma", 0)
    # inside a step the state is a stage: make the same stage again from the anchor
    return replace(before, level=before.target, keeps="", noise=0.0, spread=0.0)


def _reporter(callback: Callback, begin: int = 0) -> Callable[[Step], None]:
    def report(step: Step) -> None:
        sigma = step.sigma.new_full((), step.level.host)  # 0-dim, as k-diffusion gives it
        # hosts count the calls of the run that they asked for
        index = step.i - begin
        callback({"x": step.x, "i": index, "sigma": sigma, "sigma_hat": sigma, "denoised": step.denoised})

    return report
