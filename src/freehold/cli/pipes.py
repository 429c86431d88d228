"""What becomes of a command whose output is no longer read, as behind ``| head``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn


class ReaderGoneError(Exception):
    """The program that read the output has ended."""


@contextlib.contextmanager
def past_click() -> Iterator[None]:
    """Tell of a closed pipe by `ReaderGoneError`: `BrokenPipeError` is taken by click, which ends with 1 for it."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGoneError from None


def end() -> NoReturn:
    """End as SIGPIPE ends programs."""
    for stream in (sys.stdout, sys.stderr):  # what is left in them cannot be written when Python ends
        with contextlib.suppress(AttributeError, OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(141)
