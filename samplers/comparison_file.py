"""A comparison in one safetensors file: numbers and JSON text, and reading it runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .comparison import Comparison, Reference, Row
from .embedded import StepError
from .fingerprint import Fingerprint
from .noise_range import NoiseRange
from .profile import frame_of_record, time_record
from .tensor_file import read_file, write_file

Tensor = torch.Tensor
FORMAT = 1
_KIND = "fewstep_comparison"
_TEXTS = ("guidance", "within", "key", "machine", "keep", "conditions", "versions")
_OF_ROW = ("name", "series", "solver", "schedule", "calls", "notes", "reason", "seconds", "plan_key")


def save(comparison: Comparison, path: str | Path) -> Path:
    """Writes it whole or not at all; returns where."""
    where, it = Path(path), comparison
    tensors = {"ends": it.ends, "fingerprint": it.fingerprint.answers}
    rows = []
    for i, row in enumerate(it.rows):
        tensors |= {f"{i}.{name}": each for name in ("errors", "shown") if (each := getattr(row, name)) is not None}
        options = {
            name: value if isinstance(value, (int, float)) else str(value) for name, value in row.options.items()
        }
        rows.append(
            {name: getattr(row, name) for name in _OF_ROW}
            | {"options": options, "steps": [asdict(s) for s in row.steps]}
        )
    record = {
        "frame": it.range.frame.name,
        "time": time_record(it.range.frame.time),
        "range": [it.range.sigma_max, it.range.sigma_min, it.range.end],
        "reference": asdict(it.reference),
        "fingerprint": {"shape": it.fingerprint.shape, "sigmas": it.fingerprint.sigmas},
        "rows": rows,
        **{name: getattr(it, name) for name in _TEXTS},
    }
    return write_file(where, tensors, {_KIND: str(FORMAT), "comparison": json.dumps(record, default=dict)})


def load_comparison(path: str | Path) -> Comparison:
    """A comparison that `Comparison.save` wrote, to look at or to go on with (`resume`).

    Raises FileNotFoundError where there is none, ValueError for a file that is damaged or another's.
    """
    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"there is no comparison at {where}")
    metadata, tensors = read_file(where)
    version = metadata.get(_KIND)
    if version != str(FORMAT):
        what = "it is not a comparison of fewstep" if version is None else f"its format is {version}, known is {FORMAT}"
        raise ValueError(f"{where} cannot be used: {what}")
    try:
        return _of(json.loads(metadata["comparison"]), tensors)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where} is damaged, or was edited: {type(error).__name__}: {error}") from error


def _of(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Comparison:
    frame = frame_of_record(record["frame"], record["time"])
    sigma_max, sigma_min, end = record["range"]
    print_of = record["fingerprint"]
    rows = []
    for i, each in enumerate(record["rows"]):
        texts = {name: each[name] for name in _OF_ROW} | {"notes": tuple(each["notes"])}
        steps = tuple(StepError(**step) for step in each["steps"])
        errors, shown = (tensors.get(f"{i}.{name}") for name in ("errors", "shown"))
        if errors is not None and errors.shape != (len(tensors["ends"]),):
            raise ValueError(f"row {i} has errors of shape {tuple(errors.shape)}")
        rows.append(Row(**texts, options=each["options"], errors=errors, steps=steps, shown=shown))
    return Comparison(
        range=NoiseRange(frame, float(sigma_max), float(sigma_min), end),
        reference=Reference(**record["reference"]),
        ends=tensors["ends"],
        fingerprint=Fingerprint(tuple(print_of["shape"]), tuple(print_of["sigmas"]), tensors["fingerprint"]),
        rows=tuple(rows),
        **{name: record[name] for name in _TEXTS},
    )
