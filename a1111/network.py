"""Which network a host's denoiser asks: a profile was tuned for one."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from torch import nn

from ..samplers.identity import identity

#: from `denoiser.inner_model`: A1111 and reForge have the network in their LatentDiffusion, Forge in its engine's parts
_PLACES = ("model.diffusion_model", "forge_objects.unet.model.diffusion_model")


def identity_of(denoiser: Any) -> str:
    """`samplers.identity` of the network; "" where none is found, which a profile's check takes for any model."""
    for place in _PLACES:
        try:
            network = attrgetter(place)(denoiser.inner_model)
        except AttributeError:
            continue
        if isinstance(network, nn.Module):
            return identity(network)
    return ""
