"""The functions that the host calls to sample: k-diffusion's signature around a plan, in the model's own frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ..samplers.auto import informed
from ..samplers.guidance import dynamic_thresholding
from ..samplers.kdiffusion import Callback, drive, drive_adaptive, label_of, plan_with_repeats, without_repeats
from ..samplers.level import Level, read_levels, read_sigmas, snapped
from ..samplers.noise import NoiseSource
from ..samplers.plan import Plan
from ..samplers.profile import load_profile
from ..samplers.profile_folder import PREFIX
from ..samplers.solvers import Solver
from . import request
from .auto import forget, guidance_of, note
from .model_frame import frame_of
from .network import identity_of
from .refusal import refusing


def _asked(p: Any) -> request.Request:
    """What was asked of this pass: the second one of hires fix starts below the levels that plans are tuned for."""
    asked = request.of(p)
    return asked.without_profile() if getattr(p, "is_hr_pass", False) else asked


def make_plan(row: Solver, sigmas: Any, denoiser: Any, p: Any) -> Plan:
    """The plan on the host's levels; a repeated one costs its call. RefusedError for what cannot be done.

    Of a profile it is the plan of as many calls, between the ends of the host's levels.

    p  the host's processing object, which says what was asked for, and is told what `auto` took; None if unknown
    """
    with refusing():
        asked, where = _asked(p), frame_of(denoiser)
        options = informed(row.options, asked.options(row), guidance_of(p))
        levels = snapped(read_sigmas(sigmas), where)
        if asked.profile:
            profile = load_profile(PREFIX + asked.profile, frame=where, identity=identity_of(denoiser))
            forget(p)  # what `auto` drew is not used
            return profile.plan_between(levels, where)
        made = plan_with_repeats(row, levels, where, **options)
    if made.solver != row.id:
        note(p, solver=made.solver)
    return made


def _noise_of(model: Any) -> NoiseSource:
    """The host's own source: one stream per picture, so that a picture is the same in a batch and alone.

    Its streams go on from draw to draw, so its noise depends on how many steps came before, unlike that of our sources;
    in exchange the host's settings for noise hold (GPU, CPU or NV, the seed delta).
    """

    def noise(start: Level, end: Level, like: Tensor) -> Tensor:
        drawn: Tensor = model.p.rng.next()
        return drawn.to(like)

    return noise


def sampler_function(row: Solver) -> Callable[..., Tensor]:
    """fn(model, x, sigmas, extra_args, callback, disable) for the host's KDiffusionSampler.

    n + 1 levels are n model calls and n callbacks, but for adaptive solvers, which find their steps between the first
    and the last of them; fewer than two levels return x. The host fills parameters by name,
    so this function has none called eta, n, sigma_min or sigma_max: an `eta` would get the ancestral samplers' setting.
    """

    def fn(
        model: Any,
        x: Tensor,
        sigmas: Tensor,
        extra_args: Mapping[str, Any] | None = None,
        callback: Callback | None = None,
        disable: bool | None = None,
    ) -> Tensor:
        if len(sigmas) < 2:
            return x
        p = getattr(model, "p", None)
        asked = _asked(p)
        # the refiner exchanges what stands in extra_args and in model.inner_model between two calls: both go on as are
        denoise = dynamic_thresholding(model, max_val=asked.bound) if asked.bound else model
        if row.adaptive and not asked.profile:
            with refusing():
                options, where = asked.options(row), frame_of(model.inner_model)
                levels = without_repeats(snapped(read_sigmas(sigmas), where))
                read_levels(levels, where)
            return drive_adaptive(
                row, denoise, x, levels, where, extra_args, callback, disable, count=len(sigmas) - 1, **options
            )
        plan = make_plan(row, sigmas, model.inner_model, p)
        label = f"profile {asked.profile}" if asked.profile else label_of(row, plan)
        return drive(plan, denoise, x, extra_args, callback, disable, label=label, noise=_noise_of(model))

    fn.__name__ = fn.__qualname__ = f"sample_fewstep_{row.id}"
    return fn
