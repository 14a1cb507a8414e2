"""The two trained demo networks, loaded."""

from __future__ import annotations

import torch
from safetensors import safe_open

from .catalog import CLASSES, NETWORKS, Network
from .unet import IMAGE_SIZE, NULL_CLASS, NUM_CLASSES, UNet

__all__ = ["CLASSES", "IMAGE_SIZE", "NETWORKS", "NULL_CLASS", "NUM_CLASSES", "Network", "load"]


def load(name: str, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> UNet:
    """The trained network, ready to be called: in eval mode, gradients off."""
    if name not in NETWORKS:
        raise ValueError(f"no demo network {name!r}; allowed are {', '.join(map(repr, NETWORKS))}")
    path = NETWORKS[name].weights
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; train them with: python demo/train.py {name}")
    with safe_open(path, framework="pt") as file:
        kind = (file.metadata() or {}).get("kind")
        if kind != name:
            raise ValueError(f"{path} holds a network of kind {kind!r}; expected {name!r}: train it again or rename it")
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (the file is no dictionary)
    net = UNet()
    net.load_state_dict(weights)  # float16 in the file; copied into float32, so no later rounding to float16
    # Weights with the channels innermost spare the CPU a rearrangement at every call.
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this keyword
    return net.to(device=device, dtype=dtype).eval().requires_grad_(False)
