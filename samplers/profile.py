"""Profiles: the plans that tuning made for one model, with what is known of them, in one safetensors file.

The file holds numbers and JSON text, and reading it runs nothing. What is read is checked as if it had been made here:
every plan checks itself, and the whole says in one message what is wrong with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from . import times
from .fingerprint import Fingerprint, ask
from .judgement import Gain
from .level import Frame, read_levels, read_sigmas
from .level import frame as make_frame
from .names import nearest
from .noise_range import ENDS
from .plan import Plan
from .plan_tensors import plan_of_tensors, plan_tensors
from .profile_folder import profile_names, profile_path
from .run import Model
from .task import Task
from .tensor_file import read_file, write_file

Tensor = torch.Tensor

FORMAT = 1
#: plans are a few kB each; a file beyond this is none of ours
_LARGEST = 16_000_000
_TIMES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        times.Table, times.ContinuousVP, times.CosineVP, times.EDM, times.LogSigma, times.RectifiedVE, times.FlowShift
    )
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A plan of a profile, and how it was judged on noise that it was not made with.

    plan             the tuned plan, or the published one where that was not beaten; its notes say so
    tuned            which of the two
    published        the setting that had to be beaten
    error            median distance of the tuned plan, taken or not, to the teacher's ends
    published_error  that of the published one
    gain             tuned/published, a geometric mean over the samples, with its interval
    teacher_distance how far the teacher's ends were from those at half the calls
    """

    plan: Plan
    tuned: bool
    published: str
    error: float
    published_error: float
    gain: Gain
    teacher_distance: float

    def __str__(self) -> str:
        kept = f"tuned, {self.gain} of the error of {self.published}" if self.tuned else f"{self.published} is kept"
        return f"{len(self.plan)} calls: {kept}"


