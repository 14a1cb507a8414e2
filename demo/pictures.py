"""Labelled grids of pictures, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CELL, GAP, MARGIN = 64, 3, 14
INK, QUIET, PAPER = (30, 30, 34), (120, 120, 128), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """One row of a grid.

    pictures  [N, 1, H, W] in [-1, 1]; values beyond are cut off
    note      said to the right of the pictures
    heading   said to the left of the label, and a little room above: the row begins a group
    strong    whether the note stands out
    """

    label: str
    pictures: Tensor
    note: str = ""
    heading: str = ""
    strong: bool = False


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one size only
        return ImageFont.load_default()


def grid(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """A picture of all rows under the names of the columns, with row labels where there are any."""
    large, normal, small = font(17), font(13), font(11)
    headings = max((_width(row.heading, large) for row in rows), default=0)
    labels = max((_width(row.label, normal) for row in rows), default=0)
    notes = max((_width(row.note, normal) for row in rows), default=0)
    label_at = MARGIN + headings + (10 if headings else 0)
    left = label_at + labels + (10 if labels else 0)
    right = left + len(columns) * (CELL + GAP) - GAP
    width = max(right + (10 + notes if notes else 0), MARGIN + _width(title, large)) + MARGIN
    top = MARGIN + 50
    tops: list[int] = []
    for row in rows:
        top += 12 if row.heading and tops else 0
        tops.append(top)
        top += CELL + GAP
    page = Image.new("RGB", (width, top - GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), title, INK, large)
    for j, column in enumerate(columns):
        x = left + j * (CELL + GAP) + (CELL - _width(column, small)) // 2
        pen.text((x, MARGIN + 32), column, QUIET, small)
    for row, y in zip(rows, tops, strict=True):
        for j, tile in enumerate(tiles(row.pictures)):
            page.paste(tile, (left + j * (CELL + GAP), y))
        middle = y + CELL // 2
        pen.text((MARGIN, middle - 10), row.heading, INK, large)
        pen.text((label_at, middle - 8), row.label, INK, normal)
        pen.text((right + 10, middle - 8), row.note, INK if row.strong else QUIET, normal)
    return page


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


def _width(text: str, face: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    return round(face.getlength(text))
