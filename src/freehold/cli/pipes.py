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
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what Python still holds for them cannot be written when it ends
        os.dup2(nowhere, descriptor)
    sys.exit(141)
