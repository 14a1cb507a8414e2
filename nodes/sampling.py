"""Runs a part on the host: its noise, its latents, its progress and preview; then the latents and the report."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from typing import Any

import torch

from ..samplers.embedded import Report, report
from . import history
from .host_sampler import Choice, sampler_function
from .parts import Part, Work

#: where newer hosts note in a LATENT which factor an empty one was made for
_RATIOS = ("downscale_ratio_spacial", "downscale_ratio_temporal")

Result = tuple[dict[str, Any], dict[str, Any], str]


def sample_part(
    work: Work,
    choice: Choice,
    model: Any,
    seed: int,
    cfg: float,
    positive: Any,
    negative: Any,
    latent: dict[str, Any],
    part: Part,
    chosen: Sequence[str] = (),
) -> Result:
    """(LATENT, denoised LATENT, report), which begins with what was chosen."""
    import comfy.sample
    import comfy.samplers
    import comfy.utils
    import latent_preview

    samples, noise = work.masked or _start(model, latent, seed, part)
    told = _report_of(work, choice)
    last: dict[str, Any] = {}
    began = time.perf_counter()
    out = comfy.sample.sample_custom(
        model,
        noise,
        cfg,
        comfy.samplers.KSAMPLER(sampler_function(choice, piece=work.piece, watch=told)),
        torch.tensor(work.sigmas, dtype=torch.float32),
        positive,
        negative,
        samples,
        noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(model, len(work.sigmas) - 1, last),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    seconds = time.perf_counter() - began
    sampled = {**_plain(latent), "samples": out}
    denoised = {**_plain(latent), "samples": _denoised(model, last.get("x0"), out)}
    begin, end = work.span
    if work.shared and end < len(work.shown):
        masked = None if latent.get("noise_mask") is None else (samples, noise)
        history.carry(sampled, work.piece, choice.cfg_pp, masked, model.model)
    calls = end - begin
    lines = [
        *chosen,
        str(work.shown),
        f"made here: calls {begin + 1} to {end} of {len(work.shown)}",
        f"{calls} model calls in {seconds:.2f} s, {seconds / calls:.3f} s each",
    ]
    if choice.cfg_pp:
        lines.append("CFG++: after each call the state is moved by alpha (guided - negative prediction)")
    lines += [work.note] if work.note else []
    return sampled, denoised, "\n".join([*lines, *(["", str(told)] if told else [])])


def _report_of(work: Work, choice: Choice) -> Report | None:
    """What shows where a run makes its error. Noise, CFG++ and a run in parts are not what it estimates."""
    plan = work.piece.plan
    whole = (work.piece.begin, work.piece.end) == (0, len(plan))
    return report(plan) if whole and not plan.stochastic and not choice.cfg_pp else None


def _start(model: Any, latent: dict[str, Any], seed: int, part: Part) -> tuple[Any, Any]:
    """(samples, noise) that the host mixes to the level of the first call."""
    import comfy.sample

    samples = fixed(model, latent)
    if not part.add_noise:
        return samples, _no_noise(samples)
    return samples, comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))


def unsampled(model: Any, latent: dict[str, Any], part: Part, steps: int, denoise: float) -> Result:
    """What a part without any call gives: the latent, fitted to the model as the host's samplers do it."""
    # its history stays, which is still valid
    same = {name: value for name, value in latent.items() if name not in _RATIOS} | {"samples": fixed(model, latent)}
    why = "denoise is 0" if denoise <= 0 else f"calls {part.start + 1} to {part.end} of {steps} are none"
    return same, same, f"no model call: {why}"


def fixed(model: Any, latent: dict[str, Any]) -> Any:
    """The samples, an empty latent fitted to the model's channels and size as the host's own samplers do it."""
    import comfy.sample

    fix = comfy.sample.fix_empty_latent_channels
    ratios = [latent.get(name) for name in _RATIOS]
    known = len(inspect.signature(fix).parameters) - 2  # none before ComfyUI 0.10
    return fix(model, latent["samples"], *ratios[: max(known, 0)])


def _no_noise(samples: Any) -> Any:
    if getattr(samples, "is_nested", False):
        import comfy.nested_tensor

        return comfy.nested_tensor.NestedTensor([torch.zeros_like(each, device="cpu") for each in samples.unbind()])
    return torch.zeros_like(samples, device="cpu")


def _plain(latent: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in latent.items() if name not in (*_RATIOS, history.KEY)}


def _denoised(model: Any, x0: Any, out: Any) -> Any:
    import comfy.utils

    if x0 is None:
        return out
    clean = model.model.process_latent_out(x0.cpu())
    if getattr(out, "is_nested", False) and not getattr(clean, "is_nested", False):
        import comfy.nested_tensor

        # older hosts hand the flat pack of nested latents on
        shapes = [each.shape for each in out.unbind()]
        return comfy.nested_tensor.NestedTensor(comfy.utils.unpack_latents(clean, shapes))
    return clean