@dataclass(frozen=True, eq=False)
class Profile:
    """Plans for one model by their numbers of calls.

    identity, conditions   what the caller said: the model's name or hash, the kind of prompts and guidance
    settings               of the tuning
    fingerprint            the model's answers at fixed places; None before tuning began
    versions               of fewstep, torch and the file's format
    """

    frame: Frame
    sigma_max: float
    sigma_min: float
    end: str
    entries: Mapping[int, Entry]
    identity: str
    conditions: str
    settings: Mapping[str, Any]
    fingerprint: Fingerprint | None
    versions: Mapping[str, str]

    @classmethod
    def begun(cls, task: Task, identity: str, conditions: str, resume: Profile | None = None) -> Profile:
        """A profile without plans, or `resume`. ValueError if that belongs to another task."""
        settings = {
            "teacher_calls": task.teacher_calls,
            "teacher_last": task.teacher_last,
            "rounds": task.rounds,
            "points": task.points,
            "rivals": [str(rival) for rival in task.beaten],
        }
        versions = {"fewstep": import_module("..", __package__).__version__, "torch": str(torch.__version__)}
        new = cls(
            task.frame, task.sigma_max, task.sigma_min, task.end, {}, identity, conditions, settings, None, versions
        )
        if resume is None:
            return new
        resume.check_frame(task.frame)
        for name in ("sigma_max", "sigma_min", "end", "identity", "conditions", "settings"):
            if getattr(resume, name) != getattr(new, name):
                raise ValueError(
                    f"the profile to go on with has {name} {getattr(resume, name)!r}, but now it is "
                    f"{getattr(new, name)!r}; begin another profile"
                )
        if time_key(resume.frame.time) != time_key(task.frame.time):
            raise ValueError(
                f"the profile to go on with has time map {resume.frame.time!r:.80}, but now it is "
                f"{task.frame.time!r:.80}; begin another profile"
            )
        return resume

    def with_entry(self, entry: Entry) -> Profile:
        """The profile with one plan more."""
        return replace(self, entries=dict(sorted({**self.entries, len(entry.plan): entry}.items())))

    def plan(self, calls: int) -> Plan:
        """The plan of so many calls. ValueError says which there are."""
        if calls not in self.entries:
            known = ", ".join(map(str, self.entries)) or "none"
            raise ValueError(f"this profile has no plan of {calls!r} calls; it has {known}; tune for {calls!r} too")
        return self.entries[calls].plan

    def plan_between(self, sigmas: Sequence[float], frame: str | Frame, options: Mapping[str, Any] = {}) -> Plan:
        """The plan of len(sigmas) - 1 calls, for a run between the ends of `sigmas` in a model's frame.

        Raises ValueError where there is no such plan, for another frame or range, and if options are given.
        """
        if options:
            raise ValueError(f"a tuned plan takes no options, got {', '.join(map(repr, options))}: tuning settled them")
        self.check_frame(frame)
        values = read_sigmas(sigmas)
        last = 0.0 if self.end == "zero" else self.sigma_min
        for name, given, own in (("first", values[0], self.sigma_max), ("last", values[-1], last)):
            # hosts hold levels in float32
            if not math.isclose(given, own, rel_tol=1e-6):
                raise ValueError(
                    f"the {name} sigma is {given:.7g}, but the profile was tuned from {self.sigma_max:.7g} to "
                    f"{last:.7g}; give these ends (its inner levels are the profile's own), or tune for yours"
                )
        return self.plan(len(values) - 1)

    def __str__(self) -> str:
        head = f"{self.identity or 'a model'} ({self.conditions or 'conditions not named'}), {self.frame.name}, "
        head += f"sigma {self.sigma_max:g} to {self.end.replace('zero', '0')}"
        return "\n".join([head, *(f"  {entry}" for entry in self.entries.values())])

    def check_frame(self, frame: str | Frame) -> None:
        """ValueError unless a model's states are in this profile's frame."""
        name = make_frame(frame).name
        if name != self.frame.name:
            raise ValueError(
                f"this profile was made for frame {self.frame.name!r}, but the model's is {name!r}; "
                "its plans would be wrong there: tune that model"
            )

    def check(
        self,
        model: Model | None = None,
        extra_args: Mapping[str, Any] | None = None,
        *,
        identity: str = "",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """ValueError if the profile was made for another model.

        model     is asked three times, with one sample and the conditions (prompt, guidance) of the tuning's first one
        identity  is compared with the profile's, if both were named
        """
        if identity and self.identity and identity != self.identity:
            raise ValueError(f"this profile was made for model {self.identity!r}, not for {identity!r}; tune that one")
        if model is None:
            return
        self.check_frame(getattr(model, "fewstep_frame", self.frame.name))
        mine = self.fingerprint
        if mine is None:
            raise ValueError("this profile has no fingerprint: its tuning was stopped before it began")
        other = ask(model, self.frame, mine.shape, mine.sigmas, extra_args or {}, device, dtype)
        if not mine.same(other):
            raise ValueError(
                f"this profile was made for another model, or for other conditions ({self.conditions or 'not named'}): "
                f"the answers differ by {100 * mine.distance(other):.0f} %; ask with the prompt and guidance of the "
                "tuning, or tune this model"
            )

    def save(self, path: str | Path) -> Path:
        """Writes the profile to a path, or to `profile:NAME` in the user's folder; returns where."""
        where = profile_path(path)
        tensors: dict[str, Tensor] = {}
        entries = {}
        for n, entry in self.entries.items():
            numbers, texts = plan_tensors(entry.plan)
            tensors |= {f"{n}.{name}": value for name, value in numbers.items()}
            entries[str(n)] = {
                "plan": texts,
                "gain": asdict(entry.gain),
                **{name: getattr(entry, name) for name in _ENTRY_FIELDS},
            }
        mine = self.fingerprint
        if mine is not None:
            tensors["fingerprint"] = mine.answers
        record = {
            "frame": self.frame.name,
            "time": time_record(self.frame.time),
            "entries": entries,
            "fingerprint": None if mine is None else {"shape": mine.shape, "sigmas": mine.sigmas},
            **{name: getattr(self, name) for name in _FIELDS},
        }
        return write_file(
            where, tensors, {"fewstep_profile": str(FORMAT), "profile": json.dumps(record, default=dict)}
        )


_FIELDS = ("sigma_max", "sigma_min", "end", "identity", "conditions", "settings", "versions")
_ENTRY_FIELDS = ("tuned", "published", "error", "published_error", "teacher_distance")


def time_record(time: times.TimeMap) -> dict[str, Any]:
    """A time map as JSON values. ValueError for a map of the caller's own kind."""
    kind = type(time)
    if _TIMES.get(kind.__name__) is not kind:
        raise ValueError(f"a time map of type {kind.__name__} cannot be saved; expected one of {', '.join(_TIMES)}")
    return {"kind": kind.__name__, **{f.name: getattr(time, f.name) for f in fields(kind) if f.init}}


def time_key(time: times.TimeMap) -> object:
    """What two equal time maps have in common: two tables of the same numbers are two objects."""
    try:
        return json.dumps(time_record(time))
    except ValueError:  # a map of the caller's own
        return time


def frame_of_record(name: str, record: Mapping[str, Any]) -> Frame:
    """The frame with the time map of a record; the frame's own object where that is the same map."""
    values: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in record.items()}
    frame = make_frame(name)
    if time_record(frame.time) == values:
        return frame
    return Frame(name, _TIMES[values.pop("kind")](**values))


