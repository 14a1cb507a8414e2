"""The kept samples of a comparison as labelled pictures, the reference first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from PIL import Image

from .names import nearest
from .picture_grid import Row, grid

if TYPE_CHECKING:
    from .comparison import Comparison, Decode

Tensor = torch.Tensor
#: pictures are drawn between these widths
_SMALLEST, _LARGEST = 64, 256
#: a converged run may leave -1..1 by this factor, latents of autoencoders leave it by more
_BEYOND = 2.0


def draw(comparison: Comparison, decode: Decode | None, columns: str) -> Image.Image:
    """See `Comparison.grid_picture`."""
    if columns not in _LAYOUTS:
        raise ValueError(nearest("columns", columns, _LAYOUTS))
    if not any(row.shown is not None for row in comparison.rows):
        raise ValueError("there is nothing to show: no setting was run")
    if decode is None:
        _check_plain(comparison.ends)
    return _LAYOUTS[columns](comparison, decode or _plain)


def _check_plain(latents: Tensor) -> None:
    """ValueError unless latents are pictures already. The reference is looked at: runs of few calls may overshoot."""
    low, high = float(latents.min()), float(latents.max())
    if latents.ndim != 4 or latents.shape[1] not in (1, 3) or low < -_BEYOND or high > _BEYOND:
        raise ValueError(
            f"latents {tuple(latents.shape)} in {low:.3g}..{high:.3g} are no pictures [S, 1 or 3, H, W] in -1..1; "
            "give decode, which makes pictures [S, H, W, 3 or 1] in 0..1 of them"
        )


def _plain(latents: Tensor) -> Tensor:
    return latents.movedim(1, -1).add(1.0).mul(0.5)


def tiles(latents: Tensor, decode: Decode) -> list[Image.Image]:
    """Decoded samples as RGB pictures of a size that suits a grid."""
    pictures = decode(latents)
    if pictures.ndim != 4 or pictures.shape[0] != len(latents) or pictures.shape[-1] not in (1, 3):
        raise ValueError(
            f"decode made {tuple(pictures.shape)} of latents {tuple(latents.shape)}, expected [S, H, W, 3 or 1]"
        )
    values = pictures.float().nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().byte().cpu()
    return [_sized(Image.fromarray(value.expand(*value.shape[:2], 3).contiguous().numpy())) for value in values]


def _sized(picture: Image.Image) -> Image.Image:
    width = min(max(picture.width, _SMALLEST), _LARGEST)
    size = (width, max(round(picture.height * width / picture.width), 1))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)


def _by_calls(comparison: Comparison, decode: Decode) -> Image.Image:
    """A row for each series; the first kept sample at each number of calls, its own error below."""
    run = [row for row in comparison.rows if row.shown is not None]
    numbers = sorted({row.calls for row in run})
    [first] = tiles(comparison.ends[:1], decode)
    gap = [None] * (len(numbers) - 1)
    rows = [Row(f"reference, {comparison.reference.calls} calls", [first, *gap], captions=[""])]
    for series in dict.fromkeys(row.series for row in run):
        shown: list[Image.Image | None] = [None] * len(numbers)
        captions = [""] * len(numbers)
        for row in run:
            if row.series == series and row.shown is not None and row.errors is not None:
                at = numbers.index(row.calls)
                [shown[at]] = tiles(row.shown[:1], decode)
                captions[at] = _number(float(row.errors[0]))
        rows.append(Row(series, shown, captions=captions))
    title = "The first sample, and its distance to the reference"
    return grid(title, [f"{n} calls" for n in numbers], rows)


def _by_samples(comparison: Comparison, decode: Decode) -> Image.Image:
    """A row for each setting, its kept samples side by side, its median error to the right."""
    rows = [Row(f"reference, {comparison.reference.calls} calls", tiles(comparison.ends[: comparison.keep], decode))]
    for row, score in zip(comparison.rows, comparison.scores, strict=True):
        if row.shown is not None:
            best = any(place.certain and place.best == row.name for place in comparison.places)
            rows.append(Row(row.name, tiles(row.shown, decode), _number(score.error), strong=best))
    title = f"Median distance to the reference over {comparison.samples} samples"
    return grid(title, [str(i + 1) for i in range(len(rows[0].tiles))], rows)


def _number(value: float | None) -> str:
    return "NaN or inf" if value is None or not math.isfinite(value) else f"{value:.2g}"


_LAYOUTS = {"calls": _by_calls, "samples": _by_samples}
