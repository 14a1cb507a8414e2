"""Our pictures as the host's IMAGE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from PIL.Image import Image


def image(picture: Image) -> torch.Tensor:
    """A picture as the host has them: floats [1, height, width, 3] in 0..1."""
    return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0)[None]
