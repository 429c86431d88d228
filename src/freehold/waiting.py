"""Waiting for work in another thread."""

from __future__ import annotations

import concurrent.futures
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.5


def result_of(work: concurrent.futures.Future[T]) -> T:
    """What work comes to, waited for so that Ctrl-C is always noticed. Raises what the work raises.

    A signal that comes just before a thread begins to wait for a lock does not wake it, and Python's handler runs when
    the wait is over: without a time limit that may be never.
    """
    while not concurrent.futures.wait((work,), LOOK_EVERY_S).done:
        pass
    return work.result()
