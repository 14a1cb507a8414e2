"""Which network a profile belongs to: a short text made of a few of its weights, the same in every host."""

from __future__ import annotations

import hashlib

import torch

_TENSORS, _NUMBERS = 16, 64


def identity(network: torch.nn.Module) -> str:
    """A text such as "network-3f2a9c41d07b" of a network's weights; "" where it has none to tell it by.

    Read are the first numbers of 16 vectors (biases, scales of norms), spread over the network: these stay floating
    point where matrices are quantised, and as they are under LoRA. They are compared in float16, so that a network in
    float32 and its copy in float16 are the same; a copy in bfloat16 is another. The class says nothing: hosts have
    classes of their own for one checkpoint, with the checkpoint's names of weights.
    """
    vectors = [
        (name, each) for name, each in sorted(network.named_parameters()) if each.ndim == 1 and _readable(each)
    ]
    if not vectors:
        return ""
    count = min(_TENSORS, len(vectors))
    found = hashlib.sha256()
    for i in range(count):
        name, vector = vectors[i * len(vectors) // count]
        found.update(name.encode())
        found.update(vector.detach()[:_NUMBERS].to("cpu", torch.float16).numpy().tobytes())
    return f"network-{found.hexdigest()[:12]}"


def _readable(vector: torch.Tensor) -> bool:
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return vector.dtype in floats and vector.device.type != "meta"
