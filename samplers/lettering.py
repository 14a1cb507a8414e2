"""Pillow's fonts, in every version that hosts have."""

from __future__ import annotations

from typing import Any

from PIL import ImageFont


def font(size: int, file: str | None = None) -> Any:
    """Pillow's own font where no file is given; before Pillow 10.1 it has one size."""
    if file is not None:
        return ImageFont.truetype(file, size)
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


def anchored(face: Any, anchor: str) -> str | None:
    """The anchor of a text, where the font can have one."""
    return anchor if isinstance(face, ImageFont.FreeTypeFont) else None


def width(text: str, face: Any) -> int:
    """How many pixels a text takes."""
    return round(float(face.getlength(text)))
