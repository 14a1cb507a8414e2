"""Labelled grids of pictures, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .lettering import font, width

GAP, MARGIN = 3, 14
INK, QUIET, PAPER = (30, 30, 34), (120, 120, 128), (255, 255, 255)
_CAPTION = 16


@dataclass(frozen=True)
class Row:
    """One row of a grid.

    tiles     pictures of one size; None leaves a place empty
    note      said to the right of the pictures
    heading   said to the left of the label, and a little room above: the row begins a group
    strong    whether the note stands out
    captions  said below each picture; empty: no room is left for them
    """

    label: str
    tiles: Sequence[Image.Image | None]
    note: str = ""
    heading: str = ""
    strong: bool = False
    captions: Sequence[str] = ()


def grid(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """A picture of all rows under the names of the columns, with row labels where there are any."""
    large, normal, small = font(17), font(13), font(11)
    sizes = {tile.size for row in rows for tile in row.tiles if tile is not None}
    if len(sizes) != 1:
        raise ValueError(f"a grid takes pictures of one size, got {sorted(sizes)}")
    [(wide, high)] = sizes
    headings = max((width(row.heading, large) for row in rows), default=0)
    labels = max((width(row.label, normal) for row in rows), default=0)
    notes = max((width(row.note, normal) for row in rows), default=0)
    label_at = MARGIN + headings + (10 if headings else 0)
    left = label_at + labels + (10 if labels else 0)
    right = left + len(columns) * (wide + GAP) - GAP
    total = max(right + (10 + notes if notes else 0), MARGIN + width(title, large)) + MARGIN
    top = MARGIN + 50
    tops: list[int] = []
    for row in rows:
        top += 12 if row.heading and tops else 0
        tops.append(top)
        top += high + GAP + (_CAPTION if row.captions else 0)
    page = Image.new("RGB", (total, top - GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), title, INK, large)
    for j, column in enumerate(columns):
        x = left + j * (wide + GAP) + (wide - width(column, small)) // 2
        pen.text((x, MARGIN + 32), column, QUIET, small)
    for row, y in zip(rows, tops, strict=True):
        for j, tile in enumerate(row.tiles):
            if tile is not None:
                page.paste(tile, (left + j * (wide + GAP), y))
        for j, caption in enumerate(row.captions):
            x = left + j * (wide + GAP) + (wide - width(caption, small)) // 2
            pen.text((x, y + high + 1), caption, QUIET, small)
        middle = y + high // 2
        pen.text((MARGIN, middle - 10), row.heading, INK, large)
        pen.text((label_at, middle - 8), row.label, INK, normal)
        pen.text((right + 10, middle - 8), row.note, INK if row.strong else QUIET, normal)
    return page
