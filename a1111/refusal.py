"""An error that the hosts' servers answer as the caller's fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class RefusedError(ValueError):
    """A request that cannot be carried out as it was made.

    The hosts' exception handler (modules/api/api.py) reads these two attributes of any exception; without them it
    answers 500.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.status_code = 422
        self.detail = message


@contextmanager
def refusing() -> Iterator[None]:
    """Turns the ValueErrors of the core, and a file that is gone, into RefusedError."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise RefusedError(f"Fewstep: {error}") from error
