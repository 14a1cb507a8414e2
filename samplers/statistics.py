"""What a model's own runs say about its errors, for solvers that use it: measured once, kept in a small file.

A statistic is  V(level) = E Var[x0 | x],  the mean variance of a number of x0 when the state x is known. Analytic-DPM
(arXiv 2201.06503) writes it with the mean size of the noise prediction, V = (1 - Gamma) rho^2, Gamma = E||eps||^2/dim;
V itself stays finite at flow sigma 1, where rho is infinite and Gamma is 1.
"""

from __future__ import annotations

import math
import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from .data_folder import data_folder
from .level import FRAMES, Frame, Level
from .level import frame as make_frame
from .names import nearest

_SUFFIX = ".safetensors"
_KIND = "fewstep statistics 1"
#: one part of a path on every system, which cannot leave its folder and is no option of a command
_NAME = re.compile(r"[^\W_][\w .()+-]*", re.ASCII)


@dataclass(frozen=True)
class Statistics:
    """V at some levels of one model.

    frame      the frame that the model was asked in: ve, vp or flow (ve and vp have the same levels)
    sigmas     host sigmas, decreasing, above 0
    variances  V at each of them: at least 0, and at most rho^2
    dims       how many numbers a sample has, samples how many there were, calls how many model calls each took
    name       what it is called in plans; no part of the statistics

    Raises ValueError where these do not fit together.
    """

    frame: str
    sigmas: tuple[float, ...]
    variances: tuple[float, ...]
    dims: int
    samples: int = 0
    calls: int = 0
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise ValueError(nearest("frame", self.frame, FRAMES))
        if not self.sigmas or len(self.sigmas) != len(self.variances):
            raise ValueError(
                f"statistics: {len(self.sigmas)} sigmas and {len(self.variances)} variances, expected one for each"
            )
        if not all(a > b for a, b in pairwise(self.sigmas)):
            raise ValueError("statistics: the sigmas must decrease strictly")
        for sigma, variance in zip(self.sigmas, self.variances, strict=True):
            if not 0.0 < sigma <= make_frame(self.frame).highest or math.isinf(sigma):
                raise ValueError(f"statistics: sigma {sigma} is no level of frame {self.frame!r} above 0")
            bound = make_frame(self.frame).level(sigma).rho ** 2
            # what was measured is clipped; rounding may pass the bound by a little
            if not (0.0 <= variance <= bound * (1.0 + 1e-9) and math.isfinite(variance)):
                raise ValueError(
                    f"statistics: the variance at sigma {sigma:g} is {variance}, expected a number in 0..{bound:g}"
                )

    def __str__(self) -> str:
        return self.name or f"{len(self.sigmas)} levels of {self.frame}, {self.samples} samples of {self.dims} numbers"

    @cached_property
    def _curve(self) -> tuple[list[float], list[float]]:
        """(log rho, width) from low to high noise; width = V rho^2/(rho^2 - V), the variance of a Gaussian prior."""
        logs, widths = [], []
        for sigma, variance in zip(reversed(self.sigmas), reversed(self.variances), strict=True):
            rho = make_frame(self.frame).level(sigma).rho
            logs.append(math.log(rho))
            # a million times the noise is as good as a flat prior
            widths.append(variance / max(1.0 - variance / rho**2, 1e-6) if rho else 0.0)
        return logs, widths

    def variance(self, level: Level) -> float:
        """V at any level: 1/V = 1/rho^2 + 1/width, the width between the measured levels linear in log rho.

        That is exact for Gaussian data, whose width is its variance; beyond the measured levels the width stays.
        """
        logs, widths = self._curve
        if level.sigma == 0.0:
            return 0.0
        at = math.log(level.rho) if math.isfinite(level.rho) else math.inf
        i = bisect_left(logs, at)
        if i == 0 or i == len(logs):
            width = widths[max(i - 1, 0)]
        elif math.isinf(logs[i]):
            width = widths[i] if math.isinf(at) else widths[i - 1]
        else:
            share = (at - logs[i - 1]) / (logs[i] - logs[i - 1])
            width = widths[i - 1] + share * (widths[i] - widths[i - 1])
        return width / (1.0 + width / level.rho**2)

    def fits(self, where: Frame) -> Statistics:
        """Itself, if it was measured in this frame; ValueError otherwise."""
        if (self.frame == "flow") != (where.name == "flow"):
            raise ValueError(
                f"the statistics {str(self)!r} were measured in frame {self.frame!r}, but the levels are of frame "
                f"{where.name!r}; measure those of this model with fewstep.measure_statistics or 'fewstep statistics'"
            )
        return self

    def save(self, where: str | os.PathLike[str]) -> Path:
        """Writes a safetensors file, in one piece, and returns its path. `where`: see `statistics_path`."""
        import numpy as np
        from safetensors.numpy import save

        path = statistics_path(where)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"kind": _KIND, "frame": self.frame}
        facts |= {name: str(getattr(self, name)) for name in ("dims", "samples", "calls")}
        tensors = {"sigmas": np.array(self.sigmas), "variances": np.array(self.variances)}
        # a run that reads it meanwhile must not find half a file
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(save(tensors, facts))
        part.replace(path)
        return path


