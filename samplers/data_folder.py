"""Where what is measured of a user's models is kept: outside of this pack, which updates replace."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """$FEWSTEP_DATA, or `fewstep` in the system's folder for a user's data. Each kind of file has a folder in it."""
    given = os.environ.get("FEWSTEP_DATA")
    if given:
        return Path(given).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = home / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return data / "fewstep"
