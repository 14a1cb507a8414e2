"""One wording for every unknown name: what was given, the nearest match, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(what: str, given: object, allowed: Iterable[str]) -> str:
    """The message for an unknown name.

    >>> nearest("solver", "dpmp_2m", ["dpmpp_2m", "ddim"])
    "unknown solver 'dpmp_2m'; did you mean 'dpmpp_2m'? Known: ddim, dpmpp_2m"
    """
    names = sorted(allowed)
    close = get_close_matches(str(given).lower(), names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {given!r}; {hint}Known: {', '.join(names)}"


def listed(words: Iterable[object], last: str = "and") -> str:
    """The words as a sentence has them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, end = map(str, words)
    return f"{', '.join(most)} {last} {end}" if most else end
