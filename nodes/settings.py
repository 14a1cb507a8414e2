"""What a person sets once for the whole host, read when the host starts.

    FEWSTEP_MENU=all          in the environment, or
    {"menu": "all"}           in fewstep.json in the host's user folder; the environment wins

The value is a size of the sampler menu, short (default), all or none, and may add "schedules", which puts the schedules
that the host lacks into its schedule menu: "short schedules".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..samplers.menu import DEFAULT_SIZE, SIZES
from ..samplers.names import nearest

FILE = "fewstep.json"
VARIABLE = "FEWSTEP_MENU"
SCHEDULES = "schedules"


@dataclass(frozen=True)
class Settings:
    size: str = DEFAULT_SIZE
    schedules: bool = False


def read(user_folder: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings; ValueError says where a bad value stands. A missing file is no error."""
    if VARIABLE in environment:
        return _parse(environment[VARIABLE], VARIABLE)
    path = user_folder / FILE
    if not path.is_file():
        return Settings()
    try:
        given: Any = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark first
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not JSON ({error}); write for example {{"menu": "short"}}') from None
    if not isinstance(given, dict) or not set(given) <= {"menu"}:
        raise ValueError(f'{path} holds {given!r}, expected {{"menu": "short"}}')
    return _parse(given.get("menu", DEFAULT_SIZE), str(path))


def _parse(text: Any, where: str) -> Settings:
    words = text.replace(",", " ").lower().split() if isinstance(text, str) else [text]
    sizes = [word for word in words if word != SCHEDULES]
    for word in sizes:
        if word not in SIZES:
            raise ValueError(f"{where}: " + nearest("size of menu", word, (*SIZES, SCHEDULES)))
    if len(sizes) > 1:
        raise ValueError(f"{where} is {text!r}, expected one of {', '.join(SIZES)}, and perhaps {SCHEDULES}")
    return Settings(sizes[0] if sizes else DEFAULT_SIZE, SCHEDULES in words)
