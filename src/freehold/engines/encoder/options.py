"""What the encoder engine can be told (`ServePlan.options`)."""

from __future__ import annotations

from typing import Literal

import msgspec

from freehold.errors import UsageError


class EncoderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`batch` is the most texts of one run of the model: texts that wait while one run computes go into the next.
    `queue_texts` may wait at once; beyond that requests are refused with status 503. `long_texts` says what becomes of
    a text longer than the encoder was trained on: it is cut there, as in training, and the answer says so, or the
    request is refused.
    """

    batch: int = 32
    queue_texts: int = 4096
    long_texts: Literal["cut", "refuse"] = "cut"
    ready_seconds: float = 120.0


def check(options: EncoderOptions) -> None:
    """Raise `UsageError` for numbers that no server can have."""
    for name in ("batch", "queue_texts", "ready_seconds"):
        value = getattr(options, name)
        if value < 1:
            raise UsageError(f"engine encoder: option {name} is {value:g}, expected at least 1")
