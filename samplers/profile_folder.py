"""Where profiles are: a folder of the user's, outside of this pack, whose names cannot lead out of it."""

from __future__ import annotations

import re
from pathlib import Path

from .data_folder import data_folder

PREFIX = "profile:"
_SUFFIX = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]{0,98}")
#: names that Windows keeps for devices, whatever follows the dot
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def profile_folder() -> Path:
    """`profiles` in the data folder."""
    return data_folder() / "profiles"


def is_profile(solver: object) -> bool:
    """Whether what stands in a solver's place is `profile:NAME`."""
    return isinstance(solver, str) and solver.startswith(PREFIX)


def profile_path(path: str | Path) -> Path:
    """A path as it is, or the file of `profile:NAME`. ValueError for a name that is none."""
    if not is_profile(path):
        return Path(path)
    name = str(path)[len(PREFIX) :]
    if not _NAME.fullmatch(name) or ".." in name or name.endswith((".", " ")) or _DEVICES.fullmatch(name):
        raise ValueError(
            f"profile name {name!r}: expected 1 to 99 letters, digits, spaces and _ . + -, beginning with a letter or "
            "digit; for a file elsewhere give its path"
        )
    return profile_folder() / (name + _SUFFIX)


def profile_names() -> list[str]:
    """The names of the user's profiles."""
    folder = profile_folder()
    return sorted(path.stem for path in folder.glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.stem))