def statistics_folder() -> Path:
    """Where names are looked up: `statistics` in the data folder."""
    return data_folder() / "statistics"


def statistics_path(where: str | os.PathLike[str]) -> Path:
    """The file of a name in the data folder, or of a path: a Path object, or a text with a slash in it."""
    if isinstance(where, str) and not _has_folder(where):
        return statistics_folder() / f"{check_name(where).removesuffix(_SUFFIX)}{_SUFFIX}"
    return Path(where).expanduser()


def _has_folder(text: str) -> bool:
    return "/" in text or os.sep in text


def check_name(text: str) -> str:
    """A text that names a file in the data folder, and cannot name another; ValueError otherwise."""
    if not isinstance(text, str) or not _NAME.fullmatch(text) or text.endswith((".", " ")):
        raise ValueError(
            f"got {text!r}, expected the name of a file in {statistics_folder()}: letters, digits, spaces and "
            ". _ - + ( ), beginning with a letter or a digit"
        )
    return text


def load_statistics(where: str | os.PathLike[str]) -> Statistics:
    """The statistics in a file that `Statistics.save` wrote; `where` is a name or a path, see `statistics_path`.

    Raises FileNotFoundError, which lists the names there are, and ValueError for another kind of file or a damaged one.
    """
    path = statistics_path(where)
    try:
        state = path.stat()
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in path.parent.glob(f"*{_SUFFIX}"))) or "none"
        raise FileNotFoundError(
            f"there are no statistics {path}; in that folder: {known}. Measure them with fewstep.measure_statistics "
            "or 'fewstep statistics'"
        ) from None
    return replace(_read(path, state.st_mtime_ns, state.st_size), name=os.fspath(where))


@lru_cache(maxsize=16)  # doors draw a plan at every turn of a slider
def _read(path: Path, *_: int) -> Statistics:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            facts, keys = file.metadata() or {}, set(file.keys())
            if facts.get("kind") != _KIND:
                raise ValueError(
                    f"{path} holds {len(keys)} tensors and no statistics; expected a file that "
                    "fewstep.measure_statistics or 'fewstep statistics' wrote"
                )
            missing = [key for key in ("sigmas", "variances") if key not in keys]
            missing += [key for key in ("frame", "dims", "samples", "calls") if key not in facts]
            if missing:
                raise ValueError(f"{path} lacks {', '.join(missing)}; measure the statistics again")
            sigmas, variances = (_numbers(file.get_tensor(key)) for key in ("sigmas", "variances"))
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file, or is damaged ({error}); measure the statistics again"
        ) from None
    try:
        dims, samples, calls = (int(facts[name]) for name in ("dims", "samples", "calls"))
        return Statistics(facts["frame"], sigmas, variances, dims, samples, calls)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; measure the statistics again") from None


def _numbers(array: Any) -> tuple[float, ...]:
    values: Sequence[float] = array.ravel().tolist()
    return tuple(float(value) for value in values)


def find_statistics(value: Any) -> Statistics:
    """What an option gives: statistics themselves, or where they are kept. ValueError where there are none."""
    if isinstance(value, Statistics):
        return value
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"got {value!r}, expected fewstep.Statistics, a name or a path")
    try:
        return load_statistics(value)
    except OSError as error:
        raise ValueError(str(error)) from error
