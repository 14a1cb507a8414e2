"""Fewstep Demo Model: the shipped networks as a MODEL, conditions and VAE, so that the examples run anywhere."""

from __future__ import annotations

from typing import Any

from ..demo.catalog import CLASSES, NETWORKS
from .words import ALIASES, CATEGORY

_EVERY = "one of each"
_NONE = "none"


class FewstepDemoModel:
    NAME = "Fewstep Demo Model"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "A small trained network that draws 32x32 pictures of clothes: vp predicts noise as SD does, flow the velocity "
        "as SD3 and Flux do. Use Empty Latent Image at 256x256 with it."
    )
    SEARCH_ALIASES = [*ALIASES, "demo", "example", "checkpoint"]
    RETURN_TYPES = ("MODEL", "CONDITIONING", "CONDITIONING", "VAE")
    RETURN_NAMES = ("model", "positive", "negative", "vae")
    OUTPUT_TOOLTIPS = (
        "For any sampler node.",
        "The class that was chosen.",
        "What guidance moves away from.",
        "Encodes and decodes; a latent is the grey picture itself.",
    )
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        picture = f"What to draw; '{_EVERY}' gives each picture of a batch the next class."
        return {
            "required": {
                "network": (list(NETWORKS), {"default": "vp", "tooltip": "vp: noise prediction. flow: velocity."}),
                "positive_class": ([_EVERY, *CLASSES], {"default": _EVERY, "tooltip": picture}),
            },
            "optional": {
                "negative_class": (
                    [_NONE, *CLASSES],
                    {"default": _NONE, "tooltip": "What not to draw; none is the usual one.", "advanced": True},
                ),
            },
        }

    def load(self, network: str, positive_class: str, negative_class: str = _NONE) -> tuple[Any, Any, Any, Any]:
        from . import demo_host

        every = list(range(len(CLASSES)))
        positive = every if positive_class == _EVERY else [CLASSES.index(positive_class)]
        negative = [demo_host.NULL_CLASS if negative_class == _NONE else CLASSES.index(negative_class)]
        return demo_host.model(network), demo_host.condition(positive), demo_host.condition(negative), demo_host.VAE()
