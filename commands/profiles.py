"""The user's profiles as text and as JSON values, for `fewstep list` and `fewstep tune`."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from ..samplers.profile import Entry, Profile, load_profile
from ..samplers.profile_folder import PREFIX, profile_folder, profile_names, profile_path
from ..samplers.report import finite


def found() -> dict[str, Profile | str]:
    """{name: profile, or the reason why its file cannot be used}."""
    profiles: dict[str, Profile | str] = {}
    for each in profile_names():
        try:
            profiles[each] = load_profile(PREFIX + each)
        except (ValueError, OSError) as error:
            profiles[each] = str(error)
    return profiles


def record(name: str, profile: Profile | str) -> dict[str, Any]:
    """A profile as JSON values; `damaged` is the reason where it cannot be read, and None otherwise."""
    place = {"name": name, "path": str(profile_path(PREFIX + name))}
    if isinstance(profile, str):
        return {**place, "damaged": profile}
    names = ("identity", "conditions", "sigma_max", "sigma_min", "end")
    return {
        **place,
        "damaged": None,
        "frame": profile.frame.name,
        **{each: getattr(profile, each) for each in names},
        "settings": dict(profile.settings),
        "versions": dict(profile.versions),
        "plans": [_entry(entry) for entry in profile.entries.values()],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "calls": len(entry.plan),
        "tuned": entry.tuned,
        "published": entry.published,
        **{name: finite(getattr(entry, name)) for name in ("error", "published_error", "teacher_distance")},
        "gain": {name: finite(value) for name, value in asdict(entry.gain).items()},
        "sigmas": [level.host for level in entry.plan.levels],
        "notes": list(entry.plan.notes),
    }


def table(profiles: dict[str, Profile | str]) -> str:
    """A head and a few lines for each profile."""
    head = f"PROFILES  (in {profile_folder()}; 'fewstep list {PREFIX}NAME' shows one in full)"
    lines = [head]
    for name, profile in profiles.items():
        if isinstance(profile, str):
            lines.append(f"  {name:<22}damaged: {profile}")
            continue
        lines.append(f"  {name:<22}{profile.frame.name:<6}{profile.identity or 'a model without a name'}")
        lines.append(f"{'':<24}{profile.conditions or 'conditions not named'}")
        lines += [f"{'':<24}{entry}" for entry in profile.entries.values()]
    return "\n".join(lines if profiles else [head, "  none yet; fewstep tune makes one"])


def details(name: str, profile: Profile) -> str:
    """All that a profile holds, but for the weights of its plans."""
    facts = {"file": profile_path(PREFIX + name), "model": profile.identity or "not named"}
    facts |= {"conditions": profile.conditions or "not named", "frame": profile.frame.name}
    facts |= {"sigmas": f"{profile.sigma_max:g} to {profile.end.replace('zero', '0')}"}
    facts |= {each.replace("_", " "): value for each, value in profile.settings.items() if each != "rivals"}
    facts |= {"rivals": ", ".join(profile.settings.get("rivals", ()))}
    facts |= {"made with": ", ".join(f"{each} {value}" for each, value in profile.versions.items())}
    lines = [f"{PREFIX}{name}"]
    lines += [_wrapped(f"  {label:<15}{value}", 17) for label, value in facts.items()]
    for entry in profile.entries.values():
        lines.append(f"  {entry}")
        levels = " ".join(f"{level.host:.4g}" for level in entry.plan.levels)
        errors = f"error {entry.error:.3g} tuned, {entry.published_error:.3g} {entry.published}; the teacher's ends "
        errors += f"differ by {entry.teacher_distance:.2g} from those at half its calls"
        lines += [_wrapped(" " * 6 + text, 8) for text in (f"levels {levels}", errors, *entry.plan.notes)]
    return "\n".join(lines)


def _wrapped(text: str, by: int) -> str:
    return textwrap.fill(text, 110, subsequent_indent=" " * by, break_on_hyphens=False, break_long_words=False)
