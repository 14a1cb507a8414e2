"""Models with an exact denoiser inside the real host: no checkpoint, float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Tensor = torch.Tensor
Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]


def exact_model(denoise: Denoise, kind: str, settings: dict[str, Any] | None = None) -> Any:
    """A ModelPatcher of the host whose denoiser is denoise(x, alpha, sigma) -> x0; `kind` names a ModelType.

    `model.asked` lists the sigmas that the model was called with.
    """
    import comfy.latent_formats
    import comfy.model_base
    import comfy.model_patcher
    import comfy.model_sampling
    import comfy.supported_models_base

    plain = type("Plain", (comfy.latent_formats.LatentFormat,), {"scale_factor": 1.0, "latent_channels": 4})
    base = type(
        "Config",
        (comfy.supported_models_base.BASE,),
        {
            "unet_config": {"disable_unet_model_creation": True},
            "unet_extra_config": {},
            "latent_format": plain,
            "memory_usage_factor": 0.01,
        },
    )
    config = base({"disable_unet_model_creation": True})
    config.sampling_settings = dict(settings or {})
    model = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[kind])
    model.diffusion_model = torch.nn.Module()
    model.diffusion_model.dtype = torch.float64
    flow = isinstance(model.model_sampling, comfy.model_sampling.CONST) and float(model.model_sampling.sigma_max) <= 1.0
    asked: list[float] = []

    def apply_model(x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        asked.append(float(sigma[0]))
        s = sigma.double().view(-1, *[1] * (x.ndim - 1))
        return denoise(x.double(), 1 - s if flow else torch.ones_like(s), s).to(x.dtype)

    model.apply_model, model.memory_required = apply_model, lambda *a, **k: 0
    model.asked = asked
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, cpu, cpu)


def gaussian(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The exact denoiser of N(0, 1/4)."""
    return x * (0.25 * alpha / (0.25 * alpha**2 + sigma**2))


#: a condition that the exact models ignore
CONDITION = [[torch.zeros(1, 1, 8, dtype=torch.float64), {}]]


def sample(
    patcher: Any,
    fn: Callable[..., Tensor],
    sigmas: Any,
    noise: Tensor,
    *,
    latent: Tensor | None = None,
    cfg: float = 1.0,
    **given: Any,
) -> Tensor:
    """The host's own sample_custom around a sampler function."""
    import comfy.sample
    import comfy.samplers

    levels = torch.as_tensor(sigmas, dtype=torch.float32)
    start = torch.zeros_like(noise) if latent is None else latent
    given.setdefault("disable_pbar", True)
    out: Tensor = comfy.sample.sample_custom(
        patcher, noise, cfg, comfy.samplers.KSAMPLER(fn), levels, CONDITION, CONDITION, start, seed=0, **given
    )
    return out
