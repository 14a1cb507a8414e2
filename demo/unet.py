"""A small class-conditional U-Net for 1x32x32 pictures, fast enough for solver studies on two CPU cores.

It works on 2x2 pixel patches (16x16 with 4 channels): a convolution at full resolution would cost more than all the
rest together and Fashion-MNIST has little detail that would repay it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_CLASSES = 10
NULL_CLASS = 10  # the extra row of the class table: "no class given", for classifier-free guidance
IMAGE_SIZE = 32
PATCH = 2


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def enlarged(h: Tensor) -> Tensor:
    return functional.interpolate(h, scale_factor=2.0, mode="nearest")


class TimeEmbedding(nn.Module):
    """Sines and cosines of a float label in [0, 1000); fractional labels are as good as whole ones."""

    frequencies: Tensor

    def __init__(self, features: int, max_period: float = 10_000.0) -> None:
        super().__init__()
        half = features // 2
        exponents = torch.arange(half, dtype=torch.float64) / half
        # Not persistent: it is a constant, and float16 weight files would spoil it.
        self.register_buffer("frequencies", torch.exp(-math.log(max_period) * exponents).float(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t.to(self.frequencies.dtype)[:, None] * self.frequencies[None]
        return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResBlock(nn.Module):
    """Two 3x3 convolutions; the condition scales and shifts the second normalisation."""

    def __init__(self, channels: int, embedding: int, groups: int = 8) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.condition = nn.Linear(embedding, 2 * channels)
        # No affine weights of its own: the condition supplies scale and shift.
        self.norm2 = nn.GroupNorm(groups, channels, affine=False)
        # A zero last convolution makes every block the identity at the start, which keeps early training calm.
        self.conv2 = zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.condition(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(functional.silu(self.norm1(x)))
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        change: Tensor = self.conv2(functional.silu(h))
        return x + change


class UNet(nn.Module):
    """``forward(x[B, 1, 32, 32], t[B], y[B]) -> [B, 1, 32, 32]``; the output is noise or velocity, as trained."""

    def __init__(self, widths: tuple[int, int, int] = (32, 96, 128), embedding: int = 96, sines: int = 64) -> None:
        super().__init__()
        top, middle, bottom = widths
        patch_channels = PATCH * PATCH
        self.time = TimeEmbedding(sines)
        self.time_in = nn.Linear(sines, embedding)
        self.time_out = nn.Linear(embedding, embedding)
        self.class_table = nn.Embedding(NUM_CLASSES + 1, embedding)

        self.stem = nn.Conv2d(patch_channels, top, 3, padding=1)
        self.down_top = ResBlock(top, embedding)  # 16x16
        self.to_middle = nn.Conv2d(top, middle, 3, stride=2, padding=1)
        self.down_middle = ResBlock(middle, embedding)  # 8x8
        self.to_bottom = nn.Conv2d(middle, bottom, 3, stride=2, padding=1)
        self.bottom = ResBlock(bottom, embedding)  # 4x4: here 3x3 convolutions see the whole picture
        self.from_bottom = nn.Conv2d(bottom, middle, 1)
        self.up_middle = ResBlock(middle, embedding)  # 8x8
        self.from_middle = nn.Conv2d(middle, top, 1)
        self.up_top = ResBlock(top, embedding)  # 16x16
        self.norm = nn.GroupNorm(8, top)
        self.head = zeroed(nn.Conv2d(top, patch_channels, 3, padding=1))
        self.gate = nn.Linear(embedding, 1)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != (1, IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected [B, 1, {IMAGE_SIZE}, {IMAGE_SIZE}]: "
                "pad 28x28 pictures by 2 pixels of -1 on each side"
            )
        if t.shape != (len(x),) or y.shape != (len(x),):
            raise ValueError(
                f"t has shape {tuple(t.shape)} and y {tuple(y.shape)}; expected one label and one class for each of "
                f"the {len(x)} pictures: use torch.full((len(x),), value)"
            )
        e = self.time_out(functional.silu(self.time_in(self.time(t))))
        e = functional.silu(e + self.class_table(y))

        # Convolutions on the CPU are about 1.5 times as fast with the channels innermost.
        patches = functional.pixel_unshuffle(x, PATCH).contiguous(memory_format=torch.channels_last)
        skip_top = self.down_top(self.stem(patches), e)
        skip_middle = self.down_middle(self.to_middle(skip_top), e)
        h = self.bottom(self.to_bottom(skip_middle), e)
        # The 1x1 convolution comes before the enlargement (the result is the same, at a quarter of the work), and
        # skips are added rather than joined: half as wide, so half as slow.
        h = self.up_middle(skip_middle + enlarged(self.from_bottom(h)), e)
        h = self.up_top(skip_top + enlarged(self.from_middle(h)), e)
        h = functional.pixel_shuffle(self.head(functional.silu(self.norm(h))), PATCH)
        # At high noise the answer is nearly the input itself; so narrow a network could not copy every pixel through
        # its normalised layers, so a share of the input chosen by t and y goes straight to the output.
        share: Tensor = self.gate(e)[:, :, None, None]
        return h + share * x
