"""The demo's pictures as tiles of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from ..samplers.picture_grid import PAPER, Row, grid

__all__ = ["CELL", "Row", "beside", "grid", "row", "tiles"]

CELL = 64


def row(label: str, pictures: Tensor, note: str = "", heading: str = "", **more: Any) -> Row:
    """A row of a grid; pictures [N, 1, H, W] in [-1, 1], values beyond are cut off."""
    return Row(label, tiles(pictures), note, heading, **more)


def tiles(pictures: Tensor) -> list[Image.Image]:
    """[N, 1, H, W] in [-1, 1] as N grey pictures of CELL x CELL."""
    values = ((pictures[:, 0].float() + 1.0) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    return [Image.fromarray(value).resize((CELL, CELL), Image.Resampling.BICUBIC) for value in values]


def beside(pages: Sequence[Image.Image]) -> Image.Image:
    """Pages side by side."""
    out = Image.new("RGB", (sum(page.width for page in pages), max(page.height for page in pages)), PAPER)
    x = 0
    for page in pages:
        out.paste(page, (x, 0))
        x += page.width
    return out