def load_profile(path: str | Path, *, frame: str | Frame | None = None, identity: str = "") -> Profile:
    """A profile from a path, or `profile:NAME` from the user's folder.

    frame, identity  of the model at hand, if they are to be checked (see `Profile.check` for its answers)

    Raises FileNotFoundError where there is none, ValueError for a file that is damaged or no profile, and for a profile
    of another frame or model.
    """
    where = profile_path(path)
    if not where.is_file():
        known = ", ".join(profile_names()) or "none"
        raise FileNotFoundError(f"there is no profile at {where}; in the folder of profiles: {known}")
    if where.stat().st_size > _LARGEST:
        raise ValueError(f"{where} is larger than {_LARGEST // 1_000_000} MB: it is not a profile of fewstep")
    metadata, tensors = read_file(where)
    version = metadata.get("fewstep_profile")
    if version != str(FORMAT):
        what = "it is not a profile of fewstep" if version is None else f"its format is {version}, known is {FORMAT}"
        raise ValueError(f"{where} cannot be used: {what}")
    try:
        profile = _profile_of(json.loads(metadata["profile"]), tensors)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{where} is damaged, or was edited: {type(error).__name__}: {error}; tune again") from error
    if frame is not None:
        profile.check_frame(frame)
    profile.check(identity=identity)
    return profile


def plan_of_profile(path: str | Path, sigmas: Sequence[float], frame: Frame, options: Mapping[str, Any] = {}) -> Plan:
    """`Profile.plan_between` of a file; what else is raised: see `load_profile`."""
    return load_profile(path).plan_between(sigmas, frame, options)


def _profile_of(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Profile:
    frame = frame_of_record(record["frame"], record["time"])
    entries = {}
    for key, entry in record["entries"].items():
        n = int(key)
        own = {name.partition(".")[2]: tensor for name, tensor in tensors.items() if name.partition(".")[0] == key}
        plan = plan_of_tensors(own, entry["plan"], frame)
        read_levels([level.host for level in plan.levels], frame)
        if len(plan) != n or plan.stochastic:
            raise ValueError(f"the plan of {n} calls has {len(plan)}, or adds noise")
        gain = Gain(**{name: _number(value) for name, value in entry["gain"].items()})
        values = {name: entry[name] for name in _ENTRY_FIELDS}
        for name in ("error", "published_error", "teacher_distance"):
            _number(values[name])
        _kinds(values, {"tuned": bool, "published": str})
        entries[n] = Entry(plan=plan, gain=gain, **values)
    given = record["fingerprint"]
    mine = None
    if given is not None:
        mine = Fingerprint(tuple(given["shape"]), tuple(given["sigmas"]), tensors["fingerprint"])
    values = {name: record[name] for name in _FIELDS}
    for name in ("sigma_max", "sigma_min"):
        _number(values[name])
    _kinds(values, {"end": str, "identity": str, "conditions": str, "settings": dict, "versions": dict})
    if values["end"] not in ENDS:
        raise ValueError(nearest("end", values["end"], ENDS))
    return Profile(frame=frame, entries=dict(sorted(entries.items())), fingerprint=mine, **values)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ValueError(f"got {value!r}, expected a number")
    return float(value)


def _kinds(values: Mapping[str, Any], expected: Mapping[str, type]) -> None:
    for name, kind in expected.items():
        if not isinstance(values[name], kind):
            raise ValueError(f"{name} is {values[name]!r:.80}, expected a {kind.__name__}")
