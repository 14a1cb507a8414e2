"""The demo networks inside the host's own model machinery: its BaseModel, its sampling classes, its ModelPatcher."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import torch
from torch import Tensor, nn

from ..demo.networks import IMAGE_SIZE, NULL_CLASS, load

__all__ = ["NULL_CLASS", "VAE", "condition", "model"]

#: network -> how the host samples such a model, and with which settings
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {"vp": ("EPS", {}), "flow": ("FLOW", {"shift": 1.0})}


class _Grey(comfy.latent_formats.LatentFormat):  # type: ignore[misc]
    """A latent is a grey picture in -1..1, one pixel for each of its 32x32 places.

    It still counts as 8 times smaller than the picture, so that Empty Latent Image at 256x256 gives 32x32 in every
    version of the host.
    """

    scale_factor = 1.0
    latent_channels = 1
    spacial_downscale_ratio = 8
    latent_rgb_factors = [[1.0, 1.0, 1.0]]


class _Config(comfy.supported_models_base.BASE):  # type: ignore[misc]
    # the network is ours to build, not the host's
    unet_config = {"disable_unet_model_creation": True}
    unet_extra_config: dict[str, Any] = {}
    latent_format = _Grey
    memory_usage_factor = 0.1


class _Network(nn.Module):
    """The demo network as the host calls one: the class arrives as the first number of the context."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.dtype = torch.float32

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor | None = None, **kwargs: Any) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != (1, IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"latent_image: the demo networks draw {IMAGE_SIZE}x{IMAGE_SIZE} latents, got {tuple(x.shape)}; "
                f"use Empty Latent Image at {8 * IMAGE_SIZE}x{8 * IMAGE_SIZE}, "
                f"or encode a picture of {IMAGE_SIZE}x{IMAGE_SIZE}"
            )
        if context is None:
            raise ValueError("positive: the demo networks take the conditions of the Fewstep Demo Model node")
        y = context[:, 0, 0].round().long().clamp(0, NULL_CLASS)
        answer: Tensor = self.net(x, timesteps.to(x.dtype), y)
        return answer


def model(network: str) -> Any:
    """A ModelPatcher around the trained network."""
    kind, settings = _KINDS[network]
    config = _Config(_Config.unet_config)
    config.sampling_settings = dict(settings)
    base = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[kind])
    base.diffusion_model = _Network(load(network))
    return comfy.model_patcher.ModelPatcher(
        base,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def condition(classes: list[int]) -> list[Any]:
    """CONDITIONING: a class for each picture of a batch, repeated as the host repeats conditions."""
    return [[torch.tensor(classes, dtype=torch.float32).view(-1, 1, 1), {}]]


class VAE:
    """What the host's VAE nodes call: grey latents [B, 1, 32, 32] in -1..1, pictures [B, 32, 32, 3] in 0..1."""

    downscale_ratio = 1
    upscale_ratio = 1
    latent_channels = 1
    output_channels = 3

    def decode(self, samples: Tensor, **kwargs: Any) -> Tensor:
        grey = ((samples.float() + 1.0) / 2.0).clamp(0.0, 1.0)
        return grey[:, :1].movedim(1, -1).expand(-1, -1, -1, 3).contiguous()

    def encode(self, pixels: Tensor) -> Tensor:
        return pixels[..., :3].float().mean(dim=-1)[:, None] * 2.0 - 1.0

    def decode_tiled(self, samples: Tensor, **tiles: Any) -> Tensor:
        return self.decode(samples)  # so small that there is nothing to tile

    def encode_tiled(self, pixels: Tensor, **tiles: Any) -> Tensor:
        return self.encode(pixels)

    def spacial_compression_encode(self) -> int:
        return self.downscale_ratio

    def spacial_compression_decode(self) -> int:
        return self.upscale_ratio

    def temporal_compression_decode(self) -> None:
        return None
