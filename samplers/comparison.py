"""What a comparison found: the error of each setting, how sure that is, and what it takes, as tables and pictures.

It is made by `fewstep.compare` (`compare.py`).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .embedded import StepError
from .fingerprint import Fingerprint
from .noise_range import NoiseRange
from .ranking import Place, Score, places, scores, sentence

if TYPE_CHECKING:
    from PIL import Image

Tensor = torch.Tensor
#: latents [S, ...] -> pictures [S, H, W, 3 or 1] in 0..1
Decode = Callable[[Tensor], Tensor]

#: `within` where it is not given, as a share of the standard deviation of the pictures
WITHIN = 0.02


@dataclass(frozen=True, eq=False)
class Row:
    """A setting and what its run gave.

    name      the setting that asks for this plan alone
    series    the same without its calls: a line of the plot
    errors    float64 [S], distance per number of each sample to the reference; inf where it is NaN or inf; None where
              nothing was run
    seconds   for one sample, the model's time included: the median over the batches, on this machine
    steps     where its error is made (`fewstep.report`), over the first batch
    shown     the kept samples' ends, on the CPU
    reason    why nothing was run
    plan_key  hash of the plan
    """

    name: str
    series: str
    solver: str
    schedule: str
    calls: int
    options: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    reason: str = ""
    errors: Tensor | None = None
    seconds: float | None = None
    steps: tuple[StepError, ...] = ()
    shown: Tensor | None = None
    plan_key: str = ""


@dataclass(frozen=True, eq=False)
class Reference:
    """Where the ODE ends, by a run of many calls.

    name         its solver and schedule;  other: those of the run that it is checked by, of half the calls
    uncertainty  median distance between the ends of both: errors below it mean nothing
    """

    name: str
    calls: int
    other: str
    other_calls: int
    uncertainty: float

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.name}, checked by {self.other_calls} of {self.other}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Settings beside a reference, on the same start states.

    range, guidance  of the runs
    reference        and its `ends` [S, ...], on the CPU
    rows             in the order of the settings; those to come are missing
    within           the distance that is good enough
    key              hash of the start states;  fingerprint: of the model
    machine          where the seconds were measured
    conditions       what the caller said of the model, prompts and guidance
    keep             how many samples are kept of each row, the first ones
    """

    range: NoiseRange
    guidance: float
    reference: Reference
    ends: Tensor
    within: float
    key: str
    fingerprint: Fingerprint
    machine: str
    keep: int = 1
    conditions: str = ""
    rows: tuple[Row, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """The numbers of each row."""
        return scores(self.rows, self.reference.uncertainty)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """For each number of calls what is best there, and what cannot be told apart from it."""
        return places(self.rows, self.scores)

    @property
    def samples(self) -> int:
        return len(self.ends)

    @property
    def table(self) -> list[dict[str, Any]]:
        """A dict for each row, of JSON values.

        setting, solver, schedule, calls, options
        status     measured; not measurable: nearer to the reference than that is sure of itself; failed; left out
        error      median over the samples of the RMS per number of the distance to the reference
        low, high  its bootstrap 90 % interval; null for one sample
        rms        over all samples that are finite
        failed     samples that ended in NaN or inf
        seconds    for one sample, on this machine
        slope      observed order between this row and the next fewer calls of its series
        place      among the rows of as many calls: best, equal (not told apart from it), or empty
        steps      where its error is made
        notes, reason
        """
        status = {name: place for each in self.places for name, place in each.words.items()}
        return [
            {
                "setting": row.name,
                "solver": row.solver,
                "schedule": row.schedule,
                "calls": row.calls,
                "options": {name: str(value) for name, value in row.options.items()},
                "status": score.status,
                "error": _json(score.error),
                "low": _json(score.low),
                "high": _json(score.high),
                "rms": _json(score.rms),
                "failed": score.failed,
                "seconds": _json(row.seconds),
                "slope": _json(score.slope),
                "place": status.get(row.name, ""),
                "notes": list(row.notes),
                "reason": score.reason,
                "steps": [asdict(step) for step in row.steps],
            }
            for row, score in zip(self.rows, self.scores, strict=True)
        ]

    @property
    def sentence(self) -> str:
        """What to use, what is as good, and what is not known."""
        return sentence(self.rows, self.scores, self.places, self.reference, self.within, self.samples)

    def csv(self) -> str:
        """The table without its steps, as CSV."""
        out = io.StringIO()
        columns = [name for name in _COLUMNS if name != "steps"]
        writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in self.table:
            joined = "; ".join(row["notes"])
            options = " ".join(f"{name}={value}" for name, value in row["options"].items())
            writer.writerow({**row, "notes": joined, "options": options})
        return out.getvalue()

    def json(self) -> str:
        """The table, the reference, the range and the sentence, as JSON."""
        where = self.range
        record = {
            "sentence": self.sentence,
            "within": self.within,
            "samples": self.samples,
            "frame": where.frame.name,
            "sigma_max": where.sigma_max,
            "sigma_min": where.sigma_min,
            "end": where.end,
            "guidance": self.guidance,
            "conditions": self.conditions,
            "machine": self.machine,
            "reference": asdict(self.reference),
            "table": self.table,
        }
        return json.dumps(record, indent=2, allow_nan=False)

    def __str__(self) -> str:
        from .comparison_text import text

        return text(self)

    def plot_picture(self) -> Image.Image:
        """Error over calls, both logarithmic, a line for each series with its slope (work and precision)."""
        from .error_plot import draw

        return draw(self)

    def plot(self, path: str | Path) -> Path:
        """Saves `plot_picture`; returns where."""
        return _saved(self.plot_picture(), path)

    def grid_picture(self, decode: Decode | None = None, columns: str = "calls") -> Image.Image:
        """The kept samples as labelled pictures, the reference first.

        decode   latents [S, ...] -> pictures [S, H, W, 3 or 1] in 0..1
        columns  calls: a row for each series, its first kept sample at each number of calls;  samples: a row for each
                 setting, the kept samples side by side

        Raises ValueError without decode for latents that are no pictures [1 or 3, H, W] in -1..1.
        """
        from .comparison_grid import draw

        return draw(self, decode, columns)

    def grid(self, path: str | Path, decode: Decode | None = None, columns: str = "calls") -> Path:
        """Saves `grid_picture`; returns where."""
        return _saved(self.grid_picture(decode, columns), path)

    def save(self, path: str | Path) -> Path:
        """Writes everything to a safetensors file, in one piece; `fewstep.load_comparison` reads it."""
        from .comparison_file import save

        return save(self, path)


_COLUMNS = (
    "setting", "solver", "schedule", "calls", "options", "status", "error", "low", "high", "rms", "failed", "seconds",
    "slope", "place", "notes", "reason", "steps",
)  # fmt: skip


def _json(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _saved(picture: Image.Image, path: str | Path) -> Path:
    where = Path(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    picture.save(where)
    return where
